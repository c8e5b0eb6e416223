//! Promise 5: of several concurrent invocations at most one makes progress, and the others answer
//! `busy`. An invocation that lost its lease writes nothing that a reader or the new holder could
//! see.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clerk_sandbox::FaultRule;
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::{Operation, Store};
use clerk_sync::error::Error;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::faulty_store::FaultyStore;
use crate::support::fuse::{Fuse, Side};
use crate::support::gate::{Gate, GatedStore};
use crate::support::scene::{
    PAST_THE_LEASE, Scene, Stage, frozen, named_by_latest, unnamed, until_blown,
};
use crate::support::world::World;

/// The first store call of a holder. Before it, an invocation reads the checkpoint, `latest.json`
/// and its manifest, and takes the lease.
const AFTER_TAKING: u64 = 5;

/// The calls with which an invocation cleans up after a published run before it begins its own: the
/// manifest and the files of that snapshot and of the one before it, probes, temporary files.
const CLEANING_UP: u64 = 6;

/// The default of `LEASE_SECONDS`.
const LEASE: Duration = Duration::from_secs(60);

fn moment(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("RFC 3339")
}

/// The time left of the lease in the store; `None` if nobody holds one.
fn lease_left(world: &World) -> Option<Duration> {
    let objects = world.memory.objects();
    let checkpoint: Value = serde_json::from_slice(objects.get("checkpoint.json")?).expect("JSON");
    let until = checkpoint["lease"].get("until").filter(|until| !until.is_null())?;
    Some(moment(until).saturating_duration_since(world.clock.now()))
}

#[tokio::test(start_paused = true)]
async fn of_two_at_once_one_works_and_the_other_is_busy() {
    let world = World::of(40, 6, 50);
    world.sandbox.set_latency(Duration::from_secs(1), Duration::ZERO);
    let first = world.sync();
    let second = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let (asked, put) = (world.sandbox.total_requests(), world.store.keys_put().len());
        let answer = world.sync().await.expect("sync");
        assert_eq!(
            world.sandbox.total_requests(),
            asked,
            "a busy invocation sends no requests to Clerk"
        );
        assert_eq!(world.store.keys_put().len(), put, "a busy invocation writes nothing");
        let status = world.handle(json!({"action": "status"})).await.expect("status");
        (answer, status, world.clock.now())
    };
    let (worked, (busy, status, at)) = tokio::join!(first, second);
    assert_eq!(worked.expect("sync")["status"], "complete");
    assert_eq!(busy["status"], "busy", "{busy:#}");
    let held = moment(&busy["held_until"]).saturating_duration_since(at);
    assert!(held > LEASE / 2 && held <= LEASE, "{held:?}");
    assert_eq!(status["run"]["held_until"], busy["held_until"]);
    assert_eq!(world.published().expect("published").latest["snapshot_id"], busy["snapshot_id"]);
}

#[tokio::test(start_paused = true)]
async fn of_eight_that_start_at_once_exactly_one_wins() {
    // With and without a run to continue.
    for paused in [false, true] {
        let world = World::of(40, 6, 50);
        if paused {
            let answer = world.handle(json!({"time_budget_seconds": 0})).await.expect("sync");
            assert_eq!(answer["status"], "partial");
        }
        world.sandbox.set_latency(Duration::from_millis(20), Duration::ZERO);
        let answers = join_all((0..8).map(|_| world.sync())).await;
        let statuses: BTreeMap<String, usize> =
            answers.into_iter().fold(BTreeMap::new(), |mut statuses, answer| {
                let status = answer.expect("sync")["status"].as_str().expect("a status").to_owned();
                *statuses.entry(status).or_default() += 1;
                statuses
            });
        let expected = BTreeMap::from([("busy".to_owned(), 7), ("complete".to_owned(), 1)]);
        assert_eq!(statuses, expected, "paused before: {paused}");
        let objects = world.memory.objects();
        let named = named_by_latest(&objects);
        assert_eq!(objects.into_keys().collect::<BTreeSet<_>>(), named, "what losers left behind");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_holder_delays_the_next_one_by_the_lease_and_no_longer() {
    let scene = Scene::small().await;
    let stage = scene.stage();
    assert!(stage.cut_at_request(4).await.is_none());
    let busy = stage.world.sync().await.expect("sync");
    assert_eq!(busy["status"], "busy");
    let held = moment(&busy["held_until"]).saturating_duration_since(stage.world.clock.now());
    assert_eq!(held, LEASE);
    tokio::time::advance(held - Duration::from_millis(1)).await;
    assert_eq!(stage.world.sync().await.expect("sync")["status"], "busy");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(stage.world.sync().await.expect("sync")["status"], "complete");
    scene.assert_as_uninterrupted(&stage.world, 1, "killed");
}

#[tokio::test(start_paused = true)]
async fn a_pause_gives_the_lease_back_so_that_the_next_sync_continues_at_once() {
    let scene = Scene::small().await;
    let stage = scene.stage();
    let answer = stage.interrupt_at_request(4).await;
    assert_eq!(answer["status"], "partial", "{answer:#}");
    assert_eq!(lease_left(&stage.world), None);
    let status = stage.world.handle(json!({"action": "status"})).await.expect("status");
    assert_eq!(status["run"]["held_until"], Value::Null);
    assert_eq!(stage.world.sync().await.expect("sync")["status"], "complete");
}

/// However slow Clerk's answers and the store are, three quarters of the lease are always left.
#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_within_every_quarter_while_answers_are_slow() {
    for lease in [2, 60, 900] {
        let world = World::of(40, 6, 50).with("LEASE_SECONDS", &lease.to_string());
        let lease = Duration::from_secs(lease);
        world.sandbox.set_latency(lease * 5, lease);
        let mut seen = 0;
        let watch = async {
            loop {
                tokio::time::sleep(lease / 100).await;
                if let Some(left) = lease_left(&world) {
                    seen += 1;
                    assert!(left >= lease * 3 / 4 - lease / 100, "{left:?} of {lease:?} are left");
                }
            }
        };
        tokio::select! {
            answer = world.sync() => assert_eq!(answer.expect("sync")["status"], "complete"),
            () = watch => {}
        }
        assert!(seen > 1000, "the lease was seen {seen} times only");
    }
}

/// The files that a reader or the holder of the run can see: the checkpoint, and `latest.json` with
/// everything it names. A stray file that nothing names is not among them.
fn visible(world: &World) -> BTreeMap<String, Bytes> {
    let mut objects = world.memory.objects();
    let named = named_by_latest(&objects);
    objects.retain(|key, _| named.contains(key) || key == "checkpoint.json");
    objects
}

/// Freezes a holder where the fuse blows, lets another invocation finish the run, and wakes the
/// first one up.
async fn freeze(stage: &Stage, fuse: &Arc<Fuse>, what: &str) {
    let world = &stage.world;
    let holder = frozen(world, fuse, what).await;
    let published = world.published().expect("published").latest["snapshot_id"].clone();
    let answer = world.sync().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
    let seen = visible(world);
    fuse.mend();
    match holder.await {
        Err(Error::LeaseLost(_)) => {}
        // The snapshot was published when it froze, or is by now.
        Ok(answer) if answer["status"] == "complete" => {
            let latest = world.published().expect("published").latest["snapshot_id"].clone();
            let about = &answer["snapshot_id"];
            assert!(*about == published || *about == latest, "{what}: {answer:#}");
        }
        other => panic!("{what}: {other:?}"),
    }
    assert_eq!(visible(world), seen, "{what}: something changed");
}

#[tokio::test(start_paused = true)]
async fn a_holder_frozen_at_any_request_past_its_lease_changes_nothing_when_it_wakes_up() {
    let scene = Scene::small().await;
    for request in 1..=scene.requests {
        let stage = scene.stage();
        let fuse = Fuse::blowing_at(request);
        let burning = Arc::clone(&fuse);
        scene.sandbox.on_request(move |_, _| {
            burning.step();
        });
        freeze(&stage, &fuse, &format!("frozen at request {request}")).await;
    }
}

/// The store cannot refuse a part that comes too late, so the holder must check its lease before it sends one.
#[tokio::test(start_paused = true)]
async fn a_holder_frozen_at_any_request_past_its_lease_stores_no_part_when_it_wakes_up() {
    let scene = Scene::small().await;
    for request in 1..=scene.requests {
        let what = format!("frozen at request {request}");
        let stage = scene.stage();
        let fuse = Fuse::blowing_at(request);
        let burning = Arc::clone(&fuse);
        scene.sandbox.on_request(move |_, _| {
            burning.step();
        });
        let holder = frozen(&stage.world, &fuse, &what).await;
        stage.world.complete().await;
        let stored = parts_stored(&stage.world);
        fuse.mend();
        let _answer_or_error = holder.await;
        assert_eq!(parts_stored(&stage.world), stored, "{what}");
    }
}

fn parts_stored(world: &World) -> usize {
    world.store.keys_put().iter().filter(|key| key.contains("/part-")).count()
}

/// Also if a write of its own is in flight and reaches the store late.
#[tokio::test(start_paused = true)]
async fn a_holder_frozen_at_any_store_call_past_its_lease_changes_nothing_when_it_wakes_up() {
    let scene = Scene::small().await;
    for side in [Side::Before, Side::After] {
        for call in AFTER_TAKING..=scene.store_calls {
            let stage = scene.stage();
            let fuse = stage.fuse_at_store_call(call, side);
            freeze(&stage, &fuse, &format!("frozen {side:?} store call {call}")).await;
        }
    }
}

/// Another invocation abandoned the run while its holder was frozen. The holder removes what it stores when it wakes up,
/// because nobody else would look for it.
#[tokio::test(start_paused = true)]
async fn a_holder_frozen_while_its_run_is_abandoned_leaves_nothing() {
    let scene = Scene::small().await;
    let mut late = 0;
    for side in [Side::Before, Side::After] {
        for call in AFTER_TAKING..=scene.store_calls {
            let what = format!("frozen {side:?} store call {call}");
            let stage = scene.stage();
            let world = &stage.world;
            let fuse = stage.fuse_at_store_call(call, side);
            let holder = frozen(world, &fuse, &what).await;
            let answer = world.handle(json!({"restart": true})).await.expect("sync");
            assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
            let removals = world.store.count(Operation::Delete);
            fuse.mend();
            let _answer_or_error = holder.await;
            late += world.store.count(Operation::Delete) - removals;
            assert_eq!(unnamed(world), BTreeSet::new(), "{what}");
            assert!(world.published().is_some(), "{what}");
        }
    }
    assert!(late > 0, "no write came late");
}

/// Publishes this many snapshots, a second apart.
async fn publish_snapshots(how_many: usize, world: &World) {
    for _ in 0..how_many {
        tokio::time::advance(Duration::from_secs(1)).await;
        world.complete().await;
    }
}

/// Others finished the run while its holder slept, and newer snapshots took its place, so that its parts are gone. The
/// holder says that it lost the run, and not that somebody must start over.
#[tokio::test(start_paused = true)]
async fn a_holder_frozen_until_its_snapshot_is_removed_says_that_it_lost_the_run() {
    let scene = Scene::small().await;
    let mut lost = 0;
    for call in AFTER_TAKING..=scene.store_calls {
        let what = format!("frozen after store call {call}");
        let mut stage = scene.stage();
        stage.world = stage.world.clone().with("KEEP_SNAPSHOTS", "2");
        let world = &stage.world;
        let fuse = stage.fuse_at_store_call(call, Side::After);
        let holder = frozen(world, &fuse, &what).await;
        publish_snapshots(3, world).await;
        fuse.mend();
        match holder.await {
            Err(Error::LeaseLost(_)) => lost += 1,
            Ok(answer) => assert_eq!(answer["status"], "complete", "{what}: {answer:#}"),
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
    assert!(lost > 0, "no holder lost its lease");
}

/// An invocation that froze before it had begun a run, while others published and the snapshot that it saw was removed,
/// does not call anything damaged: it looks again.
#[tokio::test(start_paused = true)]
async fn an_invocation_frozen_before_its_run_sees_what_is_published_now() {
    let scene = Scene::small().await;
    for side in [Side::Before, Side::After] {
        for call in 1..AFTER_TAKING {
            let what = format!("frozen {side:?} store call {call}");
            let mut stage = scene.stage();
            stage.world = stage.world.clone().with("KEEP_SNAPSHOTS", "1");
            let world = &stage.world;
            let fuse = stage.fuse_at_store_call(call, side);
            let holder = frozen(world, &fuse, &what).await;
            publish_snapshots(2, world).await;
            fuse.mend();
            match holder.await {
                Err(Error::LeaseLost(_)) => {}
                Ok(answer) => {
                    let ends = ["complete", "busy"].contains(&answer["status"].as_str().unwrap());
                    assert!(ends, "{what}: {answer:#}");
                }
                Err(error) => panic!("{what}: {error:?}"),
            }
        }
    }
}

/// Somebody writes the checkpoint again without changing it, as replication between buckets does, so that it has a new
/// version. The run goes on, whatever its holder was about to do.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_written_again_as_it_is_stays_its_holders() {
    let scene = Scene::small().await;
    for call in AFTER_TAKING..=scene.store_calls {
        let what = format!("before store call {call}");
        let stage = scene.stage();
        let world = &stage.world;
        let fuse = stage.fuse_at_store_call(call, Side::Before);
        let mut holder = Box::pin(world.sync());
        assert!(until_blown(&fuse, &mut holder).await.is_none(), "{what}: it ended");
        if let Some(bytes) = world.memory.objects().remove("checkpoint.json") {
            world.memory.plant("checkpoint.json", bytes);
        }
        fuse.mend();
        let answer = holder.await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
        assert!(!world.has_checkpoint(), "{what}");
    }
}

/// A part that such a write adds to a published snapshot harms nobody, and is removed with the next
/// snapshot.
#[tokio::test(start_paused = true)]
async fn a_part_stored_after_another_invocation_published_is_removed() {
    let scene = Scene::small().await;
    let mut late = 0;
    for call in AFTER_TAKING..=scene.store_calls {
        let what = format!("frozen before store call {call}");
        let stage = scene.stage();
        let world = &stage.world;
        let fuse = stage.fuse_at_store_call(call, Side::Before);
        let holder = frozen(world, &fuse, &what).await;
        // The next invocation reads other rows than those that the frozen one is about to store,
        // whichever list it is: lists that are read concurrently take turns in any order.
        for (list, name) in [
            ("users", "first_name"),
            ("organizations", "name"),
            ("organization_roles", "name"),
            ("organization_permissions", "name"),
        ] {
            for row in scene.sandbox.rows(list) {
                let id = row["id"].as_str().expect("an id");
                let rename = |row: &mut Value| row[name] = Value::from(what.as_str());
                scene.sandbox.update(list, id, rename).expect("it is there");
            }
        }
        world.complete().await;
        fuse.mend();
        let _answer_or_error = holder.await;
        late += usize::from(!unnamed(world).is_empty());
        tokio::time::advance(PAST_THE_LEASE).await;
        world.complete().await;
        assert_eq!(unnamed(world), BTreeSet::new(), "{what}");
    }
    assert!(late > 0, "no write came late");
}

/// An invocation that was frozen before it took a run starts one when it wakes up that is already
/// overtaken: the run is not published, and blocks nobody.
#[tokio::test(start_paused = true)]
async fn an_invocation_frozen_before_it_took_a_run_blocks_no_later_one() {
    let scene = Scene::small().await;
    for call in 1..AFTER_TAKING {
        let what = format!("frozen before store call {call}");
        let stage = scene.stage();
        let world = &stage.world;
        let fuse = stage.fuse_at_store_call(call, Side::Before);
        let sleeper = frozen(world, &fuse, &what).await;
        let whole = world.complete().await;
        let latest = world.memory.objects()["latest.json"].clone();
        fuse.mend();
        if sleeper.await.is_err() {
            assert_eq!(world.memory.objects()["latest.json"], latest, "{what}");
        }
        tokio::time::advance(PAST_THE_LEASE).await;
        assert_eq!(world.complete().await.digests(), whole.digests(), "{what}");
        assert!(!world.has_checkpoint(), "{what}: the checkpoint is still there");
        let objects = world.memory.objects();
        let of_published = |key: &String| {
            let folder = key.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
            objects.contains_key(&format!("{folder}/manifest.json"))
        };
        let mut below_snapshots = objects.keys().filter(|key| key.starts_with("snapshots/"));
        assert!(below_snapshots.all(of_published), "{what}: {:?}", objects.keys());
    }
}

/// The next holder has just taken the run, and is frozen itself when the first one wakes up.
#[tokio::test(start_paused = true)]
async fn a_holder_that_wakes_up_beside_its_successor_disturbs_neither_it_nor_readers() {
    let scene = Scene::small().await;
    for call in AFTER_TAKING..=scene.store_calls {
        let what = format!("frozen before store call {call}");
        let stage = scene.stage();
        let world = &stage.world;
        let fuse = stage.fuse_at_store_call(call, Side::Before);
        let holder = frozen(world, &fuse, &what).await;
        let before = world.memory.objects().remove("checkpoint.json");
        // If the first one had published, its successor begins a run of its own.
        let has_published = stage.has_published() && before.is_some();
        let taking = AFTER_TAKING - 1 + if has_published { CLEANING_UP } else { 0 };
        let fuse_of_successor = stage.fuse_at_store_call(taking, Side::After);
        let mut successor = Box::pin(world.sync());
        assert!(until_blown(&fuse_of_successor, &mut successor).await.is_none(), "{what}");
        let taken = world.memory.objects()["checkpoint.json"].clone();
        assert!(before.as_ref() != Some(&taken), "{what}: the successor has not taken the run");
        if has_published {
            scene.sandbox.clear_requests();
        }

        fuse.mend();
        let answer = holder.await;
        let latest = world.published().expect("published").latest;
        match answer {
            Err(Error::LeaseLost(_)) => {}
            // It had already published, and only its checkpoint was left to remove.
            Ok(answer) if answer["status"] == "complete" => {
                assert_eq!(answer["snapshot_id"], latest["snapshot_id"], "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(world.memory.objects()["checkpoint.json"], taken, "{what}");

        fuse_of_successor.mend();
        let answer = successor.await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
        scene.assert_as_uninterrupted(world, 1, &what);
    }
}

/// An invocation that was frozen while it failed, and lost the run to another, removes nothing from
/// the snapshot that the other one published, and still reports why it failed.
#[tokio::test(start_paused = true)]
async fn an_invocation_frozen_while_failing_removes_nothing_published() {
    let (mut froze, mut failed) = (0, 0);
    for (call, side) in (1..=20).flat_map(|call| [(call, Side::Before), (call, Side::After)]) {
        let what = format!("frozen {side:?} store call {call}");
        let world = World::of(40, 6, 50);
        world.sandbox.fault(FaultRule::on("/v1/instance").status(401, "clerk_key_invalid"));
        let gate = Gate::of([(call, side, true)]);
        let mut failing = world.clone();
        let store = Arc::clone(&world.store) as Arc<dyn Store>;
        failing.store = FaultyStore::new(GatedStore::behind(store, Arc::clone(&gate)));
        let mut work = pin!(failing.sync());
        tokio::select! {
            biased;
            _ = gate.reached() => froze += 1,
            _ = &mut work => continue,
        }
        let is_refused = world.sandbox.request_count("/v1/instance") > 0;
        world.sandbox.clear_faults();
        tokio::time::advance(PAST_THE_LEASE).await;
        world.complete().await;
        let published = world.memory.objects();
        gate.open();
        let ended = work.await;
        if is_refused {
            failed += 1;
            assert!(matches!(ended, Err(Error::ClerkUnauthorized(_))), "{what}: {ended:?}");
        }
        let objects = world.memory.objects();
        let gone: Vec<_> = published.keys().filter(|key| !objects.contains_key(*key)).collect();
        assert!(gone.is_empty(), "{what}: took {gone:?} away");
    }
    assert!(froze > 6, "an invocation that fails calls the store more often");
    assert!(failed > 1, "it calls the store after it has failed");
}
