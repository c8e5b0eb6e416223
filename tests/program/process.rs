//! The real program ends with the documented exit statuses, streams and reactions to signals, and a
//! killed process loses no data (promise 4).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use clerk_sandbox::{Population, Sandbox, Serving};
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::{FolderStore, S3Store};
use clerk_sync::clock::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::moto::Moto;
use crate::support::process::{Program, objects};
use crate::support::scene::named_by_latest;
use crate::support::snapshot::Snapshot;

/// A sandbox on a socket, and a folder for snapshots.
struct Place {
    sandbox: Sandbox,
    serving: Serving,
    folder: TempDir,
}

impl Place {
    async fn of(users: usize, organizations: usize, memberships: usize) -> Self {
        let population = Population::default()
            .users(users)
            .organizations(organizations)
            .memberships(memberships);
        let sandbox = Sandbox::new(population);
        let serving = sandbox.serve().await.expect("a free port");
        Self { sandbox, serving, folder: tempfile::tempdir().expect("a folder") }
    }

    async fn small() -> Self {
        Self::of(40, 6, 50).await
    }

    /// The program, writing to `name` in the folder.
    fn program_into(&self, name: &str) -> Program {
        let url = format!("file://{}", self.folder.path().join(name).display());
        Program::new(&url, &self.serving)
    }

    fn program(&self) -> Program {
        self.program_into("snapshots")
    }

    async fn published_in(&self, name: &str) -> Option<Snapshot> {
        Snapshot::of(&objects(&FolderStore::new(self.folder.path().join(name))).await)
    }

    async fn published(&self) -> Option<Snapshot> {
        self.published_in("snapshots").await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_complete_snapshot_ends_with_0_wherever_the_event_comes_from() {
    let place = Place::small().await;
    let file = place.folder.path().join("event.json");
    fs::write(&file, r#"{"action":"sync","force":true}"#).expect("an event");
    let programs = [
        place.program(),
        place.program().argument(file.to_str().expect("UTF-8")),
        place.program().event(&json!({"force": true})),
    ];
    for program in programs {
        let finished = program.run().await;
        let answer = finished.answer(0);
        assert_eq!(answer["status"], "complete", "{answer:#}");
        assert!(finished.stdout.ends_with("}\n"), "{:?}", finished.stdout);
        assert!(finished.stderr.contains("snapshot published"), "{}", finished.stderr);
        assert!(!finished.stderr.contains('\u{1b}'), "colours where there is no terminal");
        let published = place.published().await.expect("published");
        assert_eq!(published.latest["snapshot_id"], answer["snapshot_id"]);
        assert_eq!(published.ids("users"), place.sandbox.ids("users"));
    }
    assert_eq!(place.sandbox.violations(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skipped_and_answered_queries_end_with_0_and_a_check_that_fails_with_1() {
    let place = Place::small().await;
    let program = place.program().with("SNAPSHOT_INTERVAL_MINUTES", "60");
    assert_eq!(program.run().await.answer(0)["status"], "complete");
    assert_eq!(program.run().await.answer(0)["status"], "skipped");
    let status = program.clone().event(&json!({"action": "status"})).run().await.answer(0);
    assert!(status["latest"]["snapshot_id"].is_string(), "{status:#}");
    let check = program.clone().event(&json!({"action": "check"})).run().await.answer(0);
    let checks = check.as_array().expect("a list");
    assert!(checks.len() > 5 && checks.iter().all(|check| check["ok"] == true), "{check:#}");
    let wrong_key = program.with("CLERK_SECRET_KEY", "sk_test_another");
    let check = wrong_key.event(&json!({"action": "check"})).run().await.answer(1);
    let failed = |check: &Value| check["ok"] == false;
    assert!(check.as_array().expect("a list").iter().any(failed), "{check:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_and_busy_end_with_75_and_held_with_3() {
    let place = Place::small().await;
    let program = place.program();
    let answer = program.clone().event(&json!({"time_budget_seconds": 0})).run().await.answer(75);
    assert_eq!(answer["status"], "partial", "{answer:#}");
    let killed = program.run_and_signal("KILL", &place.sandbox, 3).await;
    assert_eq!(killed.status, None, "{killed:?}");
    let answer = program.run().await.answer(75);
    assert_eq!(answer["status"], "busy", "{answer:#}");

    let place = Place::small().await;
    let program = place.program();
    program.run().await.answer(0);
    for id in place.sandbox.ids("users").iter().take(30) {
        place.sandbox.delete("users", id);
    }
    let answer = program.run().await.answer(3);
    assert_eq!(answer["status"], "held", "{answer:#}");
    assert_eq!(answer["shrunk"]["users"], json!({"before": 40, "after": 10}));
    place.sandbox.clear_requests();
    let answer = program.event(&json!({"accept_shrink": true})).run().await.answer(0);
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert_eq!(place.sandbox.total_requests(), 0, "it is published without requests to Clerk");
    assert_eq!(place.published().await.expect("published").ids("users").len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_configuration_event_or_command_line_ends_with_2_and_does_nothing() {
    let place = Place::small().await;
    let program = place.program();
    let missing = place.folder.path().join("missing.json");
    let missing = missing.to_str().expect("UTF-8");
    let (config, event) = ("InvalidConfig", "InvalidEvent");
    let cases = [
        (Program::bare(), config, "SNAPSHOT_URL"),
        (program.clone().with("RESOURCES", ""), config, "RESOURCES"),
        (program.clone().with("COMPRESSION", "rar"), config, "COMPRESSION"),
        (program.clone().with("CLERK_SECRET_ID", "clerk"), config, "CLERK_SECRET_ID"),
        (program.clone().event(&json!({"action": "snyc"})), event, "snyc"),
        (program.clone().event(&json!({"forse": true})), event, "forse"),
        (program.clone().argument(missing), event, "missing.json"),
        (program.clone().argument("-"), event, "JSON"),
    ];
    for (program, name, named) in cases {
        let message = program.run().await.error(2, name);
        assert!(message.contains(named), "{named}: {message}");
    }
    for wrong in [program.clone().argument("--verbose"), program.command(&["one.json", "two.json"])]
    {
        let finished = wrong.run().await;
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(2), ""));
        assert!(finished.stderr.contains("clerk-sync --help"), "{}", finished.stderr);
    }
    assert_eq!(place.sandbox.total_requests(), 0);
    assert!(!place.folder.path().join("snapshots").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_other_error_ends_with_1_under_its_name() {
    let place = Place::small().await;
    let file = place.folder.path().join("file");
    fs::write(&file, "in the way").expect("a file");
    let cases = [
        (place.program().with("CLERK_SECRET_KEY", "sk_test_another"), "ClerkUnauthorized"),
        (place.program_into("file"), "StoreUnavailable"),
    ];
    for (program, name) in cases {
        let finished = program.run().await;
        finished.error(1, name);
        for text in [&finished.stdout, &finished.stderr] {
            assert!(!text.contains("sk_test_"), "{text}");
        }
    }
    assert!(place.published().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_and_version_need_no_setting() {
    for option in ["--help", "-h"] {
        let finished = Program::bare().argument(option).run().await;
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
        for word in ["clerk-sync [EVENT]", "SNAPSHOT_URL", "LEASE_SECONDS", "75"] {
            assert!(finished.stdout.contains(word), "{option} does not mention {word}");
        }
    }
    for option in ["--version", "-V"] {
        let finished = Program::bare().argument(option).run().await;
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""));
        assert_eq!(finished.stdout, concat!("clerk-sync ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_and_sigint_checkpoint_and_end_with_75() {
    let place = Place::of(1600, 6, 50).await;
    place.sandbox.set_latency(Duration::from_millis(100), Duration::ZERO);
    for signal in ["TERM", "INT"] {
        let program = place.program_into(signal);
        let finished = program.run_and_signal(signal, &place.sandbox, 3).await;
        let answer = finished.answer(75);
        assert_eq!(answer["status"], "partial", "{answer:#}");
        assert_eq!(answer["reason"], "interrupted", "{answer:#}");
        // The lease was released: the next run continues at once and does not start over.
        let answer = program.run().await.answer(0);
        assert_eq!(answer["status"], "complete", "{answer:#}");
        assert_eq!(answer["invocations"], 2, "{answer:#}");
        let published = place.published_in(signal).await.expect("published");
        assert_eq!(published.ids("users"), place.sandbox.ids("users"));
    }
}

/// Runs the program until it is complete, and waits while a killed holder still has the lease.
async fn finish(program: &Program) -> Value {
    loop {
        let finished = program.run().await;
        if finished.status == Some(0) {
            return finished.answer(0);
        }
        wait_for_the_lease(&finished.answer(75)).await;
    }
}

async fn wait_for_the_lease(busy: &Value) {
    assert_eq!(busy["status"], "busy", "{busy:#}");
    let until: Timestamp = busy["held_until"].as_str().expect("a time").parse().expect("RFC 3339");
    tokio::time::sleep(until.saturating_duration_since(Clock::system().now())).await;
}

/// The lists that were read, and how many pages of each were requested.
fn pages(sandbox: &Sandbox) -> BTreeMap<String, u64> {
    let mut by_path = sandbox.requests_by_path();
    by_path.retain(|path, _| path != "/v1/instance" && path != "/v1/users/count");
    by_path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_ten_random_requests_ends_with_the_same_digests() {
    const KILLS: u64 = 10;
    let place = Place::of(2600, 40, 3000).await;
    place.program_into("uninterrupted").run().await.answer(0);
    let uninterrupted = place.published_in("uninterrupted").await.expect("published").digests();
    let needed = pages(&place.sandbox);

    place.sandbox.clear_requests();
    let program = place.program().with("LEASE_SECONDS", "2");
    let mut random = fastrand::Rng::with_seed(20_261_120);
    let killed_at: Vec<u64> = (0..KILLS).map(|_| random.u64(1..=5)).collect();
    for request in &killed_at {
        loop {
            let finished = program.run_and_signal("KILL", &place.sandbox, *request).await;
            match finished.status {
                None => break,
                Some(75) => wait_for_the_lease(&finished.answer(75)).await,
                _ => panic!("{killed_at:?} did not keep it from completing: {finished:?}"),
            }
        }
    }
    finish(&program).await;

    let published = place.published().await.expect("published");
    assert_eq!(published.digests(), uninterrupted, "killed at {killed_at:?}");
    assert_eq!(published.manifest["verified"], true);
    for (list, asked) in pages(&place.sandbox) {
        let most = needed[&list] + 2 * KILLS;
        assert!(asked <= most, "{asked} pages of {list}, killed at {killed_at:?}");
    }
    let stored = objects(&FolderStore::new(place.folder.path().join("snapshots"))).await;
    let named = named_by_latest(&stored);
    assert_eq!(stored.into_keys().collect::<BTreeSet<_>>(), named, "files of killed processes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_holds_the_same_snapshot_as_a_folder() {
    let place = Place::of(700, 12, 800).await;
    place.program().run().await.answer(0);
    let in_folder = place.published().await.expect("published");

    let (moto, bucket) = (Moto::shared(), "program-snapshots");
    let config = moto.bucket(bucket).await;
    let program = Program::new(&format!("s3://{bucket}/clerk/production"), &place.serving)
        .with_aws(moto)
        .with("LEASE_SECONDS", "2");
    let killed = program.run_and_signal("KILL", &place.sandbox, 6).await;
    assert_eq!(killed.status, None, "{killed:?}");
    let answer = finish(&program).await;
    assert_eq!(answer["status"], "complete", "{answer:#}");

    let store = S3Store::new(&config, bucket, "clerk/production").expect("a store");
    let stored = objects(&store).await;
    let in_bucket = Snapshot::of(&stored).expect("published");
    assert_eq!(in_bucket.digests(), in_folder.digests());
    assert_eq!(in_bucket.datasets, in_folder.datasets);
    let manifest = in_bucket.latest["manifest"].as_str().expect("a key");
    assert_eq!(answer["manifest"], format!("s3://{bucket}/clerk/production/{manifest}"));
    assert!(!stored.contains_key("checkpoint.json"));
}
