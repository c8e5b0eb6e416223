//! Promise: on a terminal a command answers in words, the status first and what to do next last, with data that cannot
//! take over the terminal; elsewhere, and with `--json`, it answers as the event does. Exit statuses are the same.

use clerk_sandbox::{Population, Sandbox, Serving};
use serde_json::json;
use tempfile::TempDir;

use crate::support::process::Program;

struct Place {
    sandbox: Sandbox,
    clerk: Serving,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let population = Population::default().users(40).organizations(6).memberships(50);
        let sandbox = Sandbox::new(population);
        let clerk = sandbox.serve().await.expect("a port");
        Self { sandbox, clerk, folder: tempfile::tempdir().expect("a folder") }
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder.path().join("out").display())
    }

    fn program(&self, words: &[&str]) -> Program {
        Program::new(&self.url(), &self.clerk).command(words)
    }

    fn on_terminal(&self, words: &[&str]) -> Program {
        self.program(words).on_terminal()
    }
}

/// The first line begins with the status, and the last says what to do next.
fn assert_framed(words: &str, status: &str, next: &str) {
    let first = words.lines().next().unwrap_or_default();
    assert!(first.starts_with(&format!("{status}: ")), "{words}");
    let last = words.lines().next_back().unwrap_or_default();
    assert!(last.starts_with(&format!("Next: {next}")), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_says_how_it_ended_what_there_is_and_what_to_do_next() {
    let place = Place::new().await;
    let finished = place.on_terminal(&["sync", "--time-budget", "0"]).run().await;
    let words = finished.words(75);
    assert_framed(
        words,
        "partial",
        "run the same command again; it continues where this one stopped",
    );
    assert!(words.contains("because the time budget ran out"), "{words}");
    let restarted = place.on_terminal(&["sync", "--restart", "--time-budget", "0"]).run().await;
    assert_framed(
        restarted.words(75),
        "partial",
        "run the same command again, without --restart; it continues where this one stopped",
    );
    assert!(
        words.lines().any(|line| line.starts_with("  users ") && line.ends_with(" of 40")),
        "{words}"
    );

    let finished = place.on_terminal(&["sync"]).run().await;
    let words = finished.words(0);
    let next =
        format!("ask who can do what, for example: clerk-access --url {} findings", place.url());
    assert_framed(words, "complete", &next);
    assert!(words.contains("is published and agrees with Clerk's own counts.\n"), "{words}");
    let rows: Vec<&str> = words.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    assert_eq!(rows.len(), 6, "a row for each dataset: {words}");
    let width = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == width), "the numbers end in one column: {words}");
    assert!(rows.iter().any(|row| row.starts_with("  users ") && row.ends_with(" 40")), "{words}");
    for fact in [
        "  snapshot  ",
        "  manifest  file://",
        "  verified  yes",
        "  requests  ",
        " in 2 invocations",
    ] {
        assert!(words.contains(fact), "{fact}: {words}");
    }

    let fresh = place.on_terminal(&["sync"]).with("SNAPSHOT_INTERVAL_MINUTES", "60");
    assert_framed(fresh.run().await.words(0), "skipped", "nothing; to copy now");

    for id in place.sandbox.ids("users").iter().take(30) {
        place.sandbox.delete("users", id);
    }
    let finished = place.on_terminal(&["sync"]).run().await;
    let words = finished.words(3);
    assert_framed(words, "held", "if the loss is real, run the command again with --accept-shrink");
    let users = words.lines().find(|line| line.starts_with("  users "));
    assert!(users.is_some_and(|line| line.ends_with(" 10  was 40")), "{words}");
    place.on_terminal(&["sync", "--accept-shrink"]).run().await.words(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_another_invocation_is_waited_for() {
    let place = Place::new().await;
    let killed = place.program(&["sync"]).run_and_signal("KILL", &place.sandbox, 3).await;
    assert_eq!(killed.status, None, "{killed:?}");
    let finished = place.on_terminal(&["sync"]).run().await;
    assert_framed(finished.words(75), "busy", "wait for it; if it was killed");
    let finished = place.on_terminal(&["status"]).run().await;
    assert_framed(finished.words(0), "in progress", "nothing; an invocation is at work until");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_is_a_list_of_what_is_ok_and_what_is_not() {
    let place = Place::new().await;
    let finished = place.on_terminal(&["check"]).run().await;
    let words = finished.words(0);
    assert_framed(words, "ok", "clerk-sync sync copies the instance");
    let rows: Vec<&str> = words.lines().filter(|line| line.starts_with("  ok  ")).collect();
    assert_eq!(rows.len(), 8, "{words}");
    let column = rows[0].find("a Clerk secret key").expect("the detail of the secret");
    assert!(
        rows.iter().all(|row| &row[column - 2..column] == "  " && &row[column..=column] != " "),
        "{words}"
    );

    let finished =
        place.on_terminal(&["check"]).with("CLERK_SECRET_KEY", "sk_test_another").run().await;
    let words = finished.words(1);
    assert_framed(words, "not ok", "start with instance, the first that is not ok");
    assert!(words.lines().any(|line| line.starts_with("  ok      secret ")), "{words}");
    assert!(words.lines().any(|line| line.starts_with("  not ok  instance ")), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_shows_the_run_and_the_newest_snapshot() {
    let place = Place::new().await;
    let finished = place.on_terminal(&["status"]).run().await;
    let words = finished.words(0);
    assert_framed(words, "idle", "clerk-sync sync makes the first snapshot");
    assert!(words.contains("\nNewest snapshot: none is published yet\n"), "{words}");

    place.program(&["sync", "--time-budget", "0"]).run().await.answer(75);
    let finished = place.on_terminal(&["status"]).run().await;
    let words = finished.words(0);
    assert_framed(words, "in progress", "clerk-sync sync continues it");
    assert!(words.contains("\n  users "), "{words}");

    let answer = place.program(&["sync"]).run().await.answer(0);
    let finished = place.on_terminal(&["status"]).run().await;
    let words = finished.words(0);
    let id = answer["snapshot_id"].as_str().expect("an id");
    assert!(words.contains(&format!("\nNewest snapshot: {id}, completed at ")), "{words}");
    assert!(words.contains(", verified\n"), "{words}");
}

/// A record may hold anything: names are chosen by whoever signs up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_shows_the_record_and_no_data_takes_over_the_terminal() {
    let place = Place::new().await;
    let member = place.sandbox.rows("organization_memberships")[0].clone();
    let id = member["public_user_data"]["user_id"].as_str().expect("an id").to_owned();
    let rename = |row: &mut serde_json::Value| {
        row["first_name"] = json!("\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}Ada\r\nNext: pay");
        row["last_name"] = json!("Lovelace");
    };
    place.sandbox.update("users", &id, rename).expect("a user");
    let finished = place.on_terminal(&["lookup", "users", "--id", &id, "--grants"]).run().await;
    let words = finished.words(0);
    assert!(words.starts_with("found: Found 1 record of users, with "), "{words}");
    let line = |name: &str| {
        let found = words.lines().find(|line| line.trim_start().starts_with(name));
        found.unwrap_or_else(|| panic!("{name}: {words}"))
    };
    assert!(line("id ").ends_with(&id), "{words}");
    assert!(line("profile.last_name ").ends_with(" Lovelace"), "{words}");
    let name = line("profile.first_name ");
    assert!(
        name.ends_with(r"\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}Ada\u{d}\u{a}Next: pay"),
        "{name}"
    );
    assert!(!words.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r']), "{words:?}");
    let organization = member["organization"]["id"].as_str().expect("an id");
    let (_, grants) = words.split_once("\nGrants:\n").expect("grants");
    let grant = grants.lines().find(|grant| grant.contains(organization)).expect("a grant");
    assert!(grant.starts_with(&format!("  user {id} ")) && grant.contains("  since 20"), "{words}");

    let finished = place.on_terminal(&["lookup", "users", "--id", "user_nobody"]).run().await;
    assert_framed(
        finished.words(0),
        "not found",
        "check the value; clerk-sync check shows which instance",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_counted_by_event() {
    let place = Place::new().await;
    let first = place.program(&["sync"]).run().await.answer(0);
    let gone = place.sandbox.ids("users")[0].clone();
    place.sandbox.delete("users", &gone);
    let second = place.program(&["sync"]).run().await.answer(0);
    let [from, to] = [&first, &second].map(|it| it["snapshot_id"].as_str().expect("an id"));
    let finished = place.on_terminal(&["changes", "--from", from, "--to", to]).run().await;
    let words = finished.words(0);
    let next = format!("clerk-access --url {} diff {from} {to} shows each of them", place.url());
    assert_framed(words, "complete", &next);
    let removed = words.lines().find(|line| line.starts_with("  user_removed "));
    assert!(removed.is_some_and(|line| line.ends_with(" 1")), "{words}");

    let owed = place.on_terminal(&["changes"]).with("CHANGES", "access").run().await;
    let words = owed.words(0);
    let next = format!("nothing; clerk-access --url {} diff shows what changed", place.url());
    assert_framed(words, "complete", &next);
    assert!(words.contains(&format!("\n  {to}\n")), "{words}");
    let elsewhere = place.folder.path().join("else where");
    std::fs::rename(place.folder.path().join("out"), &elsewhere).expect("it is moved");
    let into =
        ["changes", "--into", elsewhere.to_str().expect("UTF-8"), "--from", from, "--to", to];
    let moved = place.on_terminal(&into).run().await;
    let next = format!(
        "clerk-access --url file://{} diff {from} {to} shows each of them",
        elsewhere.display().to_string().replace(' ', "%20")
    );
    assert_framed(moved.words(0), "complete", &next);
    let message = place.on_terminal(&["changes"]).run().await;
    assert!(message.complaint(2).contains("CHANGES is off"), "{message:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_a_sentence_on_a_terminal_and_a_document_elsewhere() {
    let place = Place::new().await;
    let file = place.folder.path().join("file");
    std::fs::write(&file, "in the way").expect("a file");
    let in_the_way = format!("file://{}", file.display());
    for (program, status, name) in [
        (place.program(&["sync"]).with("SNAPSHOT_URL", &in_the_way), 1, "StoreUnavailable"),
        (place.program(&["status"]).with("SNAPSHOT_URL", ""), 2, "InvalidConfig"),
        (place.program(&["lookup", "users", "--id", "a b"]), 2, "InvalidEvent"),
    ] {
        let message = program.run().await.error(status, name);
        let on_terminal = program.clone().on_terminal();
        assert_eq!(on_terminal.run().await.complaint(status), message);
        let json = on_terminal.argument("--json").run().await.error(status, name);
        assert_eq!(json, message);
    }
}

/// An event is answered as before, also on a terminal: programs send events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_answered_where_it_is_asked_for_and_to_every_event() {
    let place = Place::new().await;
    for program in [
        place.program(&["sync"]),
        place.on_terminal(&["sync", "--json"]),
        place.on_terminal(&["--json", "sync"]),
        place.on_terminal(&[]),
        place.program(&[]),
    ] {
        let answer = program.run().await.answer(0);
        assert_eq!(answer["status"], "complete", "{answer:#}");
    }
    let status = place.on_terminal(&[]).event(&json!({"action": "status"})).run().await.answer(0);
    assert!(status["latest"].is_object(), "{status:#}");
}
