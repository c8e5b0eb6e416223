//! Promise: the API keys of every owner are read, owner by owner; an error never looks like an
//! owner without keys.

use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, Sandbox};
use serde_json::{Value, json};

use crate::support::further_lists::{
    REFUSALS, assert_equals_source, assert_failed, populated, sorted, text, world,
};
use crate::support::lists::API_KEYS;
use crate::support::pieces::{complete, complete_in_pieces};
use crate::support::plain::{FIRST, add, before_request, plain};
use crate::support::sessions::{refusing_sessions_of_all, with_sessions};

#[tokio::test(start_paused = true)]
async fn api_keys_of_all_owners_are_read() {
    let sandbox = populated();
    // More than one page for a single owner.
    let user = sandbox.ids("users")[7].clone();
    let sample = sandbox.rows("api_keys")[0].clone();
    for number in 0..250 {
        let mut key = sample.clone();
        key["id"] = format!("ak_{number:06}").into();
        key["subject"] = user.clone().into();
        key["created_at"] = (FIRST + number).into();
        sandbox.insert("api_keys", key).expect("the id is new");
    }
    assert_eq!(API_KEYS.records(&sandbox).len(), sandbox.count("api_keys"));
    sandbox.set_latency(Duration::from_millis(50), Duration::ZERO);
    let whole = complete(&world(&sandbox, &["api_keys"]), "at once").await;
    assert_equals_source(&whole, API_KEYS, &sandbox);
    let pieces = world(&sandbox, &["api_keys"]).with("MAX_CONCURRENCY", "2");
    let (invocations, cut) = complete_in_pieces(&pieces, 0.3, "in pieces").await;
    assert!(invocations > 3, "{invocations}");
    assert_eq!(cut.digests(), whole.digests());
    assert_eq!(sandbox.violations(), []);
}

/// Neither a 404 nor a body that is not a list means that an owner has no keys or sessions.
#[tokio::test(start_paused = true)]
async fn an_error_never_means_that_an_owner_owns_nothing() {
    for (list, path) in [("api_keys", "/v1/api_keys"), ("sessions", "/v1/sessions")] {
        for fault in [
            FaultRule::on(path).calls(3, u64::MAX).status(404, "resource_not_found"),
            FaultRule::on(path).calls(3, u64::MAX).effect(Effect::Body("[]".to_owned())),
        ] {
            let (sandbox, _) = with_sessions(30);
            refusing_sessions_of_all(&sandbox);
            sandbox.fault(fault.clone());
            let world = world(&sandbox, &[list]);
            let what = format!("{list}: {fault:?}");
            assert_failed(&complete(&world, &what).await, list, &what);
        }
    }
}

/// Rows of others must not replace the requested ones: some would be stored twice and others might
/// be missing, although every count agrees.
#[tokio::test(start_paused = true)]
async fn a_filter_that_is_ignored_is_noticed() {
    for (list, path, parameter) in [
        ("sessions", "/v1/sessions", "user_id"),
        ("api_keys", "/v1/api_keys", "subject"),
        ("invitations", "/v1/invitations", "status"),
    ] {
        let sandbox = populated();
        // This makes the sync read sessions user by user, from answers that ignore the user.
        sandbox.fault(FaultRule::on("/v1/sessions").call(1).status(400, "form_param_missing"));
        let ignored = Effect::IgnoreParameter(parameter.to_owned());
        sandbox.fault(FaultRule::on(path).with_parameter(parameter).effect(ignored));
        // The rows are dated long before and after the world's clock.
        let world = world(&sandbox, &[list]).with("SESSIONS_LOOKBACK_DAYS", "365");
        assert_failed(&complete(&world, list).await, list, "ignored");
    }
}

/// Reading starts again in the middle of an owner's rows, while pages are so large that nothing is
/// read ahead: the owner is listed once more, but not read once more.
#[tokio::test(start_paused = true)]
async fn an_owner_that_was_read_in_part_is_not_read_again_from_the_beginning() {
    const KEYS: usize = 1200;
    let sandbox = plain(510, 0, 0);
    let sample = populated().rows("api_keys")[0].clone();
    let owner = sandbox.ids("users")[0].clone();
    for number in 0..KEYS {
        let mut key = sample.clone();
        key["id"] = format!("key_{number:06}").into();
        key["subject"] = owner.clone().into();
        key["created_at"] = (FIRST + number as i64).into();
        sandbox.insert("api_keys", key).expect("the id is new");
    }
    // The third page cannot be read, and the list is requested once more.
    let third = FaultRule::on("/v1/api_keys").with_value("subject", &owner).past_offset(900);
    sandbox.fault(third.calls(1, 2).effect(Effect::Body("{}".to_owned())));
    // One request at a time, so the owners are listed only after the begun owner is complete.
    let world = world(&sandbox, &["users", "api_keys"]).with("MAX_CONCURRENCY", "1");
    let snapshot = complete(&world, "one owner").await;
    assert_eq!(snapshot.datasets["api_keys"].len(), KEYS);
    assert_eq!(snapshot.manifest["verified"], true);
    // Counts ask for a single row.
    let from_the_beginning = sandbox.requests().into_iter().filter(|request| {
        request.parameter("subject") == Some(&owner)
            && request.parameter("offset").is_none_or(|offset| offset == "0")
            && request.rows > 1
    });
    assert_eq!(from_the_beginning.count(), 1);
}

/// Clerk leaves an owner out of its list of owners. No count of anybody's keys says so, but Clerk counts more owners than
/// it lists: the dataset does not claim to be complete. The others' keys are there.
#[tokio::test(start_paused = true)]
async fn keys_are_not_verified_if_an_owner_is_not_listed() {
    for owners in ["users", "organizations", "machines"] {
        for calls in [1, u64::MAX] {
            let what = format!("{owners}, {calls} calls");
            let sandbox = populated();
            let hidden = hidden_owner(&sandbox, owners);
            // Not those that count the owners.
            let pages = FaultRule::on(format!("/v1/{owners}")).with_value("limit", "500");
            sandbox.fault(pages.calls(1, calls).effect(Effect::HideRow(hidden)));
            let snapshot = complete(&world(&sandbox, &["api_keys"]), &what).await;
            let entry = &snapshot.manifest["datasets"]["api_keys"];
            assert_eq!(entry["status"], "drifted", "{what}: {entry:#}");
            assert!(snapshot.datasets["api_keys"].len() < sandbox.count("api_keys"), "{what}");
        }
    }
}

/// The place in its list of an owner who has keys.
fn hidden_owner(sandbox: &Sandbox, owners: &str) -> usize {
    let keys = sandbox.rows("api_keys");
    let has_keys = |id: &String| keys.iter().any(|key| key["subject"] == *id);
    let place = sandbox.ids(owners).iter().position(has_keys);
    place.expect("somebody has keys")
}

/// An owner who was created after the owners were listed is found before the dataset is called complete.
#[tokio::test(start_paused = true)]
async fn the_keys_of_an_owner_created_meanwhile_are_read() {
    let sandbox = populated();
    // Counted before they are listed, and when all have been read.
    before_request(&sandbox, "/v1/users/count", 2, |sandbox| {
        let newest =
            sandbox.rows("users").iter().filter_map(|row| row["created_at"].as_i64()).max();
        add(sandbox, "users", "user_created_meanwhile", newest.expect("a user") + 1);
        let mut key = sandbox.rows("api_keys").pop().expect("a key");
        key["id"] = "ak_created_meanwhile".into();
        key["subject"] = "user_created_meanwhile".into();
        sandbox.insert("api_keys", key).expect("the id is new");
    });
    let snapshot = complete(&world(&sandbox, &["api_keys"]), "created meanwhile").await;
    assert_eq!(snapshot.manifest["datasets"]["api_keys"]["status"], "verified");
    assert_eq!(sorted(snapshot.ids("api_keys")), sorted(sandbox.ids("api_keys")));
    assert!(snapshot.ids("api_keys").contains(&"ak_created_meanwhile".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn refused_api_keys_are_skipped() {
    for (status, code) in REFUSALS {
        let sandbox = populated();
        sandbox.fault(FaultRule::on("/v1/api_keys").status(status, code));
        let snapshot = complete(&world(&sandbox, &["api_keys", "domains"]), code).await;
        let entry = &snapshot.manifest["datasets"]["api_keys"];
        assert_eq!((&entry["status"], &entry["reason"]), (&json!("skipped"), &json!(code)));
        assert_eq!(snapshot.manifest["datasets"]["domains"]["status"], "verified");
    }
}

/// If one kind of owner is refused, the keys of the others are stored, and the dataset does not
/// claim to be complete.
#[tokio::test(start_paused = true)]
async fn api_keys_are_skipped_if_one_kind_of_owner_is_refused() {
    for (owners, section) in
        [("users", "part-00-"), ("organizations", "part-01-"), ("machines", "part-02-")]
    {
        for (status, code) in REFUSALS {
            let sandbox = populated();
            let of_them = |key: &Value| sandbox.row(owners, text(&key["subject"])).is_some();
            let (refused, others): (Vec<Value>, Vec<Value>) =
                sandbox.rows("api_keys").into_iter().partition(of_them);
            assert!(!refused.is_empty() && !others.is_empty(), "{owners}");
            sandbox.fault(FaultRule::on(format!("/v1/{owners}")).status(status, code));
            let snapshot = complete(&world(&sandbox, &["api_keys"]), code).await;
            let entry = &snapshot.manifest["datasets"]["api_keys"];
            assert_eq!((&entry["status"], &entry["reason"]), (&json!("skipped"), &json!(code)));
            assert!(!entry["parts"].to_string().contains(section), "{entry:#}");
            let ids = others.iter().map(|key| text(&key["id"]).to_owned()).collect();
            assert_eq!(sorted(snapshot.ids("api_keys")), sorted(ids), "{owners}");
        }
    }
}

/// `check` reads the rows of the first owner if nothing else can be requested.
#[tokio::test(start_paused = true)]
async fn check_reads_one_row_of_lists_read_by_owner() {
    let sandbox = populated();
    refusing_sessions_of_all(&sandbox);
    let world = world(&sandbox, &["sessions", "api_keys"]);
    let answer = world.handle(json!({"action": "check"})).await.expect("check");
    let checks = answer.as_array().expect("checks");
    assert!(checks.iter().all(|check| check["ok"] == true), "{answer:#}");
    for name in ["sessions", "api_keys", "api_keys.1", "api_keys.2"] {
        assert!(checks.iter().any(|check| check["check"] == name), "{name}: {answer:#}");
    }
}
