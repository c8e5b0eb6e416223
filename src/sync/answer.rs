//! Words the answer to a `sync`.

use std::collections::BTreeMap;

use clerk_snapshot::layout::manifest_key;
use clerk_snapshot::manifest::{DatasetStatus, Manifest, RunStats};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;

use crate::error::Error;
use crate::response::{PauseReason, Shrunk, SyncAnswer, SyncStatus};
use crate::sync::checkpoint::document::Checkpoint;
use crate::sync::checkpoint::lease::LeasedCheckpoint;
use crate::sync::checkpoint::summary;
use crate::sync::context::SyncInvocation;
use crate::sync::decide::Found;
use crate::sync::publish::Complete;
use crate::sync::state::{CheckpointFound, LatestFound};

impl SyncInvocation<'_> {
    /// `busy`: another invocation took the lease first.
    pub(crate) async fn busy_with_another(&self) -> Result<SyncAnswer, Error> {
        let found = CheckpointFound::read(&*self.dependencies.store).await?.readable()?;
        let now = self.dependencies.clock.now();
        Ok(match found {
            Some(checkpoint) => {
                let until = checkpoint.lease.held_until(now).unwrap_or(now);
                self.busy(&checkpoint, until)
            }
            None => SyncAnswer {
                held_until: Some(now),
                message: "Another invocation has just finished the run; nothing was done."
                    .to_owned(),
                ..self.answer(SyncStatus::Busy, RunStats::default())
            },
        })
    }

    /// `partial`: Clerk asked an earlier invocation for a pause that is longer than the time left.
    pub(crate) fn still_paused(
        &self,
        checkpoint: &Checkpoint,
        now: Timestamp,
    ) -> Option<SyncAnswer> {
        let until = checkpoint.paused_until(now).filter(|_| checkpoint.completed.is_none())?;
        let wait = until.saturating_duration_since(now);
        (!self.invocation.work_limit.allows_pause(wait)).then(|| {
            self.partial(checkpoint, checkpoint.stats, PauseReason::RateLimited, Some(until))
        })
    }

    /// When the next snapshot is due; `None` if it is due now, or asked for.
    pub(crate) fn next_due(&self, latest: &LatestFound) -> Option<Timestamp> {
        let now = self.dependencies.clock.now();
        let started_at = latest.latest.as_ref()?.started_at;
        let due = started_at + self.config.snapshot_interval;
        // A snapshot that was started further ahead than the interval shows that one of the clocks
        // is wrong, so its age is unknown.
        let ahead = started_at.saturating_duration_since(now);
        let is_fresh = now < due && ahead < self.config.snapshot_interval;
        (self.options.is_plain() && is_fresh).then_some(due)
    }

    /// `skipped`: a fresh enough snapshot exists. `None` if a new one is due or asked for.
    pub(crate) fn skip(&self, found: &Found) -> Option<SyncAnswer> {
        let latest = found.latest.latest.as_ref()?;
        let due = self.next_due(&found.latest)?;
        let records = found.published.as_ref().map_or_else(BTreeMap::new, |published| {
            let named =
                |(name, &records): (&String, &u64)| Some((Dataset::from_name(name)?, records));
            let known = |(name, _): &(&String, &u64)| !published.left_out.contains(*name);
            published.records.iter().filter(known).filter_map(named).collect()
        });
        Some(SyncAnswer {
            snapshot_id: Some(latest.snapshot_id.clone()),
            manifest: Some(self.dependencies.store.url_of(&latest.manifest)),
            records,
            verified: latest.verified,
            next_due_at: Some(due),
            message: format!(
                "The snapshot started at {} is fresh enough; the next one is due at {due}.",
                latest.started_at
            ),
            ..self.answer(SyncStatus::Skipped, RunStats::default())
        })
    }

    /// `busy`: another invocation holds the lease.
    pub(crate) fn busy(&self, checkpoint: &Checkpoint, until: Timestamp) -> SyncAnswer {
        SyncAnswer {
            held_until: Some(until),
            message: format!(
                "Another invocation holds the run until {until}, and longer if it is still at work; \
                 nothing was done. If it was killed, try again after that."
            ),
            ..self.about(checkpoint, self.answer(SyncStatus::Busy, checkpoint.stats))
        }
    }

    /// `partial`: the run paused.
    pub(crate) fn partial(
        &self,
        checkpoint: &Checkpoint,
        stats: RunStats,
        reason: PauseReason,
        retry_at: Option<Timestamp>,
    ) -> SyncAnswer {
        let why = match (reason, retry_at) {
            (PauseReason::RateLimited, Some(at)) => {
                format!("Clerk asked to wait until {at}")
            }
            (PauseReason::RateLimited, None) => "Clerk asked to wait".to_owned(),
            (PauseReason::TimeBudget, _) => "the time budget ran out".to_owned(),
            (PauseReason::Interrupted, _) => "it was interrupted".to_owned(),
        };
        SyncAnswer {
            reason: Some(reason),
            progress: Some(summary::progress(checkpoint)),
            retry_at,
            message: format!(
                "The run paused because {why}; what was read is stored, and the next sync continues."
            ),
            ..self.about(checkpoint, self.answer(SyncStatus::Partial, stats))
        }
    }

    /// `complete` or `held`, without a message yet.
    pub(crate) fn about_manifest(
        &self,
        status: SyncStatus,
        leased: &LeasedCheckpoint,
        manifest: &Manifest,
        stats: RunStats,
    ) -> SyncAnswer {
        let checkpoint = leased.with_checkpoint(Checkpoint::clone);
        SyncAnswer {
            manifest: Some(self.dependencies.store.url_of(&manifest_key(&checkpoint.snapshot_id))),
            verified: manifest.verified,
            ..self.about(&checkpoint, self.answer(status, stats))
        }
    }

    fn about(&self, checkpoint: &Checkpoint, answer: SyncAnswer) -> SyncAnswer {
        SyncAnswer {
            snapshot_id: Some(checkpoint.snapshot_id.clone()),
            records: summary::records(checkpoint),
            ..answer
        }
    }

    fn answer(&self, status: SyncStatus, stats: RunStats) -> SyncAnswer {
        SyncAnswer {
            status,
            snapshot_id: None,
            manifest: None,
            records: BTreeMap::new(),
            verified: false,
            requests: stats.requests,
            retries: stats.retries,
            rate_limited: stats.rate_limited,
            invocations: stats.invocations,
            elapsed_ms: (stats.elapsed_seconds * 1000.0) as u64,
            message: String::new(),
            reason: None,
            progress: None,
            retry_at: None,
            held_until: None,
            next_due_at: None,
            shrunk: None,
            changes: None,
            restarted: self.options.restart,
        }
    }
}

pub(crate) fn complete_message(answer: &SyncAnswer, complete: &Complete) -> String {
    let Complete { manifest, answer_was_lost, .. } = complete;
    let records: u64 = answer.records.values().sum();
    let drifted = named_with_reasons(manifest, DatasetStatus::Drifted);
    let failed = named_with_reasons(manifest, DatasetStatus::Failed);
    let skipped = named_with_reasons(manifest, DatasetStatus::Skipped);
    let verified = match (drifted.is_empty(), failed.is_empty()) {
        (true, true) => "and agrees with Clerk's own counts",
        (true, false) => "but is not verified, because not everything could be read",
        (false, _) => {
            "but Clerk changed faster than repair could follow: see `drifted` in the manifest"
        }
    };
    let mut message = format!("The snapshot of {records} records is published {verified}.");
    if *answer_was_lost {
        message.push_str(
            " The store's answer to the write of latest.json was lost; the file was found as written.",
        );
    }
    for (what, datasets) in
        [("Failed, because it could not be read", failed), (SKIPPED_BECAUSE, skipped)]
    {
        if !datasets.is_empty() {
            message.push_str(&format!(" {what}: {}.", datasets.join(", ")));
        }
    }
    message
}

const SKIPPED_BECAUSE: &str = "Skipped, because a list it needs was refused or could not be read";

/// The datasets with a status, each with its reason.
fn named_with_reasons(manifest: &Manifest, status: DatasetStatus) -> Vec<String> {
    let entries = manifest.datasets.iter().filter(|(_, entry)| entry.status == status);
    entries
        .map(|(dataset, entry)| match &entry.reason {
            Some(reason) => format!("{} ({reason})", dataset.name()),
            None => dataset.name().to_owned(),
        })
        .collect()
}

pub(crate) fn held_message(shrunk: &BTreeMap<Dataset, Shrunk>, manifest: &Manifest) -> String {
    let smaller: Vec<_> = shrunk
        .iter()
        .filter(|(_, shrunk)| shrunk.status.is_none())
        .map(|(dataset, _)| dataset.name())
        .collect();
    let unread: Vec<_> = shrunk
        .iter()
        .filter_map(|(dataset, shrunk)| {
            let status = match shrunk.status? {
                DatasetStatus::Failed => "failed",
                _ => "skipped",
            };
            let reason = manifest.datasets.get(dataset).and_then(|entry| entry.reason.as_deref());
            Some(format!("{} ({status}: {})", dataset.name(), reason.unwrap_or("no reason given")))
        })
        .collect();
    let mut why = Vec::new();
    if !smaller.is_empty() {
        let smaller = smaller.join(", ");
        why.push(format!(
            "{smaller} lost more than SHRINK_GUARD_PERCENT allows since the last one"
        ));
    }
    if !unread.is_empty() {
        why.push(format!(
            "datasets that had records in the last one could not be read: {}",
            unread.join(", ")
        ));
    }
    format!(
        "The snapshot is complete and held back, because {}; look at it, then publish it with \
         \"accept_shrink\": true or start over with \"restart\": true.",
        why.join("; and ")
    )
}
