//! Promise: somebody who can write to the store cannot make the program read, write or remove
//! anything of their choosing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clerk_store::Operation;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::faulty_store::{Effect, Fault};
use crate::support::hostile::{change_checkpoint, change_object, checkpoint, error_name, world};
use crate::support::pieces::{complete, ends};
use crate::support::plain::{FIRST, plain};
use crate::support::world::World;

/// An earlier snapshot is published, and a run is paused in the middle.
async fn paused() -> World {
    let sandbox = plain(1200, 3, 20);
    sandbox.add_permission("org:billing:read", "Read bills", FIRST);
    let world = world(&sandbox);
    complete(&world, "the first").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let answer = ends(&world, json!({"time_budget_seconds": 0})).await.expect("sync");
    assert_eq!(answer["status"], "partial", "{answer:#}");
    world
}

type Change = (&'static str, fn(&mut Value));

const EDITED: &[Change] = &[
    ("a snapshot outside", |it| it["snapshot_id"] = json!("../../elsewhere")),
    ("a snapshot below another", |it| it["snapshot_id"] = json!("20260101T000000Z-000000/users")),
    ("a snapshot without a name", |it| it["snapshot_id"] = json!("")),
    ("a snapshot with a long name", |it| it["snapshot_id"] = json!("2".repeat(10_000))),
    ("all snapshots abandoned", |it| it["abandoned"] = json!([""])),
    ("another folder abandoned", |it| it["abandoned"] = json!(["../precious"])),
    ("a part of a snapshot abandoned", |it| {
        it["abandoned"] = json!(["20260101T000000Z-000000/users"])
    }),
    ("its own snapshot abandoned", |it| it["abandoned"] = json!([it["snapshot_id"].clone()])),
    ("complete from the start", |it| {
        it["completed"] = json!({
            "at": it["started_at"], "run": it["run"], "compression": "none",
            "generator": {"name": "x", "version": "x", "clerk_api_version": "x"},
        });
    }),
    ("no windows", |it| first_list(it)["windows"] = json!([])),
    ("a segment without rows", |it| first_segment(it)["rows"] = json!(0)),
    ("more rows than can be counted", |it| first_segment(it)["rows"] = json!(u64::MAX)),
    ("a part number past the last", |it| first_segment(it)["sequence"] = json!(u32::MAX)),
    ("part numbers from past the last", |it| {
        first_list(it)["windows"][0]["numbered_from"] = json!(u32::MAX);
    }),
    ("a position past everything", |it| {
        first_list(it)["windows"][0]["place"]["offset"] = json!(u64::MAX - 1);
    }),
    ("a window from the beginning of time", |it| {
        first_list(it)["windows"][0]["bounds"]["from"] = json!(i64::MIN);
    }),
    ("requests beyond counting", |it| it["run"]["requests"] = json!(u64::MAX)),
    ("a revision beyond counting", |it| it["revision"] = json!(u64::MAX)),
    ("a part outside", |it| first_part(it)["key"] = json!("../../../precious.json")),
    ("a part that is a system file", |it| first_part(it)["key"] = json!("/etc/passwd")),
    ("a part of another kind", |it| first_part(it)["key"] = json!("manifest.json")),
    ("a part in a folder of its own", |it| first_part(it)["key"] = json!("users/part-/../x")),
];

fn first_list(checkpoint: &mut Value) -> &mut Value {
    let lists = checkpoint["lists"].as_object_mut().expect("lists");
    let (_, list) = lists
        .iter_mut()
        .find(|(_, list)| list["windows"][0]["stretches"] != json!([]))
        .expect("a part is stored");
    list
}

fn first_segment(checkpoint: &mut Value) -> &mut Value {
    &mut first_list(checkpoint)["windows"][0]["stretches"][0]
}

fn first_part(checkpoint: &mut Value) -> &mut Value {
    let parts = first_segment(checkpoint)["parts"].as_object_mut().expect("parts");
    parts.values_mut().next().expect("a part")
}

/// A checkpoint that this program cannot have written is refused. Nothing is read, written or
/// removed because of it, and `restart` sets it aside.
#[tokio::test(start_paused = true)]
async fn an_edited_checkpoint_is_not_believed() {
    for (what, change) in EDITED {
        let world = paused().await;
        world.memory.plant("precious.json", "precious");
        change_checkpoint(&world, change);
        let before = world.memory.objects();
        world.sandbox.clear_requests();
        assert_eq!(error_name(&world, what).await, "StateUnreadable", "{what}");
        assert_eq!(world.memory.objects(), before, "{what}");
        assert_eq!(world.sandbox.total_requests(), 0, "{what}");
        let answer = ends(&world, json!({"restart": true})).await.expect("sync");
        assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
        assert_eq!(world.memory.objects()["precious.json"], "precious", "{what}");
    }
}

/// Clean-up removes only files that the program itself wrote below the folder of an abandoned run,
/// and never the snapshot that was published last, even if the checkpoint calls it abandoned.
#[tokio::test(start_paused = true)]
async fn clean_up_removes_nothing_of_others_and_nothing_published() {
    let world = paused().await;
    let published = world.memory.objects()["latest.json"].clone();
    let published: Value = serde_json::from_slice(&published).expect("JSON");
    let published = published["snapshot_id"].as_str().expect("an id").to_owned();
    let own = checkpoint(&world);
    let own = own["snapshot_id"].as_str().expect("an id").to_owned();
    let abandoned = "20260101T000000Z-00000a";
    change_checkpoint(&world, |checkpoint| {
        checkpoint["abandoned"] = json!([published, abandoned]);
    });
    let others = [
        "precious.json".to_owned(),
        "snapshots/precious.json".to_owned(),
        format!("snapshots/{abandoned}-and-more/users/part-00.ndjson"),
        format!("snapshots/{abandoned}/notes.txt"),
        format!("snapshots/{abandoned}/users/notes.txt"),
        format!("snapshots/{own}/notes.txt"),
        format!("snapshots/{own}/somebody/part-00.ndjson"),
    ];
    let ours = format!("snapshots/{abandoned}/users/part-00-00-000000-00000000.ndjson");
    for key in others.iter().chain([&ours]) {
        world.memory.plant(key, "precious");
    }
    let before = world.memory.objects();
    complete(&world, "edited").await;
    let after = world.memory.objects();
    assert!(!after.contains_key(&ours), "an abandoned run is removed");
    for key in &others {
        assert_eq!(after.get(key), before.get(key), "{key}");
    }
    let folder = format!("snapshots/{published}/");
    let kept = |objects: &BTreeMap<String, Bytes>| -> BTreeSet<String> {
        objects.keys().filter(|key| key.starts_with(&folder)).cloned().collect()
    };
    assert_eq!(kept(&after), kept(&before), "the snapshot that was published before");
}

/// Nor does the clean-up that the next `sync` makes good, where the checkpoint was edited after its run had been published.
#[tokio::test(start_paused = true)]
async fn clean_up_after_publishing_removes_nothing_published() {
    let world = paused().await;
    let first: Value =
        serde_json::from_slice(&world.memory.objects()["latest.json"]).expect("JSON");
    let first = first["snapshot_id"].as_str().expect("an id").to_owned();
    let refused = Fault::new(Operation::Delete, Effect::Refuse(403, "AccessDenied"));
    world.store.fault(refused.from(1));
    complete(&world, "the second").await;
    world.store.heal();
    change_checkpoint(&world, |checkpoint| checkpoint["abandoned"] = json!([first]));
    let folder = format!("snapshots/{first}/");
    let kept = || -> BTreeSet<String> {
        world.memory.objects().into_keys().filter(|key| key.starts_with(&folder)).collect()
    };
    let before = kept();
    complete(&world, "the third").await;
    assert_eq!(kept(), before, "the snapshot that was published first");
}

/// `latest.json` only describes the last snapshot. An edited one leads nowhere else, blocks no
/// snapshot, and does not publish a run that was not published.
#[tokio::test(start_paused = true)]
async fn an_edited_latest_json_leads_nowhere_and_blocks_nothing() {
    for manifest in [
        "../../../etc/passwd",
        "/etc/passwd",
        "checkpoint.json",
        "snapshots/20260101T000000Z-000000/manifest.json",
    ] {
        let world = paused().await;
        change_object(&world, "latest.json", |latest| latest["manifest"] = json!(manifest));
        let before = world.memory.objects();
        assert_eq!(error_name(&world, manifest).await, "StateUnreadable", "{manifest}");
        assert_eq!(world.memory.objects(), before, "{manifest}");
        let answer = ends(&world, json!({"accept_shrink": true})).await.expect("sync");
        assert_eq!(answer["status"], "complete", "{manifest}: {answer:#}");
    }
    for started_at in ["9999-12-31T23:59:59.999Z", "0000-01-01T00:00:00.000Z"] {
        let world = world(&plain(3, 1, 2)).with("SNAPSHOT_INTERVAL_MINUTES", "60");
        complete(&world, "the first").await;
        change_object(&world, "latest.json", |latest| latest["started_at"] = json!(started_at));
        tokio::time::advance(Duration::from_secs(60)).await;
        complete(&world, started_at).await;
    }
    // It names no snapshot: the next one has no previous one.
    for snapshot_id in ["../../precious", "", "20260101T000000Z-000000/users"] {
        let world = paused().await;
        change_object(&world, "latest.json", |latest| latest["snapshot_id"] = json!(snapshot_id));
        let snapshot = complete(&world, snapshot_id).await;
        assert_eq!(snapshot.manifest["previous"], Value::Null, "{snapshot_id}");
    }
    // It names the run in progress as if it were published.
    let world = paused().await;
    let own = checkpoint(&world);
    change_object(&world, "latest.json", |latest| {
        latest["snapshot_id"] = own["snapshot_id"].clone();
        latest["manifest_sha256"] = json!("0".repeat(64));
    });
    let snapshot = complete(&world, "named before its time").await;
    assert_eq!(snapshot.latest["snapshot_id"], own["snapshot_id"]);
    assert_eq!(snapshot.manifest["previous"], Value::Null, "no snapshot follows itself");
}

/// A part with other bytes than those written is noticed, and so is one that decompresses to more
/// than it should (`snapshot/part.rs`).
#[tokio::test(start_paused = true)]
async fn an_edited_part_is_noticed_when_it_is_read_back() {
    let sandbox = plain(600, 3, 20);
    let world = World::new(sandbox.clone());
    let requests = Arc::new(AtomicU64::new(0));
    let interrupt = world.interrupt.clone();
    sandbox.on_request(move |_, request| {
        if request.path == "/v1/organization_memberships"
            && requests.fetch_add(1, Ordering::SeqCst) == 0
        {
            interrupt.send_replace(true);
        }
    });
    ends(&world, json!({})).await.expect("interrupted");
    world.interrupt.send_replace(false);
    let objects = world.memory.objects();
    let part = objects.keys().find(|key| key.contains("/users/part-")).expect("a part");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![b' '; 1 << 24]).expect("memory");
    world.memory.plant(part, gzip.finish().expect("memory"));
    assert_eq!(error_name(&world, "altered").await, "StoreUnavailable");
}
