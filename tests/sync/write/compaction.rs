//! Promise: small parts are joined into large ones without losing or repeating a row, wherever the
//! run is cut.

use std::collections::BTreeSet;

use clerk_sandbox::FaultRule;
use clerk_store::Operation;
use clerk_sync::error::Error;
use serde_json::Value;

use crate::support::faulty_store::{self, Fault};
use crate::support::further_lists::world;
use crate::support::fuse::Side;
use crate::support::pieces::complete;
use crate::support::plain::plain;
use crate::support::scene::{PAST_THE_LEASE, Stage, frozen, unnamed};
use crate::support::sessions::{refusing_sessions_of_all, with_sessions};
use crate::support::source::membership_ids;

/// However many owners there are, parts are joined until they are large.
#[tokio::test(start_paused = true)]
async fn parts_of_lists_by_owner_are_as_few_as_their_bytes_allow() {
    let (sandbox, of_the_active) = with_sessions(3 * 3000);
    refusing_sessions_of_all(&sandbox);
    let world = world(&sandbox, &["sessions"]).with("COMPRESSION", "none");
    let snapshot = complete(&world, "joined").await;
    assert!(snapshot.ids("sessions") == of_the_active);
    let parts = snapshot.manifest["datasets"]["sessions"]["parts"].as_array().expect("parts");
    let bytes: u64 = parts.iter().map(|part| part["bytes"].as_u64().expect("a size")).sum();
    // One part for every half mebibyte, and fewer than eight of each smaller size at the end.
    assert!(bytes > 1_500_000, "{bytes} bytes");
    let most = bytes as usize / (512 * 1024) + 4 * 7;
    assert!(parts.len() <= most, "{} parts of {bytes} bytes", parts.len());
    let stored = world.store.keys_put().iter().filter(|key| key.contains("/part-")).count();
    assert!(stored > 60, "{stored} parts were stored in all");
}

/// The parts that a joined one replaces are removed at once: after publishing there may be no time to remove thousands.
#[tokio::test(start_paused = true)]
async fn parts_that_were_joined_are_removed_before_the_snapshot_is_published() {
    let (sandbox, of_the_active) = with_sessions(3 * 24);
    refusing_sessions_of_all(&sandbox);
    let world = world(&sandbox, &["sessions"]);
    let fault = Fault::new(Operation::Put, faulty_store::Effect::FailBefore);
    world.store.fault(fault.on_key("manifest.json"));
    let error = world.sync().await.expect_err("the manifest cannot be stored");
    assert!(matches!(error, Error::StoreUnavailable(_)), "{error:?}");
    let objects = world.memory.objects();
    let checkpoint: Value = serde_json::from_slice(&objects["checkpoint.json"]).expect("JSON");
    let folder = format!("snapshots/{}/", checkpoint["snapshot_id"].as_str().expect("an id"));
    let windows = checkpoint["lists"]["sessions"]["windows"].as_array().expect("windows").iter();
    let segments = windows.flat_map(|window| window["stretches"].as_array().expect("segments"));
    let parts = segments.flat_map(|segment| segment["parts"].as_object().expect("parts").values());
    let named: BTreeSet<String> =
        parts.map(|part| format!("{folder}{}", part["key"].as_str().expect("a key"))).collect();
    let is_part = |key: &String| key.contains("/part-");
    let stored: BTreeSet<String> = objects.into_keys().filter(is_part).collect();
    assert_eq!(stored, named);
    let written = world.store.keys_put().into_iter().filter(is_part).count();
    assert!(written > 24 && stored.len() < 8, "{written} written, {} stored", stored.len());
    let snapshot = complete(&world, "published").await;
    assert!(snapshot.ids("sessions") == of_the_active);
}

/// If only the last of the parts that are joined has lines, the joined part has its content and its name. It is not
/// removed.
#[tokio::test(start_paused = true)]
async fn a_part_that_equals_the_joined_one_stays() {
    const LIST: &str = "/v1/organization_memberships";
    // Each of eight organizations has one member.
    let sandbox = plain(8, 8, 8);
    let memberships = sandbox.ids("organization_memberships");
    for id in &memberships[..7] {
        let of_nobody = |row: &mut Value| row["public_user_data"] = Value::Null;
        sandbox.update("organization_memberships", id, of_nobody).expect("it is there");
    }
    // They are read by owner, because the second page of the whole list fails.
    sandbox.fault(FaultRule::on(LIST).truncate_page(2));
    sandbox.fault(FaultRule::on(LIST).past_offset(1).status(504, "gateway_timeout"));
    let world = world(&sandbox, &["organization_memberships"]).with("MAX_CONCURRENCY", "1");
    let snapshot = complete(&world, "one part").await;
    assert_eq!(snapshot.manifest["datasets"]["grants"]["walk"], "by_owner");
    assert_eq!(membership_ids(&snapshot), &memberships[7..]);
    // First by itself, and then as the joined one.
    let written: Vec<String> =
        world.store.keys_put().into_iter().filter(|key| key.contains("/grants/part-")).collect();
    assert_eq!(written.len(), 2, "{written:?}");
    assert_eq!(written[0], written[1]);
}

/// Most users have one or two sessions, which are stored as they arrive and joined later. Wherever
/// the power is cut, each is in the snapshot once, and no joined part is left.
#[tokio::test(start_paused = true)]
async fn small_parts_are_joined_wherever_the_power_is_cut() {
    let (sandbox, of_the_active) = with_sessions(3 * 24);
    refusing_sessions_of_all(&sandbox);
    let stage = || Stage::of(world(&sandbox, &["sessions"]));
    let whole = stage();
    let snapshot = complete(&whole.world, "whole").await;
    let parts = snapshot.manifest["datasets"]["sessions"]["parts"].as_array().expect("parts");
    assert!(parts.len() < 8, "{} parts", parts.len());
    for side in [Side::Before, Side::After] {
        for call in 1..=whole.store_calls() {
            let what = &format!("cut {side:?} store call {call}");
            let stage = stage();
            let world = &stage.world;
            assert!(stage.cut_at_store_call(call, side).await.is_none(), "{what}: it ended");
            tokio::time::advance(PAST_THE_LEASE).await;
            let snapshot = complete(world, what).await;
            assert!(snapshot.ids("sessions") == of_the_active, "{what}");
            assert_eq!(unnamed(world), BTreeSet::new(), "{what}");
        }
    }
}

/// An invocation that freezes meanwhile, and wakes up after another has published the snapshot,
/// removes nothing from it.
#[tokio::test(start_paused = true)]
async fn an_invocation_frozen_while_joining_parts_removes_nothing_published() {
    const AFTER_TAKING: u64 = 5;
    let (sandbox, of_the_active) = with_sessions(3 * 24);
    refusing_sessions_of_all(&sandbox);
    let stage = || Stage::of(world(&sandbox, &["sessions"]));
    let whole = stage();
    complete(&whole.world, "whole").await;
    for call in AFTER_TAKING..=whole.store_calls() {
        let what = &format!("frozen before store call {call}");
        let stage = stage();
        let world = &stage.world;
        let fuse = stage.fuse_at_store_call(call, Side::Before);
        let holder = frozen(world, &fuse, what).await;
        complete(world, what).await;
        fuse.mend();
        let _answer_or_error = holder.await;
        let snapshot = world.published().expect("published");
        assert!(snapshot.ids("sessions") == of_the_active, "{what}");
    }
}

/// A store that cannot be read does not end a run for good, wherever that is noticed.
#[tokio::test(start_paused = true)]
async fn a_part_that_cannot_be_read_when_it_is_joined_is_read_by_the_next_invocation() {
    let (sandbox, of_the_active) = with_sessions(3 * 24);
    refusing_sessions_of_all(&sandbox);
    let world = world(&sandbox, &["sessions"]);
    let fault = Fault::new(Operation::Get, faulty_store::Effect::FailBefore);
    world.store.fault(fault.on_key("/part-").at(3));
    let error = world.sync().await.expect_err("a part could not be read");
    assert!(matches!(error, Error::StoreUnavailable(_)), "{error:?}");
    let snapshot = complete(&world, "the next one").await;
    assert!(snapshot.ids("sessions") == of_the_active);
    assert_eq!(unnamed(&world), BTreeSet::new());
}
