//! Promise: sessions are read as one list, or user by user if Clerk does not list them all. Each is
//! in the snapshot once either way.

use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, Sandbox};
use clerk_store::Operation;
use serde_json::{Value, json};

use crate::support::faulty_store::{self, Fault};
use crate::support::further_lists::{REFUSALS, sorted, text, world};
use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::scene::{PAST_THE_LEASE, cut_at_request};
use crate::support::sessions::{asking_user_by_user, refusing_sessions_of_all, with_sessions};
use crate::support::world::{START, World};

#[tokio::test(start_paused = true)]
async fn sessions_are_read_as_one_list_if_clerk_lists_them_all() {
    let (sandbox, _) = with_sessions(60);
    let snapshot = complete(&world(&sandbox, &["sessions"]), "whole").await;
    assert_eq!(sorted(snapshot.ids("sessions")), sorted(sandbox.ids("sessions")));
    assert_eq!(snapshot.manifest["datasets"]["sessions"]["walk"], "offset");
    assert_eq!(sandbox.request_count("/v1/sessions"), 1);
    assert_eq!(sandbox.request_count("/v1/users"), 0);
    let statuses = snapshot.datasets["sessions"].iter().map(|row| &row["profile"]["status"]);
    assert!(statuses.into_iter().all(|status| status == "a_status_of_the_future"));
}

/// If Clerk refuses the whole list, or leaves it empty, the sessions of each active user are
/// requested.
#[tokio::test(start_paused = true)]
async fn sessions_are_read_user_by_user_if_clerk_does_not_list_them_all() {
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

/// If Clerk refuses the whole list with a feature's code but answers for a single user, the feature
/// is there. If no user was active, there is nobody to ask about, and nothing is known.
#[tokio::test(start_paused = true)]
async fn sessions_are_read_user_by_user_if_only_the_whole_list_is_refused() {
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

/// If nobody has a session, Clerk's empty list is believed once a few users have been asked about.
#[tokio::test(start_paused = true)]
async fn sessions_that_nobody_has_are_not_looked_for_user_by_user() {
    let (sandbox, _) = with_sessions(60);
    for session in sandbox.ids("sessions") {
        assert!(sandbox.delete("sessions", &session), "it is there");
    }
    let snapshot = complete(&world(&sandbox, &["sessions"]), "no sessions").await;
    let entry = &snapshot.manifest["datasets"]["sessions"];
    assert_eq!((&entry["status"], &entry["walk"]), (&json!("verified"), &json!("offset")));
    let asked = sandbox.request_count("/v1/sessions");
    assert!(asked <= 1 + 5, "{asked} requests");
}

/// If Clerk refuses the sessions and also refuses to list the users, nobody can be asked about. The sessions are skipped
/// with their own code, and nothing else is.
#[tokio::test(start_paused = true)]
async fn sessions_are_skipped_if_their_users_are_refused_too() {
    for (status, code) in REFUSALS {
        let (sandbox, _) = with_sessions(60);
        sandbox.fault(FaultRule::on("/v1/sessions").status(status, code));
        sandbox.fault(FaultRule::on("/v1/users").status(422, "a_feature_not_enabled"));
        let snapshot = complete(&world(&sandbox, &["sessions", "domains"]), code).await;
        let datasets = &snapshot.manifest["datasets"];
        let said = (&datasets["sessions"]["status"], &datasets["sessions"]["reason"]);
        assert_eq!(said, (&json!("skipped"), &json!(code)), "{datasets:#}");
        assert_eq!(datasets["domains"]["status"], "verified", "{datasets:#}");
    }
}

/// Any other failure to list the users says nothing about the sessions: the run ends, and continues later.
#[tokio::test(start_paused = true)]
async fn sessions_are_not_skipped_if_their_users_cannot_be_listed_for_another_reason() {
    for (status, code, name) in [
        (503, "unavailable", "ClerkUnavailable"),
        (403, "authorization_invalid", "ClerkUnauthorized"),
    ] {
        let (sandbox, _) = with_sessions(9);
        sandbox.fault(FaultRule::on("/v1/sessions").status(403, "feature_not_enabled"));
        sandbox.fault(FaultRule::on("/v1/users").status(status, code));
        let world = world(&sandbox, &["sessions"]);
        let error = ends(&world, json!({})).await.expect_err(name);
        assert_eq!(error.name(), name, "{error:?}");
        assert!(error.message().contains("/users"), "{}", error.message());
        assert!(world.published().is_none(), "{name}");
        sandbox.clear_faults();
        let snapshot = complete(&world, name).await;
        assert_eq!(sorted(snapshot.ids("sessions")), sorted(sandbox.ids("sessions")), "{name}");
        assert_eq!(snapshot.manifest["datasets"]["sessions"]["status"], "verified", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_are_read_user_by_user_if_large_offsets_fail() {
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

/// Clerk knows on which day a user was last active. All users of the first day that counts are asked about, whether or
/// not Clerk includes the bound of its filter, and none of the day before.
#[tokio::test(start_paused = true)]
async fn sessions_look_back_by_whole_days() {
    const DAY: i64 = 86_400_000;
    let (sandbox, of_the_active) = with_sessions(60);
    refusing_sessions_of_all(&sandbox);
    let today = START as i64 / DAY * DAY;
    let first_day = today - 30 * DAY;
    for (user, last_active) in [("user_000001", first_day), ("user_000002", first_day - DAY)] {
        let change = |row: &mut Value| row["last_active_at"] = last_active.into();
        sandbox.update("users", user, change).expect("it is there");
    }
    let snapshot = complete(&world(&sandbox, &["sessions"]), "whole days").await;
    // The first user has one session.
    let mut expected = of_the_active;
    expected.splice(1..1, ["sess_000001_1".to_owned(), "sess_000001_0".to_owned()]);
    assert_eq!(snapshot.ids("sessions"), expected);
    let before = (first_day - 1).to_string();
    let mut of_users = sandbox.requests();
    of_users.retain(|request| request.path.starts_with("/v1/users"));
    assert!(!of_users.is_empty(), "users are listed");
    for request in of_users {
        assert_eq!(request.parameter("last_active_at_after"), Some(&*before), "{request:?}");
    }
}

/// Nothing was requested twice because of interruptions, except the instance and one page of users
/// each time.
fn assert_two_requests_each(world: &World, active: u64, interruptions: u64) {
    let asked = world.sandbox.requests_by_path();
    // One for each user, and one for the whole list, which was refused.
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

/// A run that requests the sessions of thousands of users is continued as often as necessary.
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

/// While the sessions of some users are stored, those of the next ones are requested: a store that takes its time does
/// not leave the rate unused.
#[tokio::test(start_paused = true)]
async fn users_are_asked_about_while_a_slow_store_writes() {
    let (world, of_the_active) = asking_user_by_user(600, "1.0");
    // Every write takes a second.
    world.store.fault(Fault::new(Operation::Put, faulty_store::Effect::Linger).from(1));
    let snapshot = complete(&world, "a slow store").await;
    assert!(snapshot.ids("sessions") == of_the_active, "each once, in the users' order");
    let requests = world.sandbox.requests().into_iter();
    let of_users = requests.filter(|request| request.parameter("user_id").is_some());
    let times: Vec<_> = of_users.map(|request| request.at).collect();
    assert_eq!(times.len(), 600);
    // By then, enough of them are stored together. The rate allows almost ten a second, and one store after the other
    // would leave half of that unused.
    let last_third = times[599] - times[399];
    assert!(last_third < Duration::from_secs(28), "{last_third:?}");
}

/// A kill loses the requests in flight and the rows not yet stored: at this slow rate two requests,
/// however many are in flight (`docs/decisions/0005-read-ahead.md`).
#[tokio::test(start_paused = true)]
async fn a_kill_while_reading_user_by_user_costs_two_requests() {
    for share in ["0.5", "1.0"] {
        let (world, of_the_active) = asking_user_by_user(600, share);
        let mut lost = 0;
        let kills = [4, 5, 6, 9, 14, 20, 200, 120, 60];
        for requests in kills {
            assert!(cut_at_request(&world, requests).await.is_none(), "killed at {requests}");
            tokio::time::advance(PAST_THE_LEASE).await;
            // One of them is the whole list, which was refused.
            let asked = world.sandbox.request_count("/v1/sessions");
            let lost_by_now = asked - 1 - users_passed(&world);
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

/// The number of users that the checkpoint has passed.
fn users_passed(world: &World) -> u64 {
    let objects = world.memory.objects();
    let checkpoint: Value = serde_json::from_slice(&objects["checkpoint.json"]).expect("JSON");
    checkpoint["lists"]["sessions"]["windows"][0]["place"]["offset"].as_u64().unwrap_or(0)
}

/// Users without sessions count as progress: even the smallest budget gets past them.
#[tokio::test(start_paused = true)]
async fn users_without_sessions_count_as_progress() {
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

/// `check` says what a sync would do about a refusal.
#[tokio::test(start_paused = true)]
async fn check_requests_sessions_as_a_sync_would() {
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
