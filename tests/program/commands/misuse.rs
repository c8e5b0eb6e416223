//! Promise: a wrong command says what is wrong and how to find the right one. It ends with 2 and does nothing.

use clerk_sandbox::{Population, Sandbox};

use crate::support::process::Program;

/// Commands, and words of what must be said about each.
const WRONG: [(&[&str], &[&str]); 25] = [
    (&["sync", "--forse"], &["'--forse'", "--force", "clerk-sync sync --help"]),
    (&["sync", "users"], &["'users'", "clerk-sync sync --help"]),
    (&["sync", "--resources", "userz"], &["\"userz\" (did you mean users?)"]),
    (&["sync", "--resources", "users organizations"], &["separate the names by commas"]),
    (&["sync", "--resources", ","], &["resources names nothing"]),
    (&["sync", "--resources", "users", "--resources"], &["--resources"]),
    (&["sync", "--time-budget", "15m"], &["15m", "a number of seconds is needed"]),
    (&["sync", "--time-budget", "-1"], &["time_budget_seconds", "from 0 to"]),
    (&["sync", "--into"], &["--into"]),
    (&["sync", "--into", "a", "--into", "b"], &["--into", "multiple times"]),
    (&["sync", "--into", "https://example.com"], &["--into must start with s3:// or file:///"]),
    (&["sync", "--into", "~/x"], &["--into must not begin with ~", "write \"$HOME\" in its place"]),
    (&["status", "--into", "~"], &["--into must not begin with ~"]),
    (&["changes", "--into", "https://example.com"], &["--into must start with s3://"]),
    (&["check", "--into", "https://example.com"], &["--into must start with s3://"]),
    (&["check", "--resources", "userz"], &["\"userz\" (did you mean users?)"]),
    (&["check", "--resources", ","], &["resources names nothing"]),
    (&["check", "--force"], &["'--force'", "clerk-sync check --help"]),
    (&["lookup"], &["RESOURCE", "clerk-sync lookup --help"]),
    (&["lookup", "userz", "--id", "user_1"], &["'userz'", "a similar value exists: 'users'"]),
    (
        &["lookup", "users"],
        &["lookup users takes exactly one of --id, --email-address, --username, --external-id"],
    ),
    (&["lookup", "users", "--id", "user_1", "--username", "ada"], &["takes exactly one of --id"]),
    (&["lookup", "organization_roles", "--slug", "x"], &["lookup organization_roles takes --id"]),
    (&["lookup", "sessions", "--id", "sess_1", "--grants"], &["grants", "sessions"]),
    (&["changes", "--from", "20261120T035200Z-3f9a1c"], &["--to <SNAPSHOT>"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_command_ends_with_2_says_what_is_wrong_and_does_nothing() {
    let sandbox = Sandbox::new(Population::default().users(5));
    let clerk = sandbox.serve().await.expect("a port");
    let place = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}", place.path().join("out").display());
    let program = Program::new(&url, &clerk).in_folder(place.path());
    for (words, said) in WRONG {
        let message = program.clone().command(words).run().await.error(2, "InvalidEvent");
        for part in said {
            assert!(message.contains(part), "{words:?}: {message}");
        }
        assert!(message.ends_with("--help; nothing was done."), "{words:?}: {message}");
        assert!(!message.contains("Usage:"), "{words:?}: {message}");
    }
    assert_eq!(sandbox.total_requests(), 0);
    assert_eq!(std::fs::read_dir(place.path()).expect("it is there").count(), 0);
}

/// What is wrong with the command comes first; settings are read for a right one alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_terminal_it_is_a_sentence() {
    let finished = Program::bare().command(&["lookup", "users"]).on_terminal().run().await;
    assert_eq!(
        finished.complaint(2),
        "lookup users takes exactly one of --id, --email-address, --username, --external-id. Correct \
         the command, see clerk-sync lookup --help; nothing was done."
    );
    let in_json = Program::bare().command(&["lookup", "users", "--json"]).on_terminal().run().await;
    in_json.error(2, "InvalidEvent");
}

/// Arguments are seen by everybody on the machine, and shells keep them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_among_the_arguments_is_refused_and_not_shown() {
    let key = format!("sk_{}_planted9in9the9tests", "live");
    for words in [
        &[&*key][..],
        &["sync", &*key],
        &["lookup", "users", "--id", &key],
        &["sync", "--into", &key],
        &["check", &format!("--key={key}")],
    ] {
        let finished = Program::bare().command(words).run().await;
        let message = finished.error(2, "InvalidEvent");
        assert!(message.contains("put the key into CLERK_SECRET_KEY"), "{message}");
        for text in [&finished.stdout, &finished.stderr] {
            assert!(!text.contains("planted9in9"), "{text}");
        }
    }
}

/// No settings are needed to be told so, and on a terminal it is said once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistyped_command_is_recognised() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::bare().in_folder(folder.path());
    for (words, said) in [
        (&["chekc"][..], "there is no command or file \"chekc\"; did you mean check?"),
        (&["snyc", "--into", "./mine"], "there is no command or file \"snyc\"; did you mean sync?"),
        (&["--json", "stauts"], "there is no command or file \"stauts\"; did you mean status?"),
        (&["foo"], "there is no command or file \"foo\"."),
    ] {
        let expected = format!("{said} clerk-sync --help lists the commands; nothing was done.");
        let message = program.clone().command(words).run().await.error(2, "InvalidEvent");
        assert_eq!(message, expected);
        let finished = program.clone().command(words).on_terminal().run().await;
        if !words.contains(&"--json") {
            assert_eq!(finished.complaint(2), expected);
            assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        }
    }
    std::fs::write(folder.path().join("foo"), "{\"action\":\"snyc\"}").expect("a file");
    let message = program.argument("foo").run().await.error(2, "InvalidConfig");
    assert!(message.contains("SNAPSHOT_URL is required"), "a file is an event: {message}");
}
