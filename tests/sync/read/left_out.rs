//! Promise: only a code that says that the instance lacks a feature skips a list. A key without
//! permission is an error, a temporary failure is retried, and any other list that cannot be read
//! fails alone unless access depends on it.

use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, Population, Sandbox};
use clerk_snapshot::resource::Resource;
use clerk_sync::error::Error;
use serde_json::{Value, json};

use crate::support::lists::PLAIN_LISTS;
use crate::support::oracle::PATHS;
use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::plain;
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

/// Rows in every list.
fn populated() -> Sandbox {
    let population = Population::default().users(30).organizations(6).memberships(40);
    Sandbox::new(population.other_rows(7))
}

fn everything() -> Vec<&'static str> {
    Resource::ALL.iter().map(|resource| resource.name()).collect()
}

fn world(sandbox: &Sandbox) -> World {
    let world = World::new(sandbox.clone()).with("COMPRESSION", "none");
    world.with("RESOURCES", &everything().join(","))
}

fn entry<'a>(snapshot: &'a Snapshot, dataset: &str) -> &'a Value {
    &snapshot.manifest["datasets"][dataset]
}

/// The sync must fail under this name, with a message that says where and why, and publish nothing.
/// Afterwards the run continues as if nothing had happened.
async fn fails(world: &World, name: &str, words: &[&str], what: &str) -> Error {
    let error = match ends(world, json!({})).await {
        Err(error) => error,
        Ok(answer) => panic!("{what}: {answer:#}"),
    };
    assert_eq!(error.name(), name, "{what}: {error:?}");
    for word in words {
        assert!(error.message().contains(word), "{what}: {word}: {}", error.message());
    }
    assert!(world.published().is_none(), "{what}");
    error
}

/// The metrics count the datasets of a published snapshot that are skipped, failed and drifted.
#[tokio::test(start_paused = true)]
async fn metrics_count_the_datasets_that_are_left_out() {
    let sandbox = populated();
    for (list, status, code) in [
        ("invitations", 403, "feature_not_enabled"),
        ("jwt_templates", 404, "resource_not_found"),
        ("redirect_urls", 404, "resource_not_found"),
    ] {
        sandbox.fault(FaultRule::on(format!("/v1/{list}")).status(status, code));
    }
    let world = World::new(sandbox).with("COMPRESSION", "none");
    let world = world.with("RESOURCES", "users,invitations,jwt_templates,redirect_urls");
    world.complete().await;
    let outcomes = world.measured().outcomes.expect("a snapshot was published");
    assert_eq!((outcomes.skipped, outcomes.failed, outcomes.drifted), (1, 2, 0));
}

// ---- The key lacks permission

const ABOUT_THE_KEY: [&str; 6] = [
    "authorization_invalid",
    "authorization_missing_scopes",
    "action_blocked",
    "not_allowed_access",
    "quota_exceeded",
    "a_code_of_the_future",
];

#[tokio::test(start_paused = true)]
async fn a_403_about_the_key_is_an_error_and_no_skipped_dataset() {
    let sandbox = populated();
    let whole = complete(&world(&sandbox), "nothing refused").await.digests();
    let others = ["/v1/users/count", "/v1/instance", "/v1/jwt_templates", "/v1/machines"];
    for path in PATHS.into_iter().chain(others) {
        for code in ABOUT_THE_KEY {
            let what = format!("{path}: {code}");
            let world = world(&sandbox);
            sandbox.clear_requests();
            sandbox.fault(FaultRule::on(path).status(403, code));
            let named = path.trim_start_matches("/v1");
            let error = fails(&world, "ClerkUnauthorized", &[named, code, "key"], &what).await;
            assert!(!error.message().contains("not valid"), "{what}: {}", error.message());
            assert_eq!(sandbox.request_count(path), 1, "{what}: it is not requested again");
            sandbox.clear_faults();
            assert_eq!(complete(&world, &what).await.digests(), whole, "{what}");
        }
    }
}

/// The snapshot published before stays.
#[tokio::test(start_paused = true)]
async fn a_403_about_the_key_replaces_no_snapshot() {
    let sandbox = populated();
    let world = world(&sandbox).with("SHRINK_GUARD_PERCENT", "0");
    complete(&world, "before").await;
    let latest = world.memory.objects()["latest.json"].clone();
    sandbox.fault(FaultRule::on("/v1/users").status(403, "authorization_invalid"));
    let error = ends(&world, json!({})).await.unwrap_err();
    assert_eq!(error.name(), "ClerkUnauthorized");
    assert_eq!(world.memory.objects()["latest.json"], latest);
}

// ---- Temporary failures

type Trouble = (&'static str, fn(FaultRule) -> FaultRule);

const TRY_AGAIN: [Trouble; 8] = [
    ("408", |rule| rule.status(408, "request_timeout")),
    ("409 locked", |rule| rule.status(409, "resource_locked")),
    ("425", |rule| rule.status(425, "too_early")),
    ("400 of a proxy", |rule| rule.effect(Effect::Html(400))),
    ("403 of a firewall", |rule| rule.effect(Effect::Html(403))),
    ("404 of a proxy", |rule| rule.effect(Effect::Html(404))),
    ("407 of a proxy", |rule| rule.effect(Effect::Html(407))),
    ("413 of a proxy", |rule| rule.effect(Effect::Html(413))),
];

#[tokio::test(start_paused = true)]
async fn temporary_failures_are_retried() {
    let sandbox = populated();
    let whole = complete(&world(&sandbox), "undisturbed").await.digests();
    for (name, trouble) in TRY_AGAIN {
        for path in PATHS.into_iter().chain(["/v1/users/count", "/v1/domains", "/v1/sessions"]) {
            let what = format!("{path}: {name}");
            sandbox.clear_faults();
            sandbox.fault(trouble(FaultRule::on(path)).calls(1, 3));
            let world = world(&sandbox);
            let answer =
                ends(&world, json!({})).await.unwrap_or_else(|it| panic!("{what}: {it:?}"));
            assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
            assert_eq!(answer["retries"], 3, "{what}");
            assert_eq!(world.published().expect("published").digests(), whole, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn temporary_failures_without_end_are_clerk_unavailable() {
    for (name, trouble) in TRY_AGAIN {
        for path in ["/v1/instance", "/v1/organization_memberships", "/v1/blocklist_identifiers"] {
            let what = format!("{path}: {name}");
            let sandbox = populated();
            let world = world(&sandbox);
            sandbox.fault(trouble(FaultRule::on(path)));
            let named = path.trim_start_matches("/v1");
            fails(&world, "ClerkUnavailable", &[named, &name[..3]], &what).await;
            let attempts = sandbox.request_count(path);
            assert!((2..10).contains(&attempts), "{what}: {attempts} attempts");
        }
    }
}

/// An outage of pages is no fault of a list's rows, filters or offsets, although its first row can still be
/// requested: the list is not begun again, nor read in another way.
#[tokio::test(start_paused = true)]
async fn an_outage_of_pages_is_clerk_unavailable_although_single_rows_are_answered() {
    for (list, dataset, pages) in [
        ("organizations", "organizations", FaultRule::on("/v1/organizations").past_offset(400)),
        ("users", "users", FaultRule::on("/v1/users").with_parameter("starting_after")),
        (
            "organization_memberships",
            "grants",
            FaultRule::on("/v1/organization_memberships").with_value("limit", "500"),
        ),
    ] {
        let sandbox = plain(1200, 1200, 700);
        let world = || World::new(sandbox.clone()).with("RESOURCES", list);
        let whole = complete(&world(), list).await;
        sandbox.fault(pages.status(503, "unavailable"));
        let world = world();
        fails(&world, "ClerkUnavailable", &[list], list).await;
        sandbox.clear_faults();
        let snapshot = complete(&world, list).await;
        assert_eq!(snapshot.digests(), whole.digests(), "{list}");
        assert_eq!(entry(&snapshot, dataset)["walk"], entry(&whole, dataset)["walk"], "{list}");
    }
}

// ---- Lists that cannot be read

const UNREADABLE: [Trouble; 6] = [
    ("404", |rule| rule.status(404, "resource_not_found")),
    ("an unheard-of code", |rule| rule.status(400, "a_code_of_the_future")),
    ("402 without a feature's code", |rule| rule.status(402, "insufficient_seats")),
    ("409", |rule| rule.status(409, "conflict")),
    ("no list", |rule| rule.effect(Effect::Body("{}".to_owned()))),
    ("HTML", |rule| rule.effect(Effect::Html(200))),
];

/// Everything is published except the list that cannot be read; its dataset is `failed`, and does
/// not look empty.
#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_fails_alone() {
    let sandbox = populated();
    let whole = complete(&world(&sandbox), "undisturbed").await;
    // Machines add to the datasets of others: the next test covers them.
    for list in PLAIN_LISTS.iter().filter(|list| list.resource != "machines") {
        for (name, trouble) in UNREADABLE {
            let what = format!("{}: {name}", list.path);
            sandbox.clear_faults();
            sandbox.fault(trouble(FaultRule::on(format!("/v1/{}", list.path))));
            let world = world(&sandbox);
            let answer =
                ends(&world, json!({})).await.unwrap_or_else(|it| panic!("{what}: {it:?}"));
            assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
            assert_eq!(answer["verified"], false, "{what}: {answer:#}");
            let message = answer["message"].as_str().expect("a message");
            assert!(message.contains(list.resource), "{what}: {message}");
            assert!(message.contains("could not be read"), "{what}: {message}");
            let snapshot = world.published().expect("published");
            assert_failed(&snapshot, list.resource, list.path, &what);
            assert!(answer["records"].get(list.resource).is_none(), "{what}: {answer:#}");
            for (dataset, it) in snapshot.manifest["datasets"].as_object().expect("datasets") {
                if dataset != list.resource {
                    assert_eq!(it["status"], "verified", "{what}: {dataset}");
                    let same = &entry(&whole, dataset)["content_digest"];
                    assert_eq!(it["content_digest"], *same, "{what}: {dataset}");
                }
            }
        }
    }
}

fn assert_failed(snapshot: &Snapshot, dataset: &str, path: &str, what: &str) {
    let entry = entry(snapshot, dataset);
    assert_eq!(entry["status"], "failed", "{what}: {entry:#}");
    let reason = entry["reason"].as_str().expect("a reason");
    assert!(reason.contains(path), "{what}: {reason}");
    assert_eq!(entry["records"], 0, "{what}");
    assert_eq!(entry["parts"], json!([]), "{what}");
    assert_eq!(entry["content_digest"], Value::Null, "{what}: {dataset} is not an empty set");
    assert_eq!(snapshot.manifest["verified"], false, "{what}");
    assert_eq!(snapshot.latest["verified"], false, "{what}");
}

/// Machines add to the datasets of others. These keep the other rows and say that some are missing.
#[tokio::test(start_paused = true)]
async fn machines_that_cannot_be_read_leave_the_grants_of_users() {
    let sandbox = populated();
    let whole = complete(&world(&sandbox), "undisturbed").await;
    // The second reading finds out which machines each may call.
    for (first, what) in [(1, "at first"), (2, "the second time")] {
        sandbox.clear_faults();
        let rule = FaultRule::on("/v1/machines").calls(first, u64::MAX);
        sandbox.fault(rule.status(404, "resource_not_found"));
        let world = world(&sandbox).with("RESOURCES", &everything_but("api_keys"));
        let snapshot = complete(&world, what).await;
        assert_failed(&snapshot, "machines", "/machines", what);
        let grants = entry(&snapshot, "grants");
        assert_eq!(grants["status"], "skipped", "{what}: {grants:#}");
        assert!(grants["reason"].as_str().expect("a reason").contains("/machines"), "{what}");
        let of_users = |snapshot: &Snapshot| -> Vec<Value> {
            let grants = snapshot.datasets["grants"].iter();
            grants.filter(|row| row["principal"]["type"] != "machine").cloned().collect()
        };
        assert!(!of_users(&whole).is_empty());
        assert_eq!(of_users(&snapshot), of_users(&whole), "{what}");
        for dataset in ["users", "organizations", "organization_roles", "sessions"] {
            assert_eq!(entry(&snapshot, dataset)["status"], "verified", "{what}: {dataset}");
        }
    }
}

fn everything_but(resource: &str) -> String {
    let names = everything().into_iter().filter(|name| *name != resource);
    names.collect::<Vec<_>>().join(",")
}

/// API keys cannot be read if their owners cannot be listed.
#[tokio::test(start_paused = true)]
async fn api_keys_fail_with_the_list_of_their_owners() {
    let sandbox = populated();
    sandbox.fault(FaultRule::on("/v1/machines").status(404, "resource_not_found"));
    let world = world(&sandbox).with("RESOURCES", "users,api_keys");
    let snapshot = complete(&world, "owners").await;
    assert_failed(&snapshot, "api_keys", "/machines", "owners");
    assert_eq!(entry(&snapshot, "users")["status"], "verified");
}

/// A snapshot without one of the five essential lists is not published.
#[tokio::test(start_paused = true)]
async fn an_essential_list_that_cannot_be_read_is_an_error() {
    let sandbox = populated();
    let whole = complete(&world(&sandbox), "undisturbed").await.digests();
    for path in PATHS {
        for (name, trouble) in UNREADABLE {
            let what = format!("{path}: {name}");
            let world = world(&sandbox);
            sandbox.fault(trouble(FaultRule::on(path)));
            let named = path.trim_start_matches("/v1");
            fails(&world, "ClerkProtocol", &[named], &what).await;
            sandbox.clear_faults();
            assert_eq!(complete(&world, &what).await.digests(), whole, "{what}");
        }
    }
}

/// The roles are also read for the memberships.
#[tokio::test(start_paused = true)]
async fn an_essential_list_is_essential_whatever_it_is_read_for() {
    let sandbox = populated();
    sandbox.fault(FaultRule::on("/v1/organization_roles").status(404, "resource_not_found"));
    let world = world(&sandbox).with("RESOURCES", "organization_memberships");
    fails(&world, "ClerkProtocol", &["/organization_roles", "404"], "for memberships").await;
}

/// A later invocation knows that a list has failed.
#[tokio::test(start_paused = true)]
async fn a_failed_list_stays_failed_after_a_resume() {
    let sandbox = populated();
    sandbox.fault(FaultRule::on("/v1/domains").status(404, "resource_not_found"));
    let world = world(&sandbox);
    let (invocations, snapshot) = complete_in_pieces(&world, 0.0, "in pieces").await;
    assert!(invocations > 5, "{invocations}");
    assert_failed(&snapshot, "domains", "/domains", "in pieces");
}

// ---- One more request

/// A list is not dropped because of one answer once some of its rows were read.
#[tokio::test(start_paused = true)]
async fn a_list_with_rows_is_requested_once_more_before_it_is_left_out() {
    let instance = || {
        let sandbox = plain(520, 4, 540);
        sandbox.set_latency(Duration::from_millis(5), Duration::ZERO);
        sandbox
    };
    let whole = complete(&World::new(instance()), "undisturbed").await.digests();
    for path in ["/v1/users", "/v1/organization_memberships"] {
        for seconds in [None, Some(0.0)] {
            let what = format!("{path}, {seconds:?} seconds each");
            let sandbox = instance();
            let rule = FaultRule::on(path).call(2);
            sandbox.fault(rule.status(403, "feature_not_enabled"));
            let world = World::new(sandbox.clone());
            let snapshot = match seconds {
                None => complete(&world, &what).await,
                Some(seconds) => complete_in_pieces(&world, seconds, &what).await.1,
            };
            assert_eq!(snapshot.digests(), whole, "{what}");
            assert_eq!(snapshot.manifest["verified"], true, "{what}");
        }
    }
}

/// The list is requested once more, but not again.
#[tokio::test(start_paused = true)]
async fn a_list_that_stays_refused_is_requested_only_once_more() {
    let sandbox = plain(520, 4, 540);
    let rule = FaultRule::on("/v1/users").calls(2, u64::MAX);
    sandbox.fault(rule.status(403, "feature_not_enabled"));
    let snapshot = complete(&World::new(sandbox.clone()), "refused").await;
    assert_eq!(entry(&snapshot, "users")["status"], "skipped");
    assert_eq!(sandbox.request_count("/v1/users"), 3);
}
