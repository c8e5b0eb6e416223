//! Words the answer to `sync`.

use super::text::{Cell, Text, clerk_access, grouped, number, words};
use crate::response::{DatasetProgress, PauseReason, PublishedChanges, SyncAnswer, SyncStatus};

pub(super) fn write(answer: &SyncAnswer, text: &mut Text) {
    text.line(&format!("{}: {}", name(answer.status), answer.message));
    let rows = datasets(answer);
    if !rows.is_empty() {
        text.gap();
        text.rows(rows);
    }
    text.gap();
    text.rows(facts(answer));
    text.next(&next(answer));
}

const fn name(status: SyncStatus) -> &'static str {
    match status {
        SyncStatus::Complete => "complete",
        SyncStatus::Partial => "partial",
        SyncStatus::Busy => "busy",
        SyncStatus::Skipped => "skipped",
        SyncStatus::Held => "held",
    }
}

/// A row for each dataset: its records, of how many, or what became of them.
fn datasets(answer: &SyncAnswer) -> Vec<Vec<Cell>> {
    if let Some(progress) = &answer.progress {
        return progress.iter().map(|(dataset, it)| progress_row(dataset.name(), *it)).collect();
    }
    let rows = answer.records.iter().map(|(dataset, &records)| {
        let shrunk = answer.shrunk.as_ref().and_then(|shrunk| shrunk.get(dataset));
        let before = shrunk.map(|shrunk| format!("was {}", grouped(shrunk.before)));
        vec![words(dataset.name()), number(records), words(before.unwrap_or_default())]
    });
    let unread = answer.shrunk.iter().flatten().filter(|(it, _)| !answer.records.contains_key(it));
    let unread = unread.map(|(dataset, shrunk)| {
        let before = format!("was {}", grouped(shrunk.before));
        vec![words(dataset.name()), number(shrunk.after), words(before)]
    });
    rows.chain(unread).collect()
}

/// How far a dataset is.
pub(super) fn progress_row(dataset: &str, progress: DatasetProgress) -> Vec<Cell> {
    let expected = progress.expected.map(|expected| format!("of {}", grouped(expected)));
    vec![words(dataset), number(progress.records), words(expected.unwrap_or_default())]
}

fn facts(answer: &SyncAnswer) -> Vec<Vec<Cell>> {
    let mut facts = Vec::new();
    let mut add = |name: &str, value: String| facts.push(vec![words(name), words(value)]);
    if let Some(id) = &answer.snapshot_id {
        add("snapshot", id.clone());
    }
    if let Some(manifest) = &answer.manifest {
        add("manifest", manifest.clone());
    }
    if answer.status == SyncStatus::Complete {
        add("verified", if answer.verified { "yes" } else { "no" }.to_owned());
    }
    if let Some(Some(changes)) = &answer.changes {
        add("changes", changed(changes));
    }
    if answer.invocations > 0 {
        let mut requests = grouped(answer.requests);
        if answer.retries > 0 {
            requests.push_str(&format!(", {} of them repeated", grouped(answer.retries)));
        }
        if answer.rate_limited > 0 {
            let limited = grouped(answer.rate_limited);
            requests.push_str(&format!(", {limited} answered with 429 (too many requests)"));
        }
        add("requests", requests);
        let plural = if answer.invocations == 1 { "" } else { "s" };
        let seconds = answer.elapsed_ms as f64 / 1000.0;
        add("took", format!("{seconds:.1} s in {} invocation{plural}", answer.invocations));
    }
    facts
}

fn changed(changes: &PublishedChanges) -> String {
    let events: u64 = changes.events.values().sum();
    let privileged = match changes.privileged_granted {
        0 => String::new(),
        granted => format!(", {} of them grant a privileged permission", grouped(granted)),
    };
    format!("{} since {}{privileged}", grouped(events), changes.from)
}

fn next(answer: &SyncAnswer) -> String {
    match answer.status {
        SyncStatus::Complete if !answer.verified => {
            "read in the manifest why; the next clerk-sync sync reads everything again".to_owned()
        }
        SyncStatus::Complete => {
            let place = answer.manifest.as_deref().and_then(place_of);
            format!("ask who can do what, for example: {}", clerk_access(place, "findings"))
        }
        SyncStatus::Partial => match (answer.reason, answer.retry_at) {
            (Some(PauseReason::RateLimited), Some(at)) => {
                format!("{} after {at}; it continues", again(answer))
            }
            _ => format!("{}; it continues where this one stopped", again(answer)),
        },
        SyncStatus::Busy => match answer.held_until {
            Some(until) => format!("wait for it; if it was killed, run the command again after {until}"),
            None => "run the same command again".to_owned(),
        },
        SyncStatus::Skipped => "nothing; to copy now all the same, run the command with --force".to_owned(),
        SyncStatus::Held => "if the loss is real, run the command again with --accept-shrink, which \
                             publishes the snapshot; if not, with --restart, which reads everything again"
            .to_owned(),
    }
}

/// What continues the run: the same command, unless it would start over.
const fn again(answer: &SyncAnswer) -> &'static str {
    if answer.restarted {
        "run the same command again, without --restart"
    } else {
        "run the same command again"
    }
}

/// The place of the snapshots, from the URL of a manifest.
fn place_of(manifest: &str) -> Option<&str> {
    Some(manifest.rsplit_once("/snapshots/")?.0)
}
