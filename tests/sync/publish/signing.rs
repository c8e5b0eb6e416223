//! Promise: with `SIGNING_KEY_ID`, no snapshot is published whose manifest is not signed.

use std::sync::Arc;
use std::time::Duration;

use clerk_sandbox::{Population, Sandbox};
use clerk_store::Operation;
use serde_json::json;

use crate::support::faulty_store::{Effect, Fault};
use crate::support::fuse::Side;
use crate::support::scene::{PAST_THE_LEASE, Stage};
use crate::support::signer::LocalSigner;
use crate::support::world::World;

fn signed() -> (World, Arc<LocalSigner>) {
    let signer = Arc::new(LocalSigner::new(7));
    (World::of(40, 6, 50).with_signer(&signer), signer)
}

#[tokio::test(start_paused = true)]
async fn the_signature_is_stored_after_the_manifest_and_before_latest_json() {
    let (world, signer) = signed();
    world.complete().await;
    signer.assert_signed_latest(&world.memory.objects(), "after a sync");
    let written = world.store.keys_put();
    let place = |end: &str| written.iter().position(|key| key.ends_with(end)).expect("written");
    assert!(place("/manifest.json") < place("/manifest.json.sig"));
    assert!(place("/manifest.json.sig") < place("latest.json"));
    assert_eq!(signer.made(), 1);
}

/// The snapshot stays complete, so Clerk is not read again.
#[tokio::test(start_paused = true)]
async fn a_manifest_that_cannot_be_signed_is_not_published_and_the_error_says_why() {
    let (world, signer) = signed();
    let before = world.complete().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    signer.fail(1);
    let error = world.sync().await.expect_err("it cannot be signed");
    assert_eq!(error.name(), "StoreUnavailable");
    let message = error.message();
    for part in ["not published", "could not be signed", "alias/evidence", "try again later"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(world.published().expect("the one before").latest, before.latest);

    world.sandbox.clear_requests();
    let after = world.complete().await;
    assert_ne!(after.latest, before.latest);
    assert_eq!(world.sandbox.total_requests(), 0, "it was read already");
    signer.assert_signed_latest(&world.memory.objects(), "the second time");
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_cannot_be_stored_is_an_error_too() {
    let (world, signer) = signed();
    let refused = Effect::Refuse(403, "AccessDenied");
    world.store.fault(Fault::new(Operation::Put, refused).on_key(".sig"));
    let error = world.sync().await.expect_err("it cannot be stored");
    assert!(error.message().contains("manifest.json.sig"), "{}", error.message());
    assert!(world.published().is_none());
    world.complete().await;
    signer.assert_signed_latest(&world.memory.objects(), "the second time");
}

/// Wherever the power fails, readers find a signed snapshot.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_store_call_publishes_nothing_unsigned() {
    let signer = Arc::new(LocalSigner::new(7));
    let population = Population::default().users(40).organizations(6).memberships(50);
    let sandbox = Sandbox::new(population);
    let stage = || Stage::of(World::new(sandbox.clone()).with_signer(&signer));
    let whole = stage();
    whole.world.complete().await;
    for side in [Side::Before, Side::After] {
        for call in 1..=whole.store_calls() {
            let what = format!("cut {side:?} store call {call}");
            let stage = stage();
            assert!(stage.cut_at_store_call(call, side).await.is_none(), "{what}");
            if stage.has_published() {
                signer.assert_signed_latest(&stage.world.memory.objects(), &what);
            }
            tokio::time::advance(PAST_THE_LEASE).await;
            stage.world.complete().await;
            let objects = stage.world.memory.objects();
            signer.assert_signed_latest(&objects, &what);
            let unsigned = objects.keys().filter(|key| key.ends_with("/manifest.json"));
            let unsigned: Vec<_> =
                unsigned.filter(|key| !objects.contains_key(&format!("{key}.sig"))).collect();
            assert!(unsigned.is_empty(), "{what}: {unsigned:?}");
        }
    }
}

/// The key was changed while the guard held the snapshot: it is published with a signature by the new one.
#[tokio::test(start_paused = true)]
async fn a_held_snapshot_is_signed_again_when_it_is_published() {
    let (world, old) = signed();
    world.complete().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let small = Sandbox::new(Population::default().users(10).organizations(6).memberships(5));
    let shrunk = World::new(small).with_signer(&old);
    for (key, bytes) in world.memory.objects() {
        shrunk.memory.plant(&key, bytes);
    }
    let held = shrunk.sync().await.expect("an answer");
    assert_eq!(held["status"], "held", "{held:#}");
    let key = held["manifest"].as_str().expect("an address");
    let key = &key[key.find("snapshots/").expect("a key")..];
    let objects = shrunk.memory.objects();
    assert!(old.has_signed(&objects[key], &objects[&format!("{key}.sig")]));

    let new = Arc::new(LocalSigner::new(9));
    let published = shrunk.with_signer(&new);
    let accept = json!({"action": "sync", "accept_shrink": true});
    let answer = published.handle(accept).await.expect("an answer");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    new.assert_signed_latest(&published.memory.objects(), "accepted");
}

/// A signature goes with its snapshot, and stays as long as that does.
#[tokio::test(start_paused = true)]
async fn signatures_are_kept_and_removed_with_their_snapshots() {
    let (world, signer) = signed();
    for keep in ["all", "all", "2"] {
        tokio::time::advance(Duration::from_secs(1)).await;
        world.clone().with("KEEP_SNAPSHOTS", keep).complete().await;
        signer.assert_signed_latest(&world.memory.objects(), keep);
    }
    let count = |end: &str| world.memory.objects().keys().filter(|key| key.ends_with(end)).count();
    assert_eq!((count("/manifest.json"), count("/manifest.json.sig")), (2, 2));

    // A run that was signed, then given up, leaves nothing.
    tokio::time::advance(Duration::from_secs(1)).await;
    let busy = Fault::new(Operation::Put, Effect::FailBefore).on_key("latest.json").from(1);
    world.store.fault(busy);
    world.sync().await.expect_err("latest.json cannot be written");
    assert_eq!(count("/manifest.json.sig"), 3);
    world.store.heal();
    let restart = json!({"action": "sync", "restart": true});
    let answer = world.handle(restart).await.expect("an answer");
    assert_eq!(answer["status"], "complete");
    assert_eq!((count("/manifest.json"), count("/manifest.json.sig")), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn check_signs_a_probe() {
    let (world, signer) = signed();
    let world = world.with("SIGNING_KEY_ID", "alias/evidence");
    let answers = world.handle(json!({"action": "check"})).await.expect("check");
    let signing = |answers: &serde_json::Value| {
        let answers = answers.as_array().expect("a list");
        answers.iter().find(|answer| answer["check"] == "signing").cloned().expect("an answer")
    };
    assert_eq!(signing(&answers)["ok"], true, "{answers:#}");
    assert_eq!(signer.made(), 1);
    signer.fail(1);
    let answers = world.handle(json!({"action": "check"})).await.expect("check");
    assert_eq!(signing(&answers)["ok"], false, "{answers:#}");
    assert!(signing(&answers)["detail"].as_str().expect("text").contains("alias/evidence"));
}
