//! Promise: published snapshots are a chain. A manifest names the snapshot that `latest.json` named when
//! the manifest's own took its place, whatever is cut off or moved meanwhile; and whoever publishes a
//! run writes the same manifest.

use bytes::Bytes;
use clerk_snapshot::digest::Sha256Hex;
use clerk_store::Operation;
use clerk_sync::error::Error;
use serde_json::{Value, json};

use crate::support::chain::assert_chain;
use crate::support::faulty_store::{Effect, Fault};
use crate::support::fuse::Side;
use crate::support::scene::{Scene, Stage, unnamed, until_blown};
use crate::support::world::World;

/// A snapshot that somebody moves `latest.json` to.
const OTHER: &str = "20200101T000000Z-0000aa";

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

/// What a manifest says of the snapshot that this `latest.json` names.
fn named_by(latest: &Bytes) -> Value {
    let latest = parsed(latest);
    let (id, sha256) = (&latest["snapshot_id"], &latest["manifest_sha256"]);
    json!({"snapshot_id": id, "manifest_sha256": sha256})
}

/// The id of the run in progress.
fn run(world: &World) -> String {
    let checkpoint = parsed(&world.memory.objects()["checkpoint.json"]);
    checkpoint["snapshot_id"].as_str().expect("an id").to_owned()
}

/// The manifest of the run in progress.
fn manifest_key(world: &World) -> String {
    format!("snapshots/{}/manifest.json", run(world))
}

fn text(answer: &Value) -> &str {
    answer["message"].as_str().expect("text")
}

#[tokio::test(start_paused = true)]
async fn each_snapshot_names_the_one_whose_place_it_takes_and_the_first_names_none() {
    let world = World::of(40, 6, 50);
    let mut previous = Value::Null;
    for event in [json!({}), json!({}), json!({"force": true}), json!({"resources": ["users"]})] {
        let answer = world.handle(event).await.expect("sync");
        assert_eq!(answer["status"], "complete", "{answer:#}");
        let snapshot = world.published().expect("published");
        assert_eq!(snapshot.manifest["previous"], previous);
        let key = snapshot.latest["manifest"].as_str().expect("a key");
        let sha256 = Sha256Hex::of(&world.memory.objects()[key]).to_string();
        previous =
            json!({"snapshot_id": snapshot.latest["snapshot_id"], "manifest_sha256": sha256});
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!(assert_chain(&world, "four"), 4);
}

/// Snapshots that are not published are no part of it.
#[tokio::test(start_paused = true)]
async fn a_run_that_was_given_up_is_no_part_of_the_chain() {
    let scene = Scene::small().await;
    let stage = scene.stage();
    let world = &stage.world;
    all_but_latest(&stage).await;
    let abandoned = run(world);
    let answer = world.handle(json!({"restart": true})).await.expect("sync");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert_ne!(answer["snapshot_id"], abandoned);
    let manifest = world.published().expect("published").manifest;
    assert_eq!(manifest["previous"], named_by(scene.latest_before()));
    assert_eq!(assert_chain(world, "abandoned"), 1);
}

/// Among the calls are all those of publishing.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_store_call_breaks_no_chain_and_changes_no_manifest() {
    let scene = Scene::small().await;
    for side in [Side::Before, Side::After] {
        for call in 1..=scene.store_calls {
            let what = format!("cut {side:?} store call {call}");
            let stage = scene.stage();
            let world = &stage.world;
            assert!(stage.cut_at_store_call(call, side).await.is_none(), "{what}");
            let before = world.memory.objects();
            stage.finish_after_cut(&what).await;
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            world.complete().await;
            let after = world.memory.objects();
            for (key, manifest) in before.iter().filter(|(key, _)| key.ends_with("/manifest.json"))
            {
                assert_eq!(after.get(key), Some(manifest), "{what}: {key}");
            }
            // Every snapshot that is there is published, and so a part of the chain.
            let manifests = after.keys().filter(|key| key.ends_with("/manifest.json")).count();
            assert_eq!(assert_chain(world, &what) + 1, manifests, "{what}");
        }
    }
}

/// The run is complete, and nothing is settled: its parts are not confirmed.
async fn all_but_settled(stage: &Stage) {
    stops_at(stage, Fault::new(Operation::Verify, Effect::FailBefore).from(1)).await;
    assert_eq!(settled(&stage.world), None);
}

/// The run's manifest is written, and only `latest.json` is to be moved.
async fn all_but_latest(stage: &Stage) {
    let fault = Fault::new(Operation::Put, Effect::FailBefore).on_key("latest.json");
    stops_at(stage, fault.from(1)).await;
    assert!(settled(&stage.world).is_some());
}

async fn stops_at(stage: &Stage, fault: Fault) {
    stage.world.store.fault(fault);
    let ended = stage.world.sync().await;
    assert!(matches!(ended, Err(Error::StoreUnavailable(_))), "{ended:?}");
    stage.world.store.heal();
}

/// What the checkpoint says that the run's snapshot takes the place of.
fn settled(world: &World) -> Option<Value> {
    let checkpoint = parsed(&world.memory.objects()["checkpoint.json"]);
    checkpoint["completed"]["succession"].get("previous").cloned()
}

/// What somebody does to `latest.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// To a snapshot that was started before the run.
    Older,
    /// To one that was started after it.
    Newer,
    /// It is written again as it was.
    Same,
    /// To another snapshot, and back.
    AndBack,
    Gone,
    Damaged,
}

impl Moved {
    const ALL: [Self; 6] =
        [Self::Older, Self::Newer, Self::Same, Self::AndBack, Self::Gone, Self::Damaged];

    fn befall(self, scene: &Scene, world: &World) {
        let original = scene.latest_before().clone();
        let other = |started_at: &str| {
            let mut other = parsed(&original);
            other["started_at"] = json!(started_at);
            other["snapshot_id"] = json!(OTHER);
            other["manifest_sha256"] = json!("a".repeat(64));
            world.memory.plant("latest.json", other.to_string());
        };
        match self {
            Self::Older => other("2020-01-01T00:00:00.000Z"),
            Self::Newer => other("2026-01-01T00:00:00.000Z"),
            Self::Same => world.memory.plant("latest.json", original),
            Self::AndBack => {
                other("2020-01-01T00:00:00.000Z");
                world.memory.plant("latest.json", original);
            }
            Self::Gone => drop(world.memory.take_away("latest.json")),
            Self::Damaged => world.memory.plant("latest.json", "{"),
        }
    }

    /// Whether the run's snapshot can take the place of what is named then.
    const fn leaves_as_it_was(self) -> bool {
        matches!(self, Self::Same | Self::AndBack)
    }
}

/// What the newest manifest has to say of the one before it.
fn previous_after(moved: Moved, scene: &Scene) -> Value {
    match moved {
        Moved::Older | Moved::Newer => {
            json!({"snapshot_id": OTHER, "manifest_sha256": "a".repeat(64)})
        }
        Moved::Same | Moved::AndBack | Moved::Damaged => named_by(scene.latest_before()),
        Moved::Gone => Value::Null,
    }
}

/// A sync publishes: the run itself, or one that begins in its place and reads everything anew.
async fn publishes(world: &World, itself: Option<&str>, event: Value, what: &str) -> Value {
    let asked = world.sandbox.total_requests();
    let answer = world.handle(event).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
    if let Some(run) = itself {
        assert_eq!(answer["snapshot_id"], run, "{what}: {answer:#}");
        assert_eq!(world.sandbox.total_requests(), asked, "{what}: Clerk is asked nothing");
    } else {
        assert!(text(&answer).contains("abandoned"), "{what}: {answer:#}");
        assert!(world.sandbox.total_requests() > asked, "{what}: everything is read again");
    }
    assert!(!world.has_checkpoint(), "{what}");
    assert_eq!(unnamed(world), [].into(), "{what}");
    assert_chain(world, what);
    world.published().expect("published").manifest
}

/// A manifest that says what it follows cannot be changed, so that of a run that would follow another
/// snapshot is never published.
#[tokio::test(start_paused = true)]
async fn a_run_whose_manifest_names_another_snapshot_by_now_is_abandoned() {
    let scene = Scene::small().await;
    for moved in Moved::ALL {
        let what = format!("{moved:?}");
        let stage = scene.stage();
        let world = &stage.world;
        all_but_latest(&stage).await;
        let run = run(world);
        let manifest = world.memory.objects()[&manifest_key(world)].clone();
        assert_eq!(parsed(&manifest)["previous"], named_by(scene.latest_before()), "{what}");
        moved.befall(&scene, world);
        let (itself, event) = match moved {
            Moved::Damaged => {
                let before = world.memory.objects();
                let ended = world.sync().await;
                assert!(matches!(ended, Err(Error::StateUnreadable(_))), "{what}: {ended:?}");
                assert_eq!(world.memory.objects(), before, "{what}");
                // It names nothing that would contradict the manifest.
                (Some(run.as_str()), json!({"accept_shrink": true}))
            }
            moved if moved.leaves_as_it_was() => (Some(run.as_str()), json!({})),
            _ => (None, json!({})),
        };
        let published = if moved == Moved::Damaged {
            // What was damaged is kept beside it.
            let answer = world.handle(event).await.expect("sync");
            assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
            assert_eq!(answer["snapshot_id"], run, "{what}");
            world.published().expect("published").manifest
        } else {
            publishes(world, itself, event, &what).await
        };
        assert_eq!(published["previous"], previous_after(moved, &scene), "{what}");
        if published["snapshot_id"] == run {
            assert_eq!(published, parsed(&manifest), "{what}: written again");
        }
    }
}

/// What is not settled yet follows whatever `latest.json` names by then.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_not_settled_follows_what_latest_json_names_by_then() {
    let scene = Scene::small().await;
    for moved in [Moved::Older, Moved::Same, Moved::Gone] {
        let what = format!("{moved:?}");
        let stage = scene.stage();
        all_but_settled(&stage).await;
        let run = run(&stage.world);
        moved.befall(&scene, &stage.world);
        let manifest = publishes(&stage.world, Some(&run), json!({}), &what).await;
        assert_eq!(manifest["previous"], previous_after(moved, &scene), "{what}");
    }
    // What cannot be understood names nothing.
    let stage = scene.stage();
    all_but_settled(&stage).await;
    let run = run(&stage.world);
    Moved::Damaged.befall(&scene, &stage.world);
    let answer = stage.world.handle(json!({"accept_shrink": true})).await.expect("sync");
    assert_eq!((&answer["status"], &answer["snapshot_id"]), (&json!("complete"), &json!(run)));
    let manifest = stage.world.published().expect("published").manifest;
    assert_eq!(manifest["previous"], Value::Null);
}

/// The number of the store's call that writes this file, in a run that nothing disturbs.
async fn call_that_writes(scene: &Scene, name: &str) -> u64 {
    let stage = scene.stage();
    stage.world.complete().await;
    let calls = stage.world.store.calls();
    let position =
        calls.iter().position(|it| it.operation == Operation::Put && it.key.ends_with(name));
    position.expect("it is written") as u64 + 1
}

/// Also while it is being published: once it is settled, `latest.json` has to stay as it is.
#[tokio::test(start_paused = true)]
async fn latest_json_that_moves_behind_the_last_look_stops_the_run_before_it_lies() {
    let scene = Scene::small().await;
    for name in ["/manifest.json", "latest.json"] {
        let call = call_that_writes(&scene, name).await;
        for moved in Moved::ALL {
            let what = format!("{moved:?} before {name} is written");
            let stage = scene.stage();
            let world = &stage.world;
            let fuse = stage.fuse_at_store_call(call, Side::Before);
            let mut work = Box::pin(world.sync());
            assert!(until_blown(&fuse, &mut work).await.is_none(), "{what}");
            let run = run(world);
            moved.befall(&scene, world);
            let standing = world.memory.objects().remove("latest.json");
            fuse.mend();
            let ended = work.await;
            if moved.leaves_as_it_was() {
                let answer = ended.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
                scene.assert_as_uninterrupted(world, 0, &what);
                continue;
            }
            match (moved, &ended) {
                (Moved::Damaged, Err(Error::StateUnreadable(_)))
                | (_, Err(Error::LeaseLost(_))) => {}
                _ => panic!("{what}: {ended:?}"),
            }
            assert_eq!(world.memory.objects().remove("latest.json"), standing, "{what}");
            if moved == Moved::Damaged {
                let answer = world.handle(json!({"accept_shrink": true})).await.expect("sync");
                assert_eq!(answer["snapshot_id"], run, "{what}: {answer:#}");
                let manifest = world.published().expect("published").manifest;
                assert_eq!(manifest["previous"], previous_after(moved, &scene), "{what}");
            } else {
                let manifest = publishes(world, None, json!({}), &what).await;
                assert_ne!(manifest["snapshot_id"], run, "{what}");
                assert_eq!(manifest["previous"], previous_after(moved, &scene), "{what}");
            }
        }
    }
}

/// A snapshot that the guard holds has its manifest, for people to look at: it says what it follows.
#[tokio::test(start_paused = true)]
async fn a_held_snapshot_is_published_behind_the_one_that_it_names_or_not_at_all() {
    let scene = Scene::small().await;
    for moved in [Moved::Same, Moved::Older, Moved::Gone] {
        let what = format!("{moved:?}");
        let stage = scene.stage();
        let world = &stage.world;
        // Every list has its rows again for the next stage.
        let rule = clerk_sandbox::FaultRule::on("/v1/organization_memberships");
        scene.sandbox.fault(rule.status(403, "feature_not_enabled"));
        let held = world.sync().await.expect("sync");
        assert_eq!(held["status"], "held", "{what}: {held:#}");
        let run = run(world);
        let manifest = world.memory.objects()[&manifest_key(world)].clone();
        assert_eq!(parsed(&manifest)["previous"], named_by(scene.latest_before()), "{what}");
        assert_eq!(world.sync().await.expect("sync")["status"], "held", "{what}");
        moved.befall(&scene, world);
        let itself = moved.leaves_as_it_was().then_some(run.as_str());
        let accepts = json!({"accept_shrink": true});
        let published = publishes(world, itself, accepts, &what).await;
        assert_eq!(published["previous"], previous_after(moved, &scene), "{what}");
        assert_eq!(published == parsed(&manifest), itself.is_some(), "{what}");
    }
}

// --- Runs of older versions --------------------------------------------------------------------

/// The fields of manifests that came last.
const NEWEST: [&str; 3] = ["previous", "settings", "redaction_key_id"];

/// Makes the checkpoint what a version would have written that did not know the newest fields.
fn age_checkpoint(world: &World) {
    world.edit_checkpoint(|checkpoint| {
        if let Some(completed) = checkpoint["completed"].as_object_mut() {
            completed.remove("settings");
            completed.remove("succession");
        }
        let follows = checkpoint["follows"].as_object_mut().expect("a snapshot");
        follows.remove("manifest_sha256").expect("a checksum");
    });
}

/// The manifest as a version would have written it that does not know these fields.
fn without(unknown: &[&str], manifest: &Bytes) -> Bytes {
    let mut document = parsed(manifest);
    let fields = document.as_object_mut().expect("an object");
    unknown.iter().for_each(|field| drop(fields.shift_remove(*field).expect("it is there")));
    let mut aged = serde_json::to_vec_pretty(&document).expect("JSON");
    aged.push(b'\n');
    aged.into()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_an_older_version_began_is_continued_and_says_everything() {
    let scene = Scene::small().await;
    let stage = scene.stage();
    stage.interrupt_at_request(scene.requests - 1).await;
    age_checkpoint(&stage.world);
    let run = run(&stage.world);
    let manifest = stage.world.complete().await.manifest;
    assert_eq!(manifest["snapshot_id"], run);
    assert_eq!(manifest["previous"], named_by(scene.latest_before()));
    assert_eq!(manifest["settings"]["clerk_api_url"], "http://127.0.0.1:1");
    scene.assert_as_uninterrupted(&stage.world, 1, "an older checkpoint");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_an_older_version_completed_is_published_without_what_that_did_not_note() {
    let scene = Scene::small().await;
    let stage = scene.stage();
    all_but_settled(&stage).await;
    age_checkpoint(&stage.world);
    let run = run(&stage.world);
    let manifest = publishes(&stage.world, Some(&run), json!({}), "an older checkpoint").await;
    assert_eq!(manifest["previous"], named_by(scene.latest_before()));
    assert_eq!(manifest["settings"], Value::Null);
}

/// A manifest that is there stays, byte for byte.
#[tokio::test(start_paused = true)]
async fn a_manifest_that_an_older_version_wrote_is_published_as_it_is() {
    let scene = Scene::small().await;
    let stage = scene.stage();
    let world = &stage.world;
    all_but_latest(&stage).await;
    let (run, key) = (run(world), manifest_key(world));
    let manifest = world.memory.objects()[&key].clone();
    let aged = without(&NEWEST, &manifest);
    // Of a run that this version completed it has to be the same, to the last field.
    for other in [aged.clone(), without(&["previous", "redaction_key_id"], &manifest)] {
        world.memory.plant(&key, other);
        let ended = world.sync().await;
        assert!(matches!(ended, Err(Error::StoreUnavailable(_))), "{ended:?}");
    }
    age_checkpoint(world);
    // Nor is any other taken for one of an older version.
    let mut other = parsed(&aged);
    other["verified"] = json!(false);
    for other in [other.to_string(), parsed(&aged).to_string()] {
        world.memory.plant(&key, other);
        let ended = world.sync().await;
        assert!(matches!(ended, Err(Error::StoreUnavailable(_))), "{ended:?}");
    }
    age_checkpoint(world);
    world.memory.plant(&key, aged.clone());
    let answer = world.sync().await.expect("sync");
    assert_eq!((&answer["status"], &answer["snapshot_id"]), (&json!("complete"), &json!(run)));
    assert_eq!(world.memory.objects()[&key], aged);
    // The next one goes on with the chain.
    let latest = world.memory.objects()["latest.json"].clone();
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(world.complete().await.manifest["previous"], named_by(&latest));
}

// --- What the checkpoint says ------------------------------------------------------------------

/// Whoever may write to the store cannot make a manifest name what is no other snapshot.
#[tokio::test(start_paused = true)]
async fn a_succession_that_cannot_be_is_not_believed() {
    let scene = Scene::small().await;
    for snapshot_id in ["../../elsewhere", "", "itself"] {
        let stage = scene.stage();
        let world = &stage.world;
        all_but_latest(&stage).await;
        let run = run(world);
        let snapshot_id = if snapshot_id == "itself" { &run } else { snapshot_id };
        world.edit_checkpoint(|checkpoint| {
            let previous = &mut checkpoint["completed"]["succession"]["previous"];
            previous["snapshot_id"] = json!(snapshot_id);
        });
        let ended = world.sync().await;
        assert!(matches!(ended, Err(Error::StateUnreadable(_))), "{snapshot_id}: {ended:?}");
    }
}
