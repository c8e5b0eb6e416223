//! Promise: the rate that a person sees during a continued run counts only the rows of this
//! invocation.

use std::time::Duration;

use clerk_sync::progress::Progress;
use serde_json::json;
use tokio::time::Instant;

use crate::support::world::World;

/// The number before a word of the line.
fn number(line: &str, word: &str) -> f64 {
    let before = line.split_once(word).unwrap_or_else(|| panic!("{word}: {line}")).0;
    before.rsplit(' ').find_map(|text| text.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_a_continued_run_is_that_of_this_invocation() {
    let world = World::of(5000, 2, 4).with("RESOURCES", "users").with("MAX_CONCURRENCY", "1");
    world.sandbox.set_latency(Duration::from_secs(1), Duration::ZERO);
    let mut first = world.clone();
    first.progress = Progress::unseen();
    let partial = first.handle(json!({"time_budget_seconds": 10})).await.expect("an answer");
    let before = partial["progress"]["users"]["records"].as_f64().expect("a number");
    assert!((2500.0..5000.0).contains(&before), "most is read: {partial:#}");
    let line = first.progress.message().expect("a line");
    let (left, expected) = (number(&line, " s left"), (5000.0 - before) * 10.0 / before);
    assert!((left - expected).abs() <= 2.0, "{expected} s are left: {line}");

    let mut second = world.clone();
    second.progress = Progress::unseen();
    let began = Instant::now();
    second.complete().await;
    let line = second.progress.message().expect("a line");
    assert_eq!(number(&line, " rows,"), 5000.0, "{line}");
    assert_eq!(number(&line, " s left"), 0.0, "{line}");
    let rate = number(&line, " rows/s");
    let most = (5000.0 - before) / 1.0;
    let least = (5000.0 - before) / began.elapsed().as_secs_f64();
    assert!(rate >= least.floor() && rate <= most, "{least} to {most}: {line}");
    // Answers take a second each, and a page has 500 rows.
    assert!(rate <= 500.0, "the rate is no faster than the real one: {line}");
}
