//! Promise: the action `changes` answers the summary of any two snapshots and writes nothing, and says what is wrong
//! with an event.

use std::time::Duration;

use clerk_sync::error::Error;
use serde_json::{Value, json};

use super::feeds::changed;
use crate::support::feed::Feed;
use crate::support::world::World;

/// Two snapshots between which something changed, and their ids.
async fn two(setting: &str) -> (World, Value, Value) {
    let (world, _) = changed(setting).await;
    let from = world.published().expect("published").latest["snapshot_id"].clone();
    let to = world.complete().await.latest["snapshot_id"].clone();
    tokio::time::advance(Duration::from_secs(1)).await;
    (world, from, to)
}

#[tokio::test(start_paused = true)]
async fn any_two_snapshots_are_summed_up_and_nothing_is_written() {
    let (world, from, to) = two("access").await;
    let feed = Feed::latest(&world.memory.objects()).expect("a feed");
    let before = world.memory.objects();
    let event = json!({"action": "changes", "from": from, "to": to});
    let answer = world.handle(event.clone()).await.expect("changes");
    let mut expected = feed.summary.clone();
    expected["parts"] = json!([]);
    assert_eq!(answer, expected);
    assert_eq!(answer["highlights"][0]["fields"], json!([]));

    let off = world.clone().with("CHANGES", "off");
    assert_eq!(
        off.handle(event).await.expect("changes"),
        expected,
        "access and security when it is off"
    );

    let all = world.clone().with("CHANGES", "all");
    let backwards = json!({"action": "changes", "from": to, "to": from});
    let answer = all.handle(backwards).await.expect("changes");
    assert_eq!(answer["classes"].as_array().map(Vec::len), Some(4));
    assert_eq!(answer["events"]["user_added"], feed.summary["events"]["user_removed"]);
    assert_eq!(world.memory.objects(), before);
    assert_eq!(
        all.respond(json!({"action": "changes", "from": from, "to": from}), None)
            .await
            .expect("changes")
            .exit_status(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_event_is_refused_and_says_what_is_accepted() {
    let (world, from, _) = two("access").await;
    let gone = "20200101T000000Z-0000aa";
    for (event, named) in [
        (json!({"action": "changes", "from": from}), "from and to go together"),
        (json!({"action": "changes", "to": from}), "from and to go together"),
        (json!({"action": "changes", "from": from, "to": "latest"}), "to is not a snapshot's id"),
        (json!({"action": "changes", "from": 7, "to": from}), "from is not a snapshot's id"),
        (json!({"action": "changes", "from": from, "to": "../x"}), "to is not a snapshot's id"),
        (json!({"action": "changes", "force": true}), "field \"force\" is unknown"),
        (json!({"action": "changes", "from": from, "to": gone}), "to names no snapshot"),
        (json!({"action": "changes", "from": gone, "to": from}), "from names no snapshot"),
    ] {
        let error = world.handle(event.clone()).await.expect_err("a wrong event");
        assert!(matches!(error, Error::InvalidEvent(_)), "{event}: {error:?}");
        assert!(error.message().contains(named), "{event}: {}", error.message());
    }
    let off = world.with("CHANGES", "off");
    let error = off.handle(json!({"action": "changes"})).await.expect_err("it is off");
    assert!(matches!(error, Error::InvalidEvent(_)), "{error:?}");
    assert!(error.message().contains("CHANGES"), "{}", error.message());
}

#[tokio::test(start_paused = true)]
async fn snapshots_of_two_instances_are_refused() {
    let (world, from, _) = two("off").await;
    world.sandbox.set_instance("ins_other", "production");
    let to =
        world.handle(json!({"accept_shrink": true})).await.expect("sync")["snapshot_id"].clone();
    let event = json!({"action": "changes", "from": from, "to": to});
    let error = world.handle(event).await.expect_err("two instances");
    assert!(matches!(error, Error::InvalidEvent(_)), "{error:?}");
    assert!(error.message().contains("different Clerk instances"), "{}", error.message());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_is_an_error_of_its_own() {
    let (world, from, to) = two("access").await;
    world.memory.plant(&format!("snapshots/{}/manifest.json", from.as_str().expect("an id")), "{}");
    let event = json!({"action": "changes", "from": from, "to": to});
    let error = world.handle(event).await.expect_err("damaged");
    assert!(matches!(error, Error::StateUnreadable(_)), "{error:?}");
}
