//! Promise: a run that `latest.json` names is finished, whatever happens to its checkpoint. The
//! next sync works as if there were no checkpoint, and only an invocation that moved `latest.json`
//! reports `complete` and `SnapshotPublished`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clerk_snapshot::timestamp::Timestamp;
use clerk_store::{Operation, Store};
use clerk_sync::sync::checkpoint::document::CHECKPOINT_KEY;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::changing_versions::ChangingVersions;
use crate::support::faulty_store::{Effect, Fault, FaultyStore};
use crate::support::fuse::Side;
use crate::support::scene::{PAST_THE_LEASE, Scene, Stage, frozen, unnamed};
use crate::support::world::World;

/// The default of `LEASE_SECONDS`.
const LEASE: Duration = Duration::from_secs(60);

/// No checkpoint can be removed.
fn deny_removal(world: &World) {
    let fault = Fault::new(Operation::Delete, Effect::FailBefore);
    world.store.fault(fault.on_key("checkpoint.json").from(1));
}

fn id_of(answer: &Value) -> String {
    answer["snapshot_id"].as_str().expect("an id").to_owned()
}

/// A sync that publishes a snapshot of its own, and returns its id.
async fn publishes(world: &World, event: Value, what: &str) -> String {
    let published = |world: &World| world.memory.objects().get("latest.json").cloned();
    let (before, asked) = (published(world), world.sandbox.total_requests());
    let answer = world.handle(event).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
    assert!(published(world) != before, "{what}: latest.json has not moved");
    assert!(world.sandbox.total_requests() > asked, "{what}: Clerk was not called");
    assert_eq!(answer["invocations"], 1, "{what}: {answer:#}");
    assert!(world.measured().published.is_some(), "{what}: SnapshotPublished is 0");
    let snapshot = world.published().expect("published");
    assert_eq!(snapshot.latest["snapshot_id"], answer["snapshot_id"], "{what}");
    id_of(&answer)
}

#[tokio::test(start_paused = true)]
async fn every_sync_publishes_its_own_snapshot_when_no_checkpoint_can_be_removed() {
    let events = [
        json!({}),
        json!({"force": true}),
        json!({"resources": ["users"]}),
        json!({"restart": true}),
        json!({"accept_shrink": true}),
        json!({}),
    ];
    let world = World::of(40, 6, 50);
    deny_removal(&world);
    let mut seen = BTreeSet::new();
    for event in events {
        let what = event.to_string();
        // Immediately: nobody is working on the run, so nobody waits.
        let id = publishes(&world, event, &what).await;
        assert!(seen.insert(id), "{what}: an old snapshot is reported as new");
        let status = world.handle(json!({"action": "status"})).await.expect("status");
        assert_eq!(status["run"], Value::Null, "{what}: a published run is not in progress");
    }
    // Older than SNAPSHOT_MAX_AGE_HOURS: the run is finished, so it is not abandoned.
    tokio::time::advance(Duration::from_secs(25 * 3_600)).await;
    let answer = world.sync().await.expect("sync");
    assert!(seen.insert(id_of(&answer)), "{answer:#}");
    assert!(!answer["message"].as_str().expect("text").contains("abandoned"), "{answer:#}");
    world.store.heal();
    publishes(&world, json!({}), "healed").await;
    assert!(!world.has_checkpoint());
    assert_eq!(unnamed(&world), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn one_failed_removal_does_not_affect_the_next_snapshot() {
    for effect in [Effect::FailBefore, Effect::FailAfter, Effect::LoseAnswer] {
        let what = format!("{effect:?}");
        let world = World::of(40, 6, 50);
        world.store.fault(Fault::new(Operation::Delete, effect).on_key("checkpoint.json"));
        let first = publishes(&world, json!({}), &what).await;
        assert_ne!(publishes(&world, json!({}), &what).await, first, "{what}");
        assert!(!world.has_checkpoint(), "{what}");
        assert_eq!(unnamed(&world), BTreeSet::new(), "{what}");
    }
}

/// If the version is still the same, another attempt would not succeed; and a version that always
/// changes is not followed forever. The lease is given back, so that the next sync does not wait.
#[tokio::test(start_paused = true)]
async fn a_removal_that_is_always_refused_is_given_up_after_a_few_attempts() {
    for (changes, most) in [(false, 1), (true, 4)] {
        let what = format!("versions change: {changes}");
        let mut world = World::of(40, 6, 50);
        if changes {
            let inner = Arc::clone(&world.memory) as Arc<dyn Store>;
            world.store = FaultyStore::new(ChangingVersions::around(inner));
        }
        // Not forever: an endless loop fails the test.
        let refused = Fault::new(Operation::Delete, Effect::RefusePrecondition);
        world.store.fault(refused.on_key(CHECKPOINT_KEY).calls(1, 20));
        let first = publishes(&world, json!({}), &what).await;
        let calls = world.store.calls();
        let removals = calls
            .iter()
            .filter(|call| call.operation == Operation::Delete && call.key == CHECKPOINT_KEY)
            .count();
        assert!((1..=most).contains(&removals), "{what}: {removals} attempts");
        assert!(world.has_checkpoint(), "{what}");
        assert_ne!(publishes(&world, json!({}), &what).await, first, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sync_soon_after_a_snapshot_is_skipped_whatever_checkpoint_is_left() {
    let world = World::of(40, 6, 50).with("SNAPSHOT_INTERVAL_MINUTES", "60");
    deny_removal(&world);
    let id = publishes(&world, json!({}), "the first").await;
    let asked = world.sandbox.total_requests();
    for removable in [false, true] {
        if removable {
            world.store.heal();
        }
        let answer = world.sync().await.expect("an answer");
        assert_eq!(answer["status"], "skipped", "{answer:#}");
        assert_eq!(id_of(&answer), id);
        assert!(world.measured().published.is_none(), "SnapshotPublished is 1");
        assert_eq!(world.sandbox.total_requests(), asked, "Clerk is not called");
        assert_eq!(world.has_checkpoint(), !removable);
    }
    assert_eq!(unnamed(&world), BTreeSet::new());
}

/// The number of the store call that moves `latest.json`, in a run without faults.
async fn call_that_publishes(scene: &Scene) -> u64 {
    let stage = scene.stage();
    stage.world.complete().await;
    let calls = stage.world.store.calls();
    let moves = |call: &_| {
        let call: &crate::support::faulty_store::Call = call;
        call.operation == Operation::Put && call.key == "latest.json"
    };
    calls.iter().position(moves).expect("it is moved") as u64 + 1
}

/// The next invocation waits for the lease of the killed one, and then does a run of its own.
#[tokio::test(start_paused = true)]
async fn a_kill_after_latest_json_moved_delays_the_next_run_by_one_lease_at_most() {
    let scene = Scene::small().await;
    let publishing = call_that_publishes(&scene).await;
    let mut cut = 0;
    for (call, side) in (publishing..=scene.store_calls)
        .flat_map(|call| [(call, Side::Before), (call, Side::After)])
        .skip(1)
    {
        let what = format!("cut {side:?} store call {call}");
        let stage = scene.stage();
        let world = &stage.world;
        assert!(stage.cut_at_store_call(call, side).await.is_none(), "{what}");
        let first = world.published().expect("published").latest;
        assert_ne!(&world.memory.objects()["latest.json"], scene.latest_before(), "{what}");
        if !world.has_checkpoint() {
            continue;
        }
        cut += 1;
        let busy = world.sync().await.expect("an answer");
        assert_eq!(busy["status"], "busy", "{what}: {busy:#}");
        let until: Timestamp = busy["held_until"].as_str().expect("a time").parse().expect("time");
        assert!(until.saturating_duration_since(world.clock.now()) <= LEASE, "{what}: {busy:#}");
        let status = world.handle(json!({"action": "status"})).await.expect("status");
        assert_eq!(status["run"], Value::Null, "{what}: {status:#}");
        tokio::time::advance(PAST_THE_LEASE).await;
        let second = publishes(world, json!({}), &what).await;
        assert_ne!(first["snapshot_id"], second, "{what}");
        assert!(!world.has_checkpoint(), "{what}");
        assert_eq!(unnamed(world), BTreeSet::new(), "{what}");
    }
    assert!(cut > 3, "{cut} cuts before the checkpoint was removed");
}

#[tokio::test(start_paused = true)]
async fn exactly_one_of_several_invocations_replaces_a_published_checkpoint() {
    let world = World::of(40, 6, 50);
    deny_removal(&world);
    let first = publishes(&world, json!({}), "the first").await;
    world.sandbox.set_latency(Duration::from_millis(20), Duration::ZERO);
    let answers = join_all((0..6).map(|_| world.sync())).await;
    let answers: Vec<Value> = answers.into_iter().map(|answer| answer.expect("sync")).collect();
    let of = |status: &str| answers.iter().filter(|it| it["status"] == status).count();
    assert_eq!((of("complete"), of("busy")), (1, 5), "{answers:#?}");
    assert_ne!(world.published().expect("published").latest["snapshot_id"], first);
}

/// The write was applied, so this invocation has moved `latest.json`, and says what happened.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_write_of_latest_json_is_reported_and_counts_as_published() {
    for effect in [Effect::LoseAnswer, Effect::FailAfter, Effect::RefuseAfter] {
        let world = World::of(40, 6, 50);
        world.store.fault(Fault::new(Operation::Put, effect).on_key("latest.json"));
        let answer = world.sync().await.unwrap_or_else(|error| panic!("{effect:?}: {error:?}"));
        assert_eq!(answer["status"], "complete", "{effect:?}: {answer:#}");
        let message = answer["message"].as_str().expect("text");
        assert!(message.contains("latest.json was lost"), "{effect:?}: {message}");
        assert!(world.measured().published.is_some(), "{effect:?}");
        assert!(!world.has_checkpoint(), "{effect:?}");
    }
}

/// A write that was not applied has moved nothing.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_latest_json_does_not_name_is_not_reported_as_published() {
    let scene = Scene::small().await;
    let stage = scene.stage();
    let world = &stage.world;
    world.store.fault(Fault::new(Operation::Put, Effect::FailBefore).on_key("latest.json"));
    let ended = world.sync().await;
    assert!(ended.is_err(), "{ended:?}");
    assert!(world.measured().published.is_none());
    assert_eq!(&world.memory.objects()["latest.json"], scene.latest_before());
    // Nothing was lost: the same run is published without reading Clerk again.
    let asked = world.sandbox.total_requests();
    let answer = world.sync().await.expect("sync");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert_eq!(world.sandbox.total_requests(), asked);
    assert!(world.measured().published.is_some());
}

/// An abandoned snapshot that a frozen invocation published after all is published, and the
/// clean-up after an invocation that was cut off while publishing must keep it.
#[tokio::test(start_paused = true)]
async fn clean_up_after_a_cut_during_publishing_keeps_published_snapshots() {
    let scene = Scene::small().await;
    let publishing = call_that_publishes(&scene).await;
    let (stage, late) = published_late(&scene, publishing).await;
    let world = &stage.world;
    let late = format!("snapshots/{}/", id_of(&late));
    let files = |world: &World| -> BTreeSet<String> {
        world.memory.objects().into_keys().filter(|key| key.starts_with(&late)).collect()
    };
    let published = files(world);
    assert!(published.len() > 3, "{published:?}");
    cut_after_publishing(&stage).await;
    tokio::time::advance(PAST_THE_LEASE).await;
    publishes(world, json!({}), "after the cut").await;
    assert_eq!(files(world), published, "what was published late");
    assert_eq!(unnamed(world), BTreeSet::new());
}

/// An invocation is frozen while it moves `latest.json`, another one abandons its run and pauses,
/// and the first one completes the move. (It may notice that it has lost the run: then it tries
/// again.)
async fn published_late(scene: &Scene, publishing: u64) -> (Stage, Value) {
    for _ in 0..40 {
        let stage = scene.stage();
        let world = &stage.world;
        let fuse = stage.fuse_at_store_call(publishing, Side::Before);
        let sleeper = frozen(world, &fuse, "frozen before it publishes").await;
        let restarts = json!({"restart": true, "time_budget_seconds": 0});
        let answer = world.handle(restarts).await.expect("sync");
        assert_eq!(answer["status"], "partial", "{answer:#}");
        fuse.mend();
        if let Ok(late) = sleeper.await {
            assert_eq!(late["status"], "complete", "{late:#}");
            assert!(world.measured().published.is_some());
            return (stage, late);
        }
    }
    panic!("it always notices that it has lost the run");
}

/// Continues the run in progress, and cuts the power once `latest.json` has moved.
async fn cut_after_publishing(stage: &Stage) {
    let latest = || stage.world.memory.objects()["latest.json"].clone();
    let before = latest();
    for call in 1..200 {
        let ended = stage.cut_at_store_call(call, Side::After).await;
        assert!(ended.is_none(), "{ended:?}");
        if latest() != before {
            return;
        }
        tokio::time::advance(PAST_THE_LEASE).await;
    }
    panic!("latest.json never moved");
}
