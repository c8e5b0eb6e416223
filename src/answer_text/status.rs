//! Words the answer to `status`.

use super::sync::progress_row;
use super::text::{Cell, Text, grouped, words};
use crate::response::{RunStatus, StatusAnswer};

pub(super) fn write(answer: &StatusAnswer, text: &mut Text) {
    match &answer.run {
        Some(run) => {
            text.line(&format!("in progress: a run that was started at {}", run.started_at))
        }
        None => text.line("idle: no run is in progress"),
    }
    if let Some(run) = &answer.run {
        text.gap();
        let progress = run.progress.iter();
        text.rows(progress.map(|(dataset, it)| progress_row(dataset.name(), *it)).collect());
        text.gap();
        text.rows(facts(run));
    }
    text.gap();
    match &answer.latest {
        Some(latest) => {
            let verified = if latest.verified { "verified" } else { "not verified" };
            let (id, at) = (&latest.snapshot_id, latest.completed_at);
            text.line(&format!("Newest snapshot: {id}, completed at {at}, {verified}"));
        }
        None => text.line("Newest snapshot: none is published yet"),
    }
    text.next(&next(answer));
}

fn facts(run: &RunStatus) -> Vec<Vec<Cell>> {
    vec![
        vec![words("snapshot"), words(&*run.snapshot_id)],
        vec![words("requests"), words(grouped(run.requests))],
        vec![words("invocations"), words(grouped(run.invocations))],
    ]
}

fn next(answer: &StatusAnswer) -> String {
    match &answer.run {
        None if answer.latest.is_none() => "clerk-sync sync makes the first snapshot".to_owned(),
        None => "clerk-sync sync makes a new snapshot when one is due".to_owned(),
        Some(run) => match (run.held_until, run.retry_at) {
            (Some(until), _) => {
                format!("nothing; an invocation is at work until {until} or longer")
            }
            (None, Some(at)) => {
                format!("clerk-sync sync continues it; Clerk asked to wait until {at}")
            }
            (None, None) if run.complete => {
                "clerk-sync sync publishes it, or says why it is held".to_owned()
            }
            (None, None) => "clerk-sync sync continues it".to_owned(),
        },
    }
}
