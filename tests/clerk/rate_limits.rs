//! Promise: the allowed rate is used and never exceeded, `Retry-After` stops all requests until
//! then, a wait longer than the budget becomes a checkpoint, and the limit on concurrent requests
//! is kept.

use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, Sandbox};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::pieces::{complete, ends};
use crate::support::plain::plain;
use crate::support::world::World;

/// The period of Clerk's limits.
const WINDOW: Duration = Duration::from_secs(10);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A world with this limit, of a Clerk whose pages hold ten users: a run takes many requests.
fn world_of_many_requests(users: usize, requests_per_10s: usize, share: &str) -> World {
    let sandbox = plain(users, 0, 0);
    sandbox.fault(FaultRule::on("/v1/users").truncate_page(10));
    World::new(sandbox)
        .with("RESOURCES", "users")
        .with("COMPRESSION", "none")
        .with("CLERK_REQUESTS_PER_10S", &requests_per_10s.to_string())
        .with("CLERK_RATE_SHARE", share)
}

/// When each request arrived.
fn arrivals(sandbox: &Sandbox) -> Vec<Instant> {
    sandbox.requests().iter().map(|request| request.at).collect()
}

/// The most requests in any span of this length, its end not included.
fn most_within(arrivals: &[Instant], span: Duration) -> usize {
    arrivals
        .iter()
        .map(|&from| arrivals.iter().filter(|&&at| at >= from && at < from + span).count())
        .max()
        .unwrap_or(0)
}

/// The share used of the requests allowed between the first and the last one.
fn share_used(arrivals: &[Instant], requests_per_10s: f64) -> f64 {
    let took = arrivals[arrivals.len() - 1] - arrivals[0];
    (arrivals.len() - 1) as f64 / (requests_per_10s * took.as_secs_f64() / WINDOW.as_secs_f64())
}

/// A run under an enforced limit uses at least 90 % of what is allowed, and gets at most 1 % of
/// answers with 429.
async fn assert_limit_used(limit: usize, share: &str, users: usize) {
    let world = world_of_many_requests(users, limit, share);
    world.sandbox.limit(limit, WINDOW);
    let snapshot = complete(&world, "under a limit").await;
    assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
    let allowed = limit as f64 * share.parse::<f64>().unwrap();
    let arrivals = arrivals(&world.sandbox);
    assert!(arrivals.len() as f64 > 3.0 * allowed, "too few requests: {}", arrivals.len());
    let used = share_used(&arrivals, allowed);
    assert!(used >= 0.9, "{limit} × {share}: only {used:.3} of what is allowed is used");
    let refused = world.sandbox.rate_limited_count();
    assert!(refused * 100 <= arrivals.len() as u64, "{refused} of {} refused", arrivals.len());
    assert!(
        world.sandbox.busiest_window() as f64 <= allowed,
        "{limit} × {share}: {} requests in ten seconds",
        world.sandbox.busiest_window()
    );
    assert_eq!(most_within(&arrivals, WINDOW), world.sandbox.busiest_window());
}

#[tokio::test(start_paused = true)]
async fn a_development_instance_is_read_at_its_limit_and_not_above() {
    assert_limit_used(100, "1", 3200).await;
}

#[tokio::test(start_paused = true)]
async fn with_half_the_share_never_more_than_half_the_limit_is_used() {
    assert_limit_used(100, "0.5", 1600).await;
}

#[tokio::test(start_paused = true)]
async fn small_shares_are_kept_too() {
    assert_limit_used(100, "0.25", 800).await;
}

#[tokio::test(start_paused = true)]
async fn a_production_instance_is_read_at_a_quarter_of_its_limit() {
    assert_limit_used(1000, "0.25", 7200).await;
}

/// All lists, several pages in flight, with latency: together they keep within the limit.
#[tokio::test(start_paused = true)]
async fn all_lists_together_keep_within_the_limit() {
    let sandbox = plain(700, 700, 1500);
    for path in ["/v1/users", "/v1/organizations", "/v1/organization_memberships"] {
        sandbox.fault(FaultRule::on(path).truncate_page(20));
    }
    sandbox.set_latency(Duration::from_millis(700), Duration::from_millis(600));
    sandbox.limit(100, WINDOW);
    let world = World::new(sandbox.clone())
        .with("COMPRESSION", "none")
        .with("CLERK_REQUESTS_PER_10S", "100")
        .with("CLERK_RATE_SHARE", "1");
    complete(&world, "every list").await;
    assert_eq!(sandbox.rate_limited_count(), 0);
    assert!(sandbox.busiest_window() <= 100);
    assert!(sandbox.total_requests() > 100, "too few requests to say anything");
}

/// If the customer's own application uses up the limit, the run survives the 429s.
#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lower_than_expected_is_survived() {
    let world = world_of_many_requests(900, 1000, "1");
    world.sandbox.limit(30, WINDOW);
    let snapshot = complete(&world, "a lower limit").await;
    assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
    let refused = world.sandbox.rate_limited_count();
    assert!(refused > 0);
    // A refusal names the time of the next free place, so there is at most one for each place used.
    assert!(refused <= world.sandbox.total_requests() / 2 + 1, "{refused} refused");
}

#[tokio::test(start_paused = true)]
async fn without_retry_after_it_backs_off_and_still_finishes() {
    fastrand::seed(7);
    let world = world_of_many_requests(600, 1000, "1");
    world.sandbox.limit_without_retry_after(20, WINDOW);
    let snapshot = complete(&world, "429 without Retry-After").await;
    assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
    let refused = world.sandbox.rate_limited_count();
    assert!(refused > 0);
    let most = 20 * world.sandbox.total_requests().div_ceil(20);
    assert!(refused < most, "{refused} of {} refused", world.sandbox.total_requests());
}

// Retry-After.

/// A world of a few pages in which these calls of `/users` are answered 429, with this header.
fn world_refusing(calls: std::ops::RangeInclusive<u64>, retry_after: Option<&str>) -> World {
    let sandbox = plain(1100, 10, 600);
    refuse(&sandbox, calls, retry_after);
    World::new(sandbox).with("COMPRESSION", "none").with("CLERK_REQUESTS_PER_10S", "1000")
}

fn refuse(sandbox: &Sandbox, calls: std::ops::RangeInclusive<u64>, retry_after: Option<&str>) {
    sandbox.fault(FaultRule::on("/v1/users").calls(*calls.start(), *calls.end()).effect(
        Effect::Refuse {
            status: 429,
            code: "too_many_requests".to_owned(),
            retry_after: retry_after.map(str::to_owned),
        },
    ));
}

/// No request of any list arrived within `pause` after each refusal.
fn assert_silent_after_refusals(sandbox: &Sandbox, pause: Duration) {
    let requests = sandbox.requests();
    let refusals: Vec<_> = requests.iter().filter(|request| request.status == Some(429)).collect();
    assert!(!refusals.is_empty());
    for refusal in refusals {
        for request in &requests {
            assert!(
                request.at <= refusal.at || request.at >= refusal.at + pause,
                "{} was asked {:?} after a refusal",
                request.path,
                request.at - refusal.at
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_stops_every_request_until_then() {
    for call in 1..=3 {
        let world = world_refusing(call..=call, Some("7"));
        let started = Instant::now();
        let snapshot = complete(&world, "Retry-After: 7").await;
        assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
        assert_silent_after_refusals(&world.sandbox, seconds(7));
        assert!(started.elapsed() < seconds(9), "it waits no longer than Clerk asked for");
        assert_eq!(snapshot.manifest["run"]["rate_limited"], 1);
        assert_eq!(snapshot.manifest["run"]["retries"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_as_a_date_is_understood() {
    // The world's clock begins at noon.
    let world = world_refusing(2..=2, Some("Thu, 20 Nov 2025 12:00:30 GMT"));
    let started = Instant::now();
    complete(&world, "Retry-After with a date").await;
    // The refusal comes within the first second.
    assert_silent_after_refusals(&world.sandbox, seconds(29));
    assert!((seconds(29)..seconds(32)).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_a_503_is_honoured_too() {
    let sandbox = plain(600, 10, 600);
    sandbox.fault(FaultRule::on("/v1/organizations").call(1).effect(Effect::Refuse {
        status: 503,
        code: "service_unavailable".to_owned(),
        retry_after: Some("20".to_owned()),
    }));
    let world = World::new(sandbox.clone()).with("CLERK_REQUESTS_PER_10S", "1000");
    complete(&world, "503 with Retry-After").await;
    let requests = sandbox.requests();
    let refusal = requests.iter().find(|request| request.status == Some(503)).unwrap().at;
    let inside = |at: Instant| at > refusal && at < refusal + seconds(20);
    assert!(!requests.iter().any(|request| inside(request.at)));
}

/// A past date, or words, name no wait: the client backs off on its own, and does not hammer the
/// server.
#[tokio::test(start_paused = true)]
async fn an_unusable_retry_after_means_backing_off() {
    let past = "Thu, 20 Nov 2025 11:00:00 GMT";
    for retry_after in [None, Some("soon"), Some("-5"), Some(""), Some("0"), Some(past)] {
        fastrand::seed(7);
        let world = world_refusing(2..=9, retry_after);
        let started = Instant::now();
        let snapshot = complete(&world, "no wait named").await;
        assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"), "{retry_after:?}");
        let waited = started.elapsed();
        // Eight waits that double from a quarter of a second to ten seconds at most, with jitter.
        assert!(waited > seconds(2), "{retry_after:?}: only {waited:?} in eight waits");
        assert!(waited < seconds(40), "{retry_after:?}: {waited:?} in eight waits");
    }
}

/// The few attempts after an error of Clerk's are not spent at once, either.
#[tokio::test(start_paused = true)]
async fn an_error_that_names_no_wait_is_followed_by_one() {
    for retry_after in [None, Some("0"), Some("Thu, 20 Nov 2025 11:00:00 GMT")] {
        fastrand::seed(7);
        let sandbox = plain(1100, 10, 600);
        sandbox.fault(FaultRule::on("/v1/users").calls(2, 5).effect(Effect::Refuse {
            status: 503,
            code: "service_unavailable".to_owned(),
            retry_after: retry_after.map(str::to_owned),
        }));
        let world = World::new(sandbox).with("CLERK_REQUESTS_PER_10S", "1000");
        let started = Instant::now();
        complete(&world, "503").await;
        let waited = started.elapsed();
        assert!(waited > seconds(1) / 2, "{retry_after:?}: only {waited:?} in four waits");
    }
}

/// Endless refusals become an error after few requests.
#[tokio::test(start_paused = true)]
async fn endless_429s_are_clerk_unavailable() {
    for retry_after in [None, Some("0"), Some("1"), Some("Thu, 20 Nov 2025 11:00:00 GMT")] {
        fastrand::seed(7);
        let world = world_refusing(2..=u64::MAX, retry_after);
        let error = ends(&world, json!({})).await.unwrap_err();
        assert_eq!(error.name(), "ClerkUnavailable", "{retry_after:?}: {error:?}");
        assert!(error.message().contains("429"), "{}", error.message());
        assert!(world.sandbox.request_count("/v1/users") < 30, "{retry_after:?}");
        assert!(world.published().is_none());
        assert!(world.has_checkpoint(), "what was read before is kept");
    }
}

// Longer than the budget.

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_longer_than_the_budget_is_a_checkpoint_that_says_when() {
    for call in 1..=3 {
        let world = world_refusing(call..=call, Some("60"));
        let started = Instant::now();
        let event = json!({ "time_budget_seconds": 10 });
        let answer = ends(&world, event.clone()).await.unwrap();
        assert_eq!(answer["status"], "partial", "{answer:#}");
        assert_eq!(answer["reason"], "rate_limited", "{answer:#}");
        assert!(text(&answer["retry_at"]).starts_with("2025-11-20T12:01:00"), "{answer:#}");
        assert_eq!(answer["rate_limited"], 1);
        assert!(started.elapsed() < seconds(10), "it does not wait needlessly");
        assert!(world.published().is_none());

        // Until then nothing is requested, not even by a later invocation.
        let asked = world.sandbox.total_requests();
        for _ in 0..3 {
            tokio::time::advance(seconds(5)).await;
            let again = ends(&world, event.clone()).await.unwrap();
            assert_eq!(again["status"], "partial", "{again:#}");
            assert_eq!(again["reason"], "rate_limited", "{again:#}");
            assert_eq!(again["retry_at"], answer["retry_at"], "{again:#}");
            assert_eq!(again["snapshot_id"], answer["snapshot_id"], "{again:#}");
        }
        assert_eq!(world.sandbox.total_requests(), asked);

        // After that the run continues where it stopped.
        tokio::time::advance(seconds(60)).await;
        let done = ends(&world, event).await.unwrap();
        assert_eq!(done["status"], "complete", "{done:#}");
        assert_eq!(done["snapshot_id"], answer["snapshot_id"]);
        let snapshot = world.published().unwrap();
        assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
        assert_silent_after_refusals(&world.sandbox, seconds(60));
    }
}

/// An invocation with enough time waits for the rest of an earlier one's pause.
#[tokio::test(start_paused = true)]
async fn the_wait_continues_in_the_next_invocation() {
    let world = world_refusing(2..=2, Some("60"));
    let partial = ends(&world, json!({ "time_budget_seconds": 10 })).await.unwrap();
    assert_eq!(partial["status"], "partial", "{partial:#}");
    let snapshot = complete(&world, "the rest of the wait").await;
    assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
    assert_silent_after_refusals(&world.sandbox, seconds(60));
}

/// A pause further ahead than any that Clerk can ask for was written by a wrong clock. Nobody waits for its end.
#[tokio::test(start_paused = true)]
async fn a_pause_that_a_wrong_clock_wrote_is_ignored() {
    let longest = seconds(24 * 60 * 60);
    for (ahead, is_kept) in [(longest, true), (longest + Duration::from_millis(1), false)] {
        let world = world_refusing(2..=2, Some("60"));
        let event = json!({ "time_budget_seconds": 10 });
        ends(&world, event.clone()).await.unwrap();
        let until = (world.clock.now() + ahead).to_string();
        world.edit_checkpoint(|checkpoint| checkpoint["retry_at"] = until.clone().into());
        let answer = ends(&world, event).await.unwrap();
        assert_eq!(answer["status"] == "complete", !is_kept, "{ahead:?}: {answer:#}");
        assert_eq!(answer["retry_at"] == *until, is_kept, "{ahead:?}: {answer:#}");
    }
}

/// Starting over does not forget the pause that Clerk asked for.
#[tokio::test(start_paused = true)]
async fn a_restart_does_not_forget_the_wait() {
    let world = world_refusing(2..=2, Some("60"));
    ends(&world, json!({ "time_budget_seconds": 10 })).await.unwrap();
    let again = ends(&world, json!({ "restart": true })).await.unwrap();
    assert_eq!(again["status"], "complete", "{again:#}");
    assert_silent_after_refusals(&world.sandbox, seconds(60));
}

/// Even without a budget a day is too long to wait: no wait is unbounded.
#[tokio::test(start_paused = true)]
async fn a_retry_after_of_a_day_is_a_checkpoint_without_a_budget() {
    for retry_after in ["86400", "18446744073709551615", "1e300"] {
        let world = world_refusing(2..=2, Some(retry_after));
        let started = Instant::now();
        let answer = ends(&world, json!({})).await;
        assert!(started.elapsed() < seconds(900), "{retry_after}: {:?}", started.elapsed());
        if retry_after == "86400" {
            let answer = answer.unwrap();
            assert_eq!(answer["reason"], "rate_limited", "{answer:#}");
            assert!(text(&answer["retry_at"]).starts_with("2025-11-21T12:00:00"), "{answer:#}");
        }
    }
}

// In flight.

/// The most requests in flight at once, if each takes exactly `latency`.
fn most_in_flight(sandbox: &Sandbox, latency: Duration) -> usize {
    most_within(&arrivals(sandbox), latency)
}

#[tokio::test(start_paused = true)]
async fn never_more_requests_are_in_flight_than_allowed() {
    let latency = seconds(1);
    for most in [1, 2, 3, 5] {
        let sandbox = plain(1100, 1100, 3000);
        sandbox.set_latency(latency, Duration::ZERO);
        let world = World::new(sandbox.clone())
            .with("COMPRESSION", "none")
            .with("MAX_CONCURRENCY", &most.to_string());
        complete(&world, "in flight").await;
        let in_flight = most_in_flight(&sandbox, latency);
        assert!(in_flight <= most, "{in_flight} in flight instead of {most}");
        assert!(in_flight >= most.min(3), "only {in_flight} in flight of {most} allowed");
    }
}

/// If latency is the bottleneck, pages are read concurrently.
#[tokio::test(start_paused = true)]
async fn latency_is_hidden_by_requesting_several_pages_at_once() {
    let latency = seconds(1);
    let sandbox = plain(0, 20_000, 0);
    sandbox.set_latency(latency, Duration::ZERO);
    let world =
        World::new(sandbox.clone()).with("RESOURCES", "organizations").with("COMPRESSION", "none");
    let started = Instant::now();
    let snapshot = complete(&world, "latency").await;
    assert_eq!(snapshot.ids("organizations"), sandbox.ids("organizations"));
    let one_by_one = seconds(sandbox.total_requests());
    assert!(started.elapsed() * 3 < one_by_one * 2, "{:?} of {one_by_one:?}", started.elapsed());
}

/// A pause that Clerk asked for outlives the invocation that received it, however that one ends.
#[tokio::test(start_paused = true)]
async fn an_interrupt_during_a_pause_remembers_the_pause() {
    let world = World::of(3, 1, 2);
    world.sandbox.fault(FaultRule::on("/v1/users").call(1).too_many_requests(100));
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.interrupt.send_replace(true);
    };
    let (answer, ()) = tokio::join!(world.sync(), interrupt);
    let answer = answer.unwrap();
    assert_eq!(answer["reason"], "interrupted", "{answer:#}");
    assert!(answer["retry_at"].is_string(), "{answer:#}");
    world.interrupt.send_replace(false);
    let asked = world.sandbox.total_requests();
    let answer = world.handle(json!({"time_budget_seconds": 1})).await.unwrap();
    assert_eq!(answer["reason"], "rate_limited", "{answer:#}");
    assert_eq!(world.sandbox.total_requests(), asked, "nothing is requested during the pause");
}

/// A request that hangs delays the end of an invocation by a few seconds only, once something is
/// stored.
#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_outlasts_the_budget_by_seconds_only() {
    let world = World::of(3, 1, 2);
    let hanging = FaultRule::on("/v1/users").delay(Duration::from_secs(3600));
    world.sandbox.fault(hanging);
    let began = tokio::time::Instant::now();
    let answer = world.handle(json!({"time_budget_seconds": 2})).await.unwrap();
    assert_eq!(answer["reason"], "time_budget", "{answer:#}");
    assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
}

/// A server slower than the budget still makes progress: the first answer is waited for.
#[tokio::test(start_paused = true)]
async fn a_slow_server_and_a_small_budget_still_complete() {
    let world = World::of(3, 1, 2).with("TIME_BUDGET_SECONDS", "0.1");
    world.sandbox.set_latency(Duration::from_secs(20), Duration::ZERO);
    for _ in 0..40 {
        let answer = world.sync().await.unwrap();
        if answer["status"] == "complete" {
            return;
        }
    }
    panic!("forty invocations were not enough");
}
