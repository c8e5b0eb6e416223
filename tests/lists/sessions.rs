//! Sessions are read as one list, and user by user where Clerk does not list them all; each is in the
//! snapshot once either way.

use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, Sandbox};
use serde_json::{Value, json};

use crate::support::further_lists::{REFUSALS, sorted, text, world};
use crate::support::pieces::{complete, complete_in_pieces};
use crate::support::scene::{PAST_THE_LEASE, cut_at_request};
use crate::support::sessions::{asking_user_by_user, refusing_sessions_of_all, with_sessions};
use crate::support::world::World;

#[tokio::test(start_paused = true)]
async fn sessions_are_read_as_a_whole_where_clerk_lists_them_so() {
    let (sandbox, _) = with_sessions(60);
    let snapshot = complete(&world(&sandbox, &["sessions"]), "whole").await;
    assert_eq!(sorted(snapshot.ids("sessions")), sorted(sandbox.ids("sessions")));
    assert_eq!(snapshot.manifest["datasets"]["sessions"]["walk"], "offset");
    assert_eq!(sandbox.request_count("/v1/sessions"), 1);
    assert_eq!(sandbox.request_count("/v1/users"), 0);
    let statuses = snapshot.datasets["sessions"].iter().map(|row| &row["profile"]["status"]);
    assert!(statuses.into_iter().all(|status| status == "a_status_of_the_future"));
}

/// Where Clerk refuses the whole list, or leaves it empty, each active user is asked for.
#[tokio::test(start_paused = true)]
async fn sessions_are_read_user_by_user_where_clerk_does_not_list_them_all() {
    type Trouble = fn(&Sandbox);
    let troubles: [(&str, Trouble); 3] = [
        ("refused", refusing_sessions_of_all),
        ("empty", |sandbox| {
            let empty = r#"{"data":[],"total_count":0}"#.to_owned();
            sandbox.fault(FaultRule::on("/v1/sessions").call(1).effect(Effect::Body(empty)));
        }),
        ("cut short", |sandbox| {
            sandbox
                .fault(FaultRule::on("/v1/sessions").calls(1, 3).effect(Effect::TruncatePage(0)));
        }),
    ];
    for (what, trouble) in troubles {
        let (sandbox, of_the_active) = with_sessions(60);
        trouble(&sandbox);
        let snapshot = complete(&world(&sandbox, &["sessions"]), what).await;
        assert_eq!(snapshot.ids("sessions"), of_the_active, "{what}");
        let entry = &snapshot.manifest["datasets"]["sessions"];
        assert_eq!(entry["status"], "verified", "{what}: {entry:#}");
        assert_eq!(entry["walk"], "by_owner", "{what}");
        assert_eq!(entry["source_count"]["after"], of_the_active.len(), "{what}");
        assert!(!snapshot.datasets.contains_key("users"), "{what}");
    }
}

/// Where Clerk refuses the list of all with a code that means a feature, and answers for a user, the
/// feature is there; where nobody was active, nobody can be asked for, and nothing is known.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_all_sessions_is_none_of_each_users() {
    for (status, code) in REFUSALS {
        for (lookback, is_read) in [("30", true), ("0", false)] {
            let (sandbox, of_the_active) = with_sessions(60);
            sandbox.fault(FaultRule::on("/v1/sessions").call(1).status(status, code));
            let world = world(&sandbox, &["sessions"]).with("SESSIONS_LOOKBACK_DAYS", lookback);
            let snapshot = complete(&world, code).await;
            let entry = &snapshot.manifest["datasets"]["sessions"];
            if is_read {
                assert_eq!(snapshot.ids("sessions"), of_the_active, "{code}");
                assert_eq!(entry["status"], "verified", "{entry:#}");
                assert_eq!(entry["walk"], "by_owner", "{code}");
            } else {
                let said = (&entry["status"], &entry["reason"]);
                assert_eq!(said, (&json!("skipped"), &json!(code)), "{entry:#}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_are_read_user_by_user_where_large_offsets_are_not_answered() {
    let (sandbox, of_the_active) = with_sessions(600);
    let fault = FaultRule::on("/v1/sessions").past_offset(400);
    sandbox.fault(fault.status(504, "gateway_timeout"));
    let snapshot = complete(&world(&sandbox, &["sessions"]), "no large offsets").await;
    assert_eq!(snapshot.ids("sessions"), of_the_active);
    assert_eq!(snapshot.manifest["datasets"]["sessions"]["walk"], "by_owner");
}

#[tokio::test(start_paused = true)]
async fn how_far_sessions_look_back_is_a_setting() {
    let (sandbox, _) = with_sessions(60);
    refusing_sessions_of_all(&sandbox);
    let world = world(&sandbox, &["sessions"]).with("SESSIONS_LOOKBACK_DAYS", "40");
    let snapshot = complete(&world, "40 days").await;
    assert_eq!(sorted(snapshot.ids("sessions")), sorted(sandbox.ids("sessions")));
}

/// Of what a run of `active` users would have asked for without interruptions, nothing was asked
/// for again but the instance and a page of users each time.
fn assert_two_requests_each(world: &World, active: u64, interruptions: u64) {
    let asked = world.sandbox.requests_by_path();
    // One for each user, and the whole list that was refused.
    assert_eq!(asked["/v1/sessions"], active + 1);
    assert_eq!(asked["/v1/instance"], 1 + interruptions);
    let pages = active.div_ceil(500);
    let users = asked["/v1/users"];
    assert!(
        users <= pages + interruptions,
        "{users} pages of users, {interruptions} interruptions"
    );
    assert_eq!(asked["/v1/users/count"], 1, "to say whether there is time for all of them");
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(world.sandbox.rate_limited_count(), 0);
}

/// A run that asks for thousands of users' sessions is continued as often as it takes.
#[tokio::test(start_paused = true)]
async fn sessions_user_by_user_continue_over_many_invocations() {
    for (active, seconds, least) in [(600, 5.0, 20), (10_000, 450.0, 4)] {
        let (world, of_the_active) = asking_user_by_user(active, "0.5");
        let (invocations, snapshot) = complete_in_pieces(&world, seconds, "by user").await;
        assert!(invocations > least, "{invocations}");
        assert!(snapshot.ids("sessions") == of_the_active, "each once, in the users' order");
        assert_two_requests_each(&world, active as u64, invocations as u64 - 1);
        let parts = snapshot.manifest["datasets"]["sessions"]["parts"].as_array().expect("parts");
        assert!(parts.len() <= 28, "{} parts", parts.len());
    }
}

/// Whoever is killed loses what was on its way or waited to be stored: at a pace this slow two
/// requests, however much is safe (`docs/decisions/0005-at-stake.md`).
#[tokio::test(start_paused = true)]
async fn a_kill_while_users_are_asked_for_one_by_one_costs_little() {
    for share in ["0.5", "1.0"] {
        let (world, of_the_active) = asking_user_by_user(600, share);
        let mut lost = 0;
        let kills = [4, 5, 6, 9, 14, 20, 200, 120, 60];
        for requests in kills {
            assert!(cut_at_request(&world, requests).await.is_none(), "killed at {requests}");
            tokio::time::advance(PAST_THE_LEASE).await;
            // One is the whole list that was refused.
            let asked = world.sandbox.request_count("/v1/sessions");
            let lost_by_now = asked - 1 - passed(&world);
            assert!(lost_by_now - lost <= 2, "{} lost at {requests}", lost_by_now - lost);
            lost = lost_by_now;
        }
        let snapshot = complete(&world, "killed").await;
        assert!(snapshot.ids("sessions") == of_the_active, "each once, in the users' order");
        let asked = world.sandbox.requests_by_path();
        assert_eq!(asked["/v1/sessions"], 600 + 1 + lost);
        assert_eq!(asked["/v1/instance"], 1 + kills.len() as u64);
        assert!(asked["/v1/users"] <= 2 + kills.len() as u64, "{asked:?}");
        assert_eq!(world.sandbox.rate_limited_count(), 0);
    }
}

/// How many users the checkpoint stands behind.
fn passed(world: &World) -> u64 {
    let objects = world.memory.objects();
    let checkpoint: Value = serde_json::from_slice(&objects["checkpoint.json"]).expect("JSON");
    checkpoint["lists"]["sessions"]["windows"][0]["place"]["offset"].as_u64().unwrap_or(0)
}

/// Owners without anything are progress as well: the smallest budget gets through them.
#[tokio::test(start_paused = true)]
async fn users_without_sessions_are_passed_in_any_number_of_pieces() {
    let (sandbox, _) = with_sessions(300);
    for id in sandbox.ids("sessions") {
        sandbox.delete("sessions", &id);
    }
    refusing_sessions_of_all(&sandbox);
    sandbox.set_latency(Duration::from_millis(100), Duration::ZERO);
    let world = world(&sandbox, &["sessions"]).with("MAX_CONCURRENCY", "8");
    let (invocations, snapshot) = complete_in_pieces(&world, 1.0, "nobody has any").await;
    assert!(invocations > 2, "{invocations}");
    assert_eq!(snapshot.datasets["sessions"], [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn refused_sessions_are_skipped_whichever_way_they_are_read() {
    for (status, code) in REFUSALS {
        let (sandbox, _) = with_sessions(9);
        refusing_sessions_of_all(&sandbox);
        let rule = FaultRule::on("/v1/sessions").with_parameter("user_id");
        sandbox.fault(rule.status(status, code));
        let snapshot = complete(&world(&sandbox, &["sessions"]), code).await;
        let entry = &snapshot.manifest["datasets"]["sessions"];
        assert_eq!((&entry["status"], &entry["reason"]), (&json!("skipped"), &json!(code)));
    }
}

/// `check` says what a sync would make of a refusal.
#[tokio::test(start_paused = true)]
async fn check_asks_for_sessions_as_a_sync_would() {
    for (users, is_read) in [(9, true), (0, false)] {
        for (status, code) in REFUSALS {
            let (sandbox, _) = with_sessions(users);
            sandbox.fault(FaultRule::on("/v1/sessions").call(1).status(status, code));
            let answer = world(&sandbox, &["sessions"]).handle(json!({"action": "check"})).await;
            let answer = answer.expect("check");
            let checks = answer.as_array().expect("checks");
            let of_sessions = checks.iter().find(|check| check["check"] == "sessions");
            let of_sessions = of_sessions.expect("a check of sessions");
            assert_eq!(of_sessions["ok"], is_read, "{code}: {answer:#}");
            let says_skipped = text(&of_sessions["detail"]).contains("a snapshot would skip it");
            assert_eq!(says_skipped, !is_read, "{code}: {answer:#}");
        }
    }
}
