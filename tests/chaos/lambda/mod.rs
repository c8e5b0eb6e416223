//! The same kind of schedules for the real program as a Lambda function: an emulation of Lambda's
//! runtime interface, Clerk on a socket, and AWS behind a proxy that fails.
//!
//! `CHAOS_LAMBDA_SEED` is the first seed (0), `CHAOS_LAMBDA_SCHEDULES` the number of schedules (6).
//! A seed always gives the same schedule, but how far a process has got when something happens
//! depends on the machine. A schedule that breaks a promise is printed with the ends of its
//! processes' logs, and with the command to play it again.

mod bucket;
mod environment;
mod play;
mod rotator;
mod schedule;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::number;
use play::{Played, play};
use schedule::Schedule;

/// The default number of schedules.
const SCHEDULES: u64 = 6;
/// From this number of schedules on, every kind of end must have been seen.
const MANY: u64 = 200;
/// The number of lines shown from a process's log.
const LAST_WORDS: usize = 30;

/// Promises 1 to 7, kept by the real program on a close imitation of the real platform.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the summary of a long run")]
async fn no_schedule_breaks_a_promise_of_the_real_function() {
    let first = number("CHAOS_LAMBDA_SEED", 0);
    let schedules = number("CHAOS_LAMBDA_SCHEDULES", SCHEDULES);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (turns, started) = (Arc::new(Semaphore::new(2 * cores)), Instant::now());
    let mut playing = JoinSet::new();
    for seed in first..first + schedules {
        let turns = Arc::clone(&turns);
        playing.spawn(async move {
            let _turn = turns.acquire_owned().await.expect("never closed");
            play_one(Schedule::of(seed)).await
        });
    }
    let (mut ends, mut failed, mut done) = (BTreeMap::<String, u64>::new(), Vec::new(), 0);
    while let Some(played) = playing.join_next().await {
        match played.expect("not cancelled") {
            Ok(played) => note(&mut ends, &played),
            Err(why) => {
                // A run of hours may be ended before it prints this itself.
                println!("{why}");
                failed.push(why);
            }
        }
        done += 1;
        if done % 20 == 0 {
            println!("{done} of {schedules} schedules in {} s", started.elapsed().as_secs());
        }
    }
    assert!(failed.is_empty(), "{} of {schedules}:\n{}", failed.len(), failed.join("\n"));
    println!("{schedules} schedules of the real function; invocations ended: {ends:?}");
    if schedules >= MANY {
        let named = [
            "complete",
            "partial",
            "busy",
            "died",
            "past its deadline",
            "frozen",
            "StoreUnavailable",
            "SecretUnavailable",
            "ClerkUnavailable",
            "StateUnreadable",
        ];
        let missing: Vec<_> = named.iter().filter(|end| !ends.contains_key(**end)).collect();
        assert!(missing.is_empty(), "no invocation of any schedule ended like this: {missing:?}");
    }
}

fn note(ends: &mut BTreeMap<String, u64>, played: &Played) {
    for end in &played.ends {
        *ends.entry(end.clone()).or_default() += 1;
    }
    let snapshot = if played.verified { "(verified)" } else { "(drifted)" };
    *ends.entry(snapshot.to_owned()).or_default() += 1;
}

/// Plays a schedule to its end, and returns a description if a promise was broken.
async fn play_one(schedule: Schedule) -> Result<Played, String> {
    let played = Arc::new(Mutex::new(Played::default()));
    let playing = tokio::spawn(play(schedule.clone(), Arc::clone(&played)));
    let ended = playing.await;
    let played = std::mem::take(&mut *played.lock().unwrap_or_else(|it| it.into_inner()));
    let Err(panic) = ended else { return Ok(played) };
    let panic = panic.into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    let why = text
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned());
    Err(format!(
        "CHAOS_LAMBDA_SEED={} CHAOS_LAMBDA_SCHEDULES=1\n{schedule}  {why}\n  {}\n{}",
        schedule.seed,
        played.history.join("\n  "),
        last_words(played).await
    ))
}

/// The ends of the logs of all processes, which have ended by now.
async fn last_words(played: Played) -> String {
    let mut text = String::new();
    for (number, mut ended) in played.processes.into_iter().enumerate() {
        let Ok(finished) = ended.wait_for(Option::is_some).await else { continue };
        let Some(finished) = finished.clone() else { continue };
        let lines: Vec<&str> = finished.stdout.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
        text.push_str(&format!("  process {number}:\n    {}\n", last.join("\n    ")));
        text.push_str(&finished.stderr);
    }
    text
}
