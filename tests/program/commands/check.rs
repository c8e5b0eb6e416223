//! Promise: `check` leaves nothing behind, and what a sync needs is asked for before it does anything.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clerk_sandbox::{Population, Sandbox, Serving};
use serde_json::json;
use tempfile::TempDir;

use crate::support::process::Program;

/// An instance, and a folder to work in.
struct Place {
    sandbox: Sandbox,
    clerk: Serving,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let sandbox = Sandbox::new(Population::default().users(5).organizations(2).memberships(4));
        let clerk = sandbox.serve().await.expect("a port");
        Self { sandbox, clerk, folder: tempfile::tempdir().expect("a folder") }
    }

    fn program(&self, folder: &Path, words: &[&str]) -> Program {
        let url = format!("file://{}", folder.display());
        Program::new(&url, &self.clerk).command(words)
    }
}

/// The paths of everything below a folder.
fn below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.insert(path);
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_leaves_every_folder_as_it_was() {
    let place = Place::new().await;
    let root = place.folder.path();
    let (new, empty, used, copied) =
        (root.join("deep/new"), root.join("empty"), root.join("used"), root.join("copied"));
    fs::create_dir(&empty).expect("a folder");
    fs::create_dir(&used).expect("a folder");
    fs::write(used.join("notes.txt"), "mine").expect("a file");
    place.program(&copied, &["sync"]).run().await.answer(0);
    let before = below(root);
    for folder in [&new, &empty, &used, &copied] {
        let checks = place.program(folder, &["check"]).run().await.answer(0);
        let stored = checks.as_array().expect("a list").iter().find(|it| it["check"] == "store");
        let detail = stored.expect("the store")["detail"].as_str().expect("a detail");
        assert!(detail.contains(&*folder.to_string_lossy()), "{detail}");
        assert_eq!(below(root), before, "{}", folder.display());
    }
    assert!(!root.join("deep").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_takes_the_options_of_a_sync() {
    let place = Place::new().await;
    let words = ["check", "--into", "./new", "--resources", "users"];
    let program = Program::new("", &place.clerk).with("RESOURCES", "").command(&words);
    let checks = program.in_folder(place.folder.path()).run().await.answer(0);
    let checks = checks.as_array().expect("a list");
    let names: Vec<&str> = checks.iter().filter_map(|it| it["check"].as_str()).collect();
    assert_eq!(names, ["secret", "instance", "users", "store"]);
    let detail = checks[3]["detail"].as_str().expect("a detail");
    assert!(detail.contains("/new can be written, read, listed and deleted from;"), "{detail}");
    assert!(!place.folder.path().join("new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_without_a_region_is_found_before_clerk_is_asked() {
    let place = Place::new().await;
    let folder = place.folder.path().join("out");
    let signed = |words: &[&str]| {
        place
            .program(&folder, words)
            .with("SIGNING_KEY_ID", "alias/clerk-sync")
            .with("AWS_ACCESS_KEY_ID", "testing")
            .with("AWS_SECRET_ACCESS_KEY", "testing")
    };
    let message = signed(&["sync"]).run().await.error(2, "InvalidConfig");
    assert!(message.starts_with("AWS_REGION is not set"), "{message}");
    assert_eq!(place.sandbox.total_requests(), 0);
    assert!(!folder.exists());
    let checks = signed(&["check"]).run().await.answer(1);
    let last = checks.as_array().and_then(|checks| checks.last()).expect("a check");
    assert_eq!((&last["check"], &last["ok"]), (&json!("signing"), &json!(false)), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_asks_for_the_place_alone() {
    let place = Place::new().await;
    let folder = place.folder.path().join("out");
    let url = format!("file://{}", folder.display());
    let bare = || Program::bare().in_folder(place.folder.path());
    let nothing = json!({"run": null, "latest": null});
    for program in [
        bare().command(&["status", "--into", "out"]),
        bare().command(&["status", "--into", "./out"]).with("SNAPSHOT_URL", "wrong"),
        bare().command(&["status"]).with("SNAPSHOT_URL", &url),
        bare().event(&json!({"action": "status"})).with("SNAPSHOT_URL", &url),
    ] {
        assert_eq!(program.run().await.answer(0), nothing, "{program:?}");
    }
    assert!(!folder.exists(), "it reads, and makes nothing");
    let answer = place.program(&folder, &["sync"]).run().await.answer(0);
    let status = bare().command(&["status", "--into", "out"]).run().await.answer(0);
    assert_eq!(status["latest"]["snapshot_id"], answer["snapshot_id"]);

    let message = bare().command(&["status"]).run().await.error(2, "InvalidConfig");
    assert!(message.contains("SNAPSHOT_URL") && !message.contains("RESOURCES"), "{message}");
    assert!(!message.contains("CLERK_SECRET"), "{message}");
    // What is set must be right.
    let wrong = bare().command(&["status", "--into", "out"]).with("RESOURCES", "userz");
    assert!(wrong.run().await.error(2, "InvalidConfig").contains("userz"));
    let message = bare().with("SNAPSHOT_URL", &url).argument("-").run().await;
    assert_eq!(message.status, Some(2), "every other event needs everything");
}
