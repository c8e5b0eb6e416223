//! The command line: what is refused, and how.

use clerk_snapshot::testing::SnapshotBuilder;

use crate::support::Place;
use crate::world::World;

// Promise: a wrong command line is exit status 2, a JSON error where JSON is expected, and a sentence for a person.
#[tokio::test]
async fn a_wrong_command_line_is_refused() {
    let place = Place::new();
    place.publish(&SnapshotBuilder::on_day(1));
    for arguments in [
        &["nonsense"][..],
        &["who"],
        &["who", "a", "b"],
        &["holders", "--role"],
        &["holders", "--nonsense"],
        &["--snapshot", "yesterday", "holders"],
        &["--output", "yaml", "holders"],
        &["holders", "--out", "/nonexistent/folder/a.csv", "-o", "json"],
        &["holders", "--out", "/"],
    ] {
        let answer = place.ask(arguments).await;
        assert_eq!(answer.error_type(2), "InvalidEvent", "{arguments:?}");
    }
    let table = place.ask(&["-o", "table", "nonsense"]).await;
    assert_eq!((table.status, table.stdout.as_str()), (2, ""));
    assert!(table.stderr.contains("nonsense"));
}

// Promise: an option that would have no meaning is refused with what to do instead, and not passed over.
#[tokio::test]
async fn a_snapshot_is_refused_where_it_would_mean_nothing() {
    let place = Place::new();
    let stored = place.publish(&World::new().snapshot(1));
    for (arguments, instead) in [
        (&["diff"][..], "FROM and TO"),
        (&["diff", "latest", "latest"], "FROM and TO"),
        (&["history", "user_007"], "all published snapshots"),
        (&["snapshots"], "lists all"),
        (&["verify", "--all"], "leave out one of the two"),
        (&["verify", "latest"], "leave out one of the two"),
    ] {
        for named in ["latest", stored.id()] {
            let answer = place.ask(&[&["--snapshot", named], arguments].concat()).await;
            assert_eq!(answer.error_type(2), "InvalidEvent", "{arguments:?}");
            assert!(answer.stderr.contains(instead), "{answer:?}");
        }
    }
    place.ask(&["--snapshot", stored.id(), "stats"]).await.answered();
}

// Promise: a folder that a shell did not put in the place of ~ is not made up.
#[tokio::test]
async fn a_tilde_is_not_a_folder() {
    let place = Place::new();
    for url in ["~/snapshots", "~", "~ada/snapshots"] {
        let answer = place.run(&["--url", url, "snapshots"]).await;
        assert_eq!(answer.error_type(2), "InvalidConfig", "{url}");
        assert!(answer.stderr.contains("must not begin with ~"), "{answer:?}");
    }
}

// Promise: without a place there is no answer, and the error says how to name one.
#[tokio::test]
async fn a_missing_place_is_refused() {
    let place = Place::new();
    let answer = place.run(&["holders"]).await;
    assert_eq!(answer.error_type(2), "InvalidConfig");
    assert!(answer.stderr.contains("--url"));
    let wrong = place.run(&["--url", "http://example.com", "holders"]).await;
    assert_eq!(wrong.error_type(2), "InvalidConfig");
}

// Promise: ./out is used if it holds snapshots, and relative folders are relative to the working folder.
#[tokio::test]
async fn folders_may_be_relative() {
    let place = Place::new();
    let snapshot = World::new().snapshot(1);
    let stored = snapshot.store_with(&mut |key, bytes| place.write(&format!("out/{key}"), &bytes));
    place.write("out/latest.json", &stored.latest_json());
    for arguments in
        [&["holders"][..], &["--url", "out", "holders"], &["holders", "--url", "./out"]]
    {
        assert_eq!(place.run(arguments).await.answered()["snapshot"]["snapshot_id"], stored.id());
    }
}

// Promise: a key that is given by mistake is not repeated.
#[tokio::test]
async fn a_key_is_not_repeated() {
    let place = Place::new();
    let key = format!("sk_{}_0123456789", "live");
    for arguments in
        [["--output", &key, "holders"], ["-o", "json", "holders"], ["-o", "csv", "who"]]
    {
        let arguments = if arguments[0] == "-o" {
            [&arguments[..], &[&key]].concat()
        } else {
            arguments.to_vec()
        };
        let answer = place.ask(&arguments).await;
        assert_eq!(answer.status, 2, "{answer:?}");
        assert!(
            !answer.stdout.contains("0123456789") && !answer.stderr.contains("0123456789"),
            "{answer:?}"
        );
    }
}

// Promise: every command explains itself with an example, and so do the manual and the completions.
#[tokio::test]
async fn every_command_has_help_with_an_example() {
    let place = Place::new();
    for command in [
        "snapshots",
        "who",
        "can",
        "holders",
        "access",
        "diff",
        "history",
        "completions",
        "man",
        "mcp",
    ] {
        let help = place.run(&[command, "--help"]).await;
        assert_eq!((help.status, help.stderr.as_str()), (0, ""));
        assert!(help.stdout.contains("Example"), "{command}");
        assert!(help.stdout.contains("clerk-access"), "{command}");
        let page = place.run(&["man", command]).await;
        assert!(page.status == 0 && page.stdout.contains(".TH"), "{command}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).await;
        assert!(script.status == 0 && script.stdout.contains("holders"), "{shell}");
    }
    assert!(place.run(&["--version"]).await.stdout.starts_with("clerk-access "));
    assert!(place.run(&["--help"]).await.stdout.contains("Exit status"));
}
