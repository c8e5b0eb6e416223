//! Promises 4 and 6: a run that is paused or cut at any time, any number of times, continues where
//! it stopped and ends with the same digests. Every invocation makes progress, and no wait exceeds
//! the time left.

use std::time::Duration;

use clerk_store::Operation;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::faulty_store::{Effect, Fault};
use crate::support::fuse::Side;
use crate::support::plain::{add, before_request, every_second, plain};
use crate::support::scene::{PAST_THE_LEASE, Scene, Stage};
use crate::support::source::{assert_closed, membership_ids};
use crate::support::world::World;

/// More invocations than any run here needs: an endless run fails the test.
const MAX_INVOCATIONS: u64 = 100;

/// The positions of the lists, as the next invocation will find them.
fn place(world: &World) -> Value {
    let objects = world.memory.objects();
    let Some(checkpoint) = objects.get("checkpoint.json") else { return Value::Null };
    serde_json::from_slice::<Value>(checkpoint).expect("JSON")["lists"].clone()
}

/// Repeats `sync` with this budget until it is complete, and returns the number of invocations.
/// Each must leave the run further than it found it.
async fn repeat_within(stage: &Stage, seconds: f64) -> u64 {
    let event = json!({"time_budget_seconds": seconds});
    for invocation in 1..=MAX_INVOCATIONS {
        let stood = place(&stage.world);
        let answer = stage.world.handle(event.clone()).await.expect("sync");
        assert_eq!(answer["invocations"], invocation);
        if answer["status"] == "complete" {
            return invocation;
        }
        assert_eq!(answer["status"], "partial", "{answer:#}");
        assert_eq!(answer["reason"], "time_budget", "{answer:#}");
        assert_ne!(place(&stage.world), stood, "no progress: {answer:#}");
    }
    panic!("not complete after {MAX_INVOCATIONS} invocations");
}

#[tokio::test(start_paused = true)]
async fn every_invocation_of_any_budget_makes_progress_until_the_same_snapshot_is_published() {
    let scene = Scene::of_pages().await;
    scene.sandbox.set_latency(Duration::from_millis(50), Duration::from_millis(30));
    for seconds in [0.0, 0.001, 0.06, 0.2] {
        let stage = scene.stage();
        let invocations = repeat_within(&stage, seconds).await;
        assert!(invocations > 1, "{seconds} s were enough for everything");
        let what = format!("{seconds} s");
        scene.assert_as_uninterrupted(&stage.world, invocations - 1, &what);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_leaves_nothing_but_the_reserve_makes_progress_in_time() {
    let scene = Scene::of_pages().await;
    scene.sandbox.set_latency(Duration::from_millis(100), Duration::ZERO);
    let (stage, deadline) = (scene.stage(), Duration::from_secs(3));
    let mut invocations = 0;
    loop {
        invocations += 1;
        assert!(invocations <= MAX_INVOCATIONS, "no end");
        let (began, stood) = (Instant::now(), place(&stage.world));
        let answer = stage.world.handle_until(json!({}), Some(deadline)).await.expect("sync");
        assert!(began.elapsed() < deadline, "killed in the middle of it: {:?}", began.elapsed());
        if answer["status"] == "complete" {
            break;
        }
        assert_ne!(place(&stage.world), stood, "no progress: {answer:#}");
    }
    scene.assert_as_uninterrupted(&stage.world, invocations - 1, "short deadlines");
}

/// Requests that Clerk answers later than the invocation can wait end in a checkpoint.
#[tokio::test(start_paused = true)]
async fn no_request_is_waited_for_past_the_deadline() {
    let scene = Scene::of_pages().await;
    let deadline = Duration::from_secs(25);
    for slow_from in 1..=scene.requests {
        let stage = scene.stage();
        scene.sandbox.set_latency(Duration::ZERO, Duration::ZERO);
        let mut left = slow_from;
        let hook = std::sync::Mutex::new(move || {
            left = left.saturating_sub(1);
            left == 0
        });
        scene.sandbox.on_request(move |sandbox, _| {
            if (hook.lock().expect("not poisoned"))() {
                sandbox.set_latency(Duration::from_secs(300), Duration::ZERO);
            }
        });
        let began = Instant::now();
        let answered = stage.world.handle_until(json!({}), Some(deadline)).await;
        let took = began.elapsed();
        assert!(took < deadline, "request {slow_from}: {took:?}, {answered:?}");
        let answer = answered.expect("a slow Clerk is not an error yet");
        assert_eq!(answer["status"], "partial", "request {slow_from}: {answer:#}");
        scene.sandbox.set_latency(Duration::ZERO, Duration::ZERO);
        scene.sandbox.on_request(|_, _| ());
        let answer = stage.world.sync().await.expect("sync");
        assert_eq!(answer["status"], "complete", "request {slow_from}: {answer:#}");
        scene.assert_as_uninterrupted(&stage.world, 1, &format!("request {slow_from}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_at_any_request_is_a_checkpoint_that_the_next_sync_continues_at_once() {
    let scene = Scene::of_pages().await;
    for request in 1..=scene.requests {
        let what = format!("interrupted at request {request}");
        let stage = scene.stage();
        let answer = stage.interrupt_at_request(request).await;
        assert_eq!(answer["status"], "partial", "{what}: {answer:#}");
        assert_eq!(answer["reason"], "interrupted", "{what}");
        assert_eq!(&stage.world.memory.objects()["latest.json"], scene.latest_before(), "{what}");
        let answer = stage.world.sync().await.expect("sync");
        assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
        assert_eq!(answer["requests"], scene.sandbox.total_requests(), "{what}");
        scene.assert_as_uninterrupted(&stage.world, 1, &what);
    }
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_at_any_request_costs_at_most_two_pages() {
    let scene = Scene::of_pages().await;
    for request in 1..=scene.requests {
        let what = format!("cut at request {request}");
        let stage = scene.stage();
        assert!(stage.cut_at_request(request).await.is_none(), "{what}");
        stage.finish_after_cut(&what).await;
        scene.assert_as_uninterrupted(&stage.world, 1, &what);
    }
}

/// These calls include all of publishing: manifest, `latest.json`, clean-up, and the removal of the
/// checkpoint.
#[tokio::test(start_paused = true)]
async fn a_power_cut_before_or_after_any_store_call_is_survived() {
    for (scene, step) in [(Scene::small().await, 1), (Scene::of_pages().await, 3)] {
        for (first, side) in [(1, Side::Before), (2, Side::After)] {
            // Every one of the few calls of a small run; some of the many similar calls of a large
            // one.
            for call in (first.min(step)..=scene.store_calls).step_by(step as usize) {
                survive_cut_at_store_call(&scene, call, side).await;
            }
        }
    }
}

async fn survive_cut_at_store_call(scene: &Scene, call: u64, side: Side) {
    let what = format!("cut {side:?} store call {call}");
    let stage = scene.stage();
    assert!(stage.cut_at_store_call(call, side).await.is_none(), "{what}");
    let was_over = scene.is_over(&stage.world);
    stage.finish_after_cut(&what).await;
    if was_over {
        // The run was complete: the next invocation was a run of its own.
        assert!(stage.world.published().is_some(), "{what}");
    } else {
        scene.assert_as_uninterrupted(&stage.world, 1, &what);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_cut_at_every_store_call_in_turn_still_completes() {
    let scene = Scene::of_pages().await;
    let stage = scene.stage();
    let mut cuts = 0;
    // One call later each time, so that each invocation gets a little further than the last.
    while !scene.is_over(&stage.world) {
        assert!(cuts <= MAX_INVOCATIONS, "no end");
        if stage.cut_at_store_call(cuts + 1, Side::After).await.is_none() {
            cuts += 1;
        }
        assert!(stage.world.published().is_some(), "cut {cuts}");
        tokio::time::advance(PAST_THE_LEASE).await;
    }
    assert!(cuts > 5, "a run this short proves nothing");
    scene.assert_as_uninterrupted(&stage.world, cuts, "cut at every call");
}

/// Something goes wrong with one invocation.
async fn trouble(stage: &Stage, random: &mut fastrand::Rng) -> String {
    let step = random.u64(1..=14);
    match random.u8(0..5) {
        0 => {
            stage.cut_at_request(step).await;
            format!("cut at request {step}")
        }
        1 => {
            stage.cut_at_store_call(step, Side::Before).await;
            format!("cut before store call {step}")
        }
        2 => {
            stage.cut_at_store_call(step, Side::After).await;
            format!("cut after store call {step}")
        }
        3 => {
            stage.interrupt_at_request(step).await;
            format!("interrupted at request {step}")
        }
        _ => {
            let event = json!({"time_budget_seconds": 0});
            stage.world.handle(event).await.expect("sync");
            "no time".to_owned()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_schedule_of_cuts_and_pauses_ends_with_the_same_digests() {
    let scene = Scene::of_pages().await;
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let stage = scene.stage();
        let mut history = Vec::new();
        let latest = || stage.world.memory.objects()["latest.json"].clone();
        while history.len() < 8 && !scene.is_over(&stage.world) {
            let before = latest();
            history.push(trouble(&stage, &mut random).await);
            if latest() != before {
                // The next invocation is a run of its own.
                scene.sandbox.clear_requests();
            }
            assert!(stage.world.published().is_some(), "seed {seed}: {history:?}");
            tokio::time::advance(PAST_THE_LEASE).await;
        }
        let what = format!("seed {seed}: {history:?}");
        if !scene.is_over(&stage.world) {
            stage.finish_after_cut(&what).await;
        }
        scene.assert_as_uninterrupted(&stage.world, history.len() as u64, &what);
    }
}

/// Memberships are read concurrently with users, and their users are checked afterwards. A user who
/// appears meanwhile in a page that was read, while another one disappears from it, changes no count, and
/// is requested by id. A run that could not be published after that has nothing more to check.
#[tokio::test(start_paused = true)]
async fn a_run_with_checked_memberships_is_published_later_without_reading_clerk_again() {
    const ROWS: usize = 3_900;
    let sandbox = plain(ROWS, 12, ROWS);
    // A user without memberships.
    add(&sandbox, "users", "users_gone", every_second(10) + 1);
    sandbox.set_latency(Duration::from_millis(300), Duration::ZERO);
    // Before the last page of memberships.
    before_request(&sandbox, "/v1/organization_memberships", 6, |sandbox| {
        let pages = sandbox.request_count("/v1/users");
        assert!((2..8).contains(&pages), "users are read at the same time: {pages} pages");
        assert!(sandbox.delete("users", "users_gone"), "the user is there");
        add(sandbox, "users", "users_late", every_second(20) + 1);
        let organization = &sandbox.ids("organizations")[0];
        let last = every_second(ROWS);
        sandbox.add_membership(organization, "users_late", "org:member", last).expect("it is new");
    });
    let world = World::new(sandbox.clone())
        .with("CLERK_REQUESTS_PER_10S", "1000")
        .with("COMPRESSION", "none");
    world.store.fault(Fault::new(Operation::Put, Effect::FailBefore).on_key("latest.json"));
    let error = world.sync().await.expect_err("latest.json cannot be moved");
    assert_eq!(error.name(), "StoreUnavailable", "{error:?}");

    let asked = sandbox.total_requests();
    let snapshot = world.complete().await;
    assert_eq!(sandbox.total_requests(), asked, "everything had been read");
    assert!(snapshot.ids("users").contains(&"users_late".to_owned()));
    assert_eq!(membership_ids(&snapshot), sandbox.ids("organization_memberships"));
    assert_eq!(snapshot.manifest["referential"]["dangling_principals"], 0);
    assert_closed(&snapshot, "checked");
}
