//! Promise: feeds are made within the time budget, an interrupt ends them, and they never keep a run from being made.

use std::time::Duration;

use clerk_store::Operation;
use clerk_sync::invocation_metrics::Owed;
use serde_json::{Value, json};

use super::feeds::changed;
use crate::support::faulty_store::{Effect, Fault};
use crate::support::feed::{Feed, assert_feeds};

/// Reading the snapshot before never ends.
fn endless() -> Fault {
    Fault::new(Operation::Get, Effect::Hang).on_key("part-").from(1)
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_takes_too_long_is_owed_and_the_sync_ends_within_its_budget() {
    let (world, _) = changed("access").await;
    world.store.fault(endless());
    let began = tokio::time::Instant::now();
    let answer = world.handle(json!({"time_budget_seconds": 30})).await.expect("sync");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert_eq!(answer["changes"], Value::Null);
    assert!(began.elapsed() <= Duration::from_secs(31), "{:?}", began.elapsed());
    let completed_at = world.published().expect("published").latest["completed_at"].clone();
    let completed_at = completed_at.as_str().and_then(|it| it.parse().ok()).expect("a time");
    assert_eq!(world.measured().owed, Some(Owed::Since(completed_at)));

    let limited = world.clone().with("TIME_BUDGET_SECONDS", "30");
    let answer = limited.handle(json!({"action": "changes"})).await.expect("changes");
    assert_eq!(
        (&answer["status"], &answer["made"], &answer["owed"]),
        (&json!("partial"), &json!([]), &json!(1))
    );
}

/// Half of the time is left for the run.
#[tokio::test(start_paused = true)]
async fn what_is_owed_leaves_time_for_the_run() {
    let (world, _) = changed("access").await;
    world.clone().with("CHANGES", "off").complete().await;
    world.sandbox.add_user(world.sandbox.latest() + 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    world.store.fault(endless());
    let began = tokio::time::Instant::now();
    let world = world.with("TIME_BUDGET_SECONDS", "60");
    let answer = world.sync().await.expect("sync");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert!(
        began.elapsed() >= Duration::from_secs(60),
        "the feed of the new snapshot had the rest"
    );
    world.store.heal();
    tokio::time::advance(Duration::from_secs(1)).await;
    world.complete().await;
    let answer = world.handle(json!({"action": "changes"})).await.expect("changes");
    assert_eq!(answer["made"].as_array().map(Vec::len), Some(1), "{answer:#}");
    assert_eq!(assert_feeds(&world.memory.objects()), 3);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_it() {
    let (world, _) = changed("access").await;
    world.store.fault(endless());
    let interrupt = world.interrupt.clone();
    let (answer, ()) = tokio::join!(world.sync(), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        interrupt.send_replace(true);
    });
    let answer = answer.expect("sync");
    assert_eq!((&answer["status"], &answer["changes"]), (&json!("complete"), &Value::Null));
    assert!(
        answer["message"].as_str().is_some_and(|text| text.contains("interrupted")),
        "{answer:#}"
    );
}

/// Even the smallest budget makes a small feed, when nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn a_budget_of_nothing_pays_what_is_owed() {
    let (world, changed) = changed("access").await;
    world.clone().with("CHANGES", "off").complete().await;
    let world = world.with("TIME_BUDGET_SECONDS", "0").with("SNAPSHOT_INTERVAL_MINUTES", "60");
    let answer = world.sync().await.expect("sync");
    assert_eq!(answer["status"], "skipped", "{answer:#}");
    assert!(answer["message"].as_str().is_some_and(|text| text.contains("owed")), "{answer:#}");
    let feed = Feed::latest(&world.memory.objects()).expect("a feed");
    assert_eq!(feed.ids_of("user_removed"), [changed.left.as_str()]);
}
