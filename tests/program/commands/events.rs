//! Promise: each command makes the event that it stands for, and an option wins over the setting of the same meaning.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clerk_sandbox::{Population, Sandbox};
use clerk_snapshot::resource::Resource;
use clerk_store::SnapshotUrl;
use clerk_sync::config::{Config, Place};
use serde_json::json;

use super::asked;
use crate::support::process::Program;

#[test]
fn a_command_is_an_event() {
    for (words, event) in [
        (&["sync"][..], json!({"action": "sync"})),
        (&["sync", "--json"], json!({"action": "sync"})),
        (&["--json", "sync", "--force"], json!({"action": "sync", "force": true})),
        (&["sync", "--restart"], json!({"action": "sync", "restart": true})),
        (&["sync", "--accept-shrink"], json!({"action": "sync", "accept_shrink": true})),
        (&["sync", "--into", "./here"], json!({"action": "sync"})),
        (
            &["sync", "--resources", "users, organizations,"],
            json!({"action": "sync", "resources": ["users", "organizations"]}),
        ),
        (
            &["sync", "--resources=users", "--time-budget", "60", "--force", "--restart"],
            json!({"action": "sync", "resources": ["users"], "time_budget_seconds": 60,
                   "force": true, "restart": true}),
        ),
        (&["sync", "--time-budget", "0.5"], json!({"action": "sync", "time_budget_seconds": 0.5})),
        (&["check"], json!({"action": "check"})),
        (&["status"], json!({"action": "status"})),
        (&["status", "--into", "./here"], json!({"action": "status"})),
        (
            &["lookup", "users", "--email-address", "ada@example.com", "--grants"],
            json!({"action": "lookup", "resource": "users", "email_address": "ada@example.com",
                   "grants": true}),
        ),
        (
            &["lookup", "users", "--username", "ada"],
            json!({"action": "lookup", "resource": "users", "username": "ada"}),
        ),
        (
            &["lookup", "users", "--external-id", "7"],
            json!({"action": "lookup", "resource": "users", "external_id": "7"}),
        ),
        (
            &["lookup", "organizations", "--slug", "acme"],
            json!({"action": "lookup", "resource": "organizations", "slug": "acme"}),
        ),
        (
            &[
                "lookup",
                "organization_memberships",
                "--organization-id",
                "org_1",
                "--user-id",
                "user_1",
            ],
            json!({"action": "lookup", "resource": "organization_memberships",
                   "organization_id": "org_1", "user_id": "user_1"}),
        ),
        (
            &[
                "lookup",
                "organization_invitations",
                "--organization-id",
                "org_1",
                "--id",
                "orginv_1",
            ],
            json!({"action": "lookup", "resource": "organization_invitations",
                   "organization_id": "org_1", "id": "orginv_1"}),
        ),
        (
            &["lookup", "sessions", "--id", "sess_1"],
            json!({"action": "lookup", "resource": "sessions", "id": "sess_1"}),
        ),
        (&["changes"], json!({"action": "changes"})),
        (&["changes", "--into", "./here"], json!({"action": "changes"})),
        (
            &["changes", "--from", "20261120T035200Z-3f9a1c", "--to", "20261121T040348Z-e4072d"],
            json!({"action": "changes", "from": "20261120T035200Z-3f9a1c",
                   "to": "20261121T040348Z-e4072d"}),
        ),
    ] {
        let asked = asked(words, &[]);
        assert_eq!(asked.document, event, "{words:?}");
        assert_eq!(asked.json, words.contains(&"--json"), "{words:?}");
    }
}

const WRONG: [(&str, &str); 4] = [
    ("SNAPSHOT_URL", "not a url"),
    ("RESOURCES", "nonsense"),
    ("TIME_BUDGET_SECONDS", "soon"),
    ("CLERK_SECRET_ID", "clerk/production"),
];

// Whatever the setting holds: it is not read.
#[test]
fn an_option_wins_over_the_setting_of_the_same_meaning() {
    let command = ["sync", "--into", "/srv/a b", "--resources", "users", "--time-budget", "1.5"];
    let asked = asked(&command, &WRONG);
    let config = Config::from_environment(&asked.environment, Place::Program).expect("valid");
    assert_eq!(config.snapshot_url, SnapshotUrl::Folder(PathBuf::from("/srv/a b")));
    assert_eq!(Vec::from_iter(config.resources), [Resource::Users]);
    assert_eq!(config.time_budget, Some(Duration::from_millis(1500)));
    assert_eq!(asked.event.time_budget(), config.time_budget);
}

#[test]
fn the_options_of_a_check_are_settings() {
    let asked = asked(&["check", "--into", "/srv/a b", "--resources", "users,"], &WRONG[..2]);
    assert_eq!(asked.document, json!({"action": "check"}));
    let environment = asked.environment.with("CLERK_SECRET_ID", "clerk/production");
    let config = Config::from_environment(&environment, Place::Program).expect("valid");
    assert_eq!(config.snapshot_url, SnapshotUrl::Folder(PathBuf::from("/srv/a b")));
    assert_eq!(Vec::from_iter(config.resources), [Resource::Users]);
}

#[test]
fn a_setting_without_an_option_stays() {
    for command in [&["sync"][..], &["check"], &["status"], &["changes"]] {
        let asked = asked(command, &WRONG);
        let invalid = Config::from_environment(&asked.environment, Place::Program).unwrap_err();
        let named: Vec<&str> = invalid.problems().iter().map(|problem| problem.variable).collect();
        assert_eq!(named, ["SNAPSHOT_URL", "RESOURCES", "TIME_BUDGET_SECONDS"], "{command:?}");
    }
}

/// `--into ./folder` is a folder below the current one, which need not exist; `file://` and `s3://` are as in the setting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_may_be_relative_and_need_not_exist() {
    let sandbox = Sandbox::new(Population::default().users(5).organizations(2).memberships(4));
    let clerk = sandbox.serve().await.expect("a port");
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path().canonicalize().expect("it exists");
    fs::create_dir(place.join("within")).expect("a folder");
    let program = Program::new("", &clerk).with("RESOURCES", "").in_folder(&place.join("within"));
    for (into, folder) in [
        ("./new", "within/new"),
        ("deep/er", "within/deep/er"),
        ("../beside it", "beside it"),
        (&*format!("file://{}/url", place.display()), "url"),
        (&*format!("{}/absolute", place.display()), "absolute"),
    ] {
        let command = ["sync", "--into", into, "--resources", "users"];
        let answer = program.clone().command(&command).run().await.answer(0);
        assert_eq!(answer["records"], json!({"users": 5}), "{into}: {answer:#}");
        assert!(place.join(folder).join("latest.json").is_file(), "{into}: {answer:#}");
    }
}

/// A command word is a command even where a file has that name, and the file is given as `./check`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_called_check_is_given_with_its_folder() {
    let sandbox = Sandbox::new(Population::default().users(5));
    let clerk = sandbox.serve().await.expect("a port");
    let place = tempfile::tempdir().expect("a folder");
    fs::write(place.path().join("check"), r#"{"action":"status"}"#).expect("an event");
    let url = format!("file://{}", place.path().join("out").display());
    let program = Program::new(&url, &clerk).with("RESOURCES", "users").in_folder(place.path());
    let answer = program.clone().argument("./check").run().await.answer(0);
    assert_eq!(answer, json!({"run": null, "latest": null}));
    let answer = program.argument("check").run().await.answer(0);
    assert_eq!(answer[0]["check"], "secret", "{answer:#}");
}
