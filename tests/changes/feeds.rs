//! Promise: after publishing, what changed is written below `changes/`: parts, then the summary, then
//! `changes/latest.json`; the same snapshots give the same bytes; nothing about it endangers the snapshot.

use std::time::Duration;

use clerk_store::Operation;
use serde_json::{Value, json};

use crate::support::faulty_store::{Effect, Fault};
use crate::support::feed::{Feed, assert_feeds};
use crate::support::world::World;

const ADMIN: &str = "org:admin";

/// A world that has published a snapshot, after which somebody left, somebody joined, and a member was made
/// administrator.
pub(super) async fn changed(setting: &str) -> (World, Changed) {
    let world = World::of(40, 6, 50).with("CHANGES", setting);
    let answer = world.sync().await.expect("sync");
    let expected = Some(&Value::Null).filter(|_| setting != "off");
    assert_eq!(answer.get("changes"), expected, "the first snapshot has no feed");
    assert!(world.memory.objects().keys().all(|key| !key.starts_with("changes/")));
    tokio::time::advance(Duration::from_secs(10)).await;
    let sandbox = &world.sandbox;
    let left = sandbox.ids("users")[3].clone();
    sandbox.delete("users", &left);
    let joined = sandbox.add_user(sandbox.latest() + 1);
    let memberships = sandbox.memberships();
    let promoted = memberships.iter().find(|row| row["role"] != ADMIN).expect("a member");
    let membership = promoted["id"].as_str().expect("an id").to_owned();
    let promote = |row: &mut Value| {
        row["role"] = ADMIN.into();
        row["permissions"] = json!(["org:sys_memberships:manage"]);
    };
    sandbox.update("organization_memberships", &membership, promote).expect("it is there");
    (world, Changed { left, joined, membership })
}

pub(super) struct Changed {
    pub(super) left: String,
    pub(super) joined: String,
    pub(super) membership: String,
}

#[tokio::test(start_paused = true)]
async fn a_feed_says_what_changed_and_the_answer_sums_it_up() {
    for (compression, setting) in [("gzip", "access"), ("zstd", "all"), ("none", "access")] {
        let (world, changed) = changed(setting).await;
        let world = world.with("COMPRESSION", compression);
        let answer = world.sync().await.expect("sync");
        let objects = world.memory.objects();
        let feed = Feed::latest(&objects).expect("a feed");
        assert_eq!(feed.ids_of("user_removed"), [changed.left.as_str()]);
        assert_eq!(feed.ids_of("user_added"), [changed.joined.as_str()]);
        let granted =
            feed.records.iter().find(|it| it["event"] == "role_granted").expect("granted");
        assert_eq!(granted["pair"], changed.membership);
        let summary = &feed.summary;
        assert_eq!(summary["format"], "clerk-sync/changes/1");
        assert_eq!(summary["privileged_granted"], 1);
        assert_eq!(
            summary["classes"].as_array().map(Vec::len),
            Some(if setting == "all" { 4 } else { 2 })
        );
        assert_eq!(summary["complete"], true);
        let url = format!("memory://changes/{}/summary.json", text(&answer["snapshot_id"]));
        let expected = json!({
            "from": summary["from"]["snapshot_id"],
            "summary": url,
            "complete": true,
            "events": summary["events"],
            "privileged_granted": 1,
        });
        assert_eq!(answer["changes"], expected, "{answer:#}");
        assert!(text(&answer["message"]).contains(&url), "{answer:#}");
        assert_eq!(assert_feeds(&objects), 1);
    }
}

/// The answer travels to EventBridge and SNS, and highlights into messages.
#[tokio::test(start_paused = true)]
async fn answers_and_summaries_have_no_name_and_no_address() {
    let (world, changed) = changed("all").await;
    let left = world.published().expect("published").datasets["users"].clone();
    let left = left.into_iter().find(|user| user["id"] == changed.left).expect("the user");
    let answer = world.sync().await.expect("sync");
    let summary = Feed::latest(&world.memory.objects()).expect("a feed").summary;
    for text in [answer.to_string(), summary.to_string()] {
        for personal in [&left["display_name"], &left["profile"]["primary_email"]] {
            assert!(!text.contains(personal.as_str().expect("text")), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_instance_has_an_empty_feed() {
    let world = World::of(40, 6, 50).with("CHANGES", "all");
    world.complete().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    world.complete().await;
    let feed = Feed::latest(&world.memory.objects()).expect("a feed");
    assert_eq!((feed.records.len(), &feed.summary["parts"]), (0, &json!([])));
    assert_eq!(feed.summary["events"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_changes_is_off() {
    let (world, _) = changed("access").await;
    let world = world.with("CHANGES", "off");
    let answer = world.sync().await.expect("sync");
    assert_eq!((&answer["status"], answer.get("changes")), (&json!("complete"), None));
    assert!(world.memory.objects().keys().all(|key| !key.starts_with("changes/")));
    assert_eq!(world.measured().owed, None);
}

/// Records fill several parts, and two attempts write the same bytes.
#[tokio::test(start_paused = true)]
async fn many_records_are_cut_into_the_same_parts_every_time() {
    let world = World::of(10, 2, 10).with("CHANGES", "access").with("COMPRESSION", "none");
    world.complete().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    for _ in 0..6_000 {
        world.sandbox.add_user(world.sandbox.latest() + 1);
    }
    world.complete().await;
    let first = world.memory.objects();
    let feed = Feed::latest(&first).expect("a feed");
    assert_eq!(feed.ids_of("user_added").len(), 6_000);
    assert!(feed.summary["parts"].as_array().expect("parts").len() > 1);
    for key in first.keys().filter(|key| key.starts_with("changes/")) {
        world.memory.take_away(key);
    }
    let answer = world.handle(json!({"action": "changes"})).await.expect("changes");
    assert_eq!(answer["made"], json!([feed.summary["to"]["snapshot_id"]]));
    assert_eq!(world.memory.objects(), first);
}

/// A feed that fails takes nothing back, and the next sync makes it.
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_leaves_the_feed_owed_and_the_snapshot_published() {
    for key in ["part-00000.ndjson.gz", "summary.json", "changes/latest.json"] {
        let (world, changed) = changed("access").await;
        world.store.fault(Fault::new(Operation::Put, Effect::FailBefore).on_key(key).from(1));
        let answer = world.sync().await.expect("sync");
        assert_eq!(answer["status"], "complete", "{key}: {answer:#}");
        assert_eq!(answer["changes"], Value::Null, "{key}");
        assert!(text(&answer["message"]).contains("not written yet"), "{key}: {answer:#}");
        assert!(Feed::latest(&world.memory.objects()).is_none(), "{key}");
        world.store.heal();
        tokio::time::advance(Duration::from_secs(1)).await;
        world.complete().await;
        let objects = world.memory.objects();
        assert_eq!(assert_feeds(&objects), 2, "{key}");
        let feeds = objects.keys().filter(|key| key.ends_with("summary.json"));
        let first = feeds.min().and_then(|key| key.split('/').nth(1)).expect("an id");
        let feed = Feed::to(&objects, first).expect("a feed");
        assert_eq!(feed.ids_of("user_removed"), [changed.left.as_str()], "{key}");
    }
}

/// A query that reads the whole folder must not find what an earlier attempt wrote for other classes.
#[tokio::test(start_paused = true)]
async fn parts_of_an_earlier_attempt_are_removed() {
    let (world, _) = changed("all").await;
    world
        .store
        .fault(Fault::new(Operation::Put, Effect::FailBefore).on_key("summary.json").from(1));
    let answer = world.sync().await.expect("sync");
    let id = text(&answer["snapshot_id"]).to_owned();
    world.memory.plant(&format!("changes/{id}/part-00007.ndjson.gz"), "of an earlier attempt");
    world.store.heal();
    let world = world.with("CHANGES", "access");
    world.handle(json!({"action": "changes"})).await.expect("changes");
    assert_eq!(
        Feed::to(&world.memory.objects(), &id).expect("a feed").summary["classes"],
        json!(["access", "security"])
    );
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}
