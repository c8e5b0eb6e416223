//! Writes what changed since the snapshot before: right after publishing, and what an earlier invocation owes.

use clerk_snapshot::manifest::Latest;
use clerk_snapshot::timestamp::Timestamp;
use tracing::warn;

use crate::changes::error::FeedError;
use crate::changes::feeds::{Feed, Feeds};
use crate::config::Config;
use crate::error::with_causes;
use crate::invocation_metrics::Owed;
use crate::response::{PublishedChanges, SyncAnswer};
use crate::sync::context::SyncInvocation;
use crate::sync::decide::Found;
use crate::time_limit::TimeLimit;

impl SyncInvocation<'_> {
    /// Writes what changed with the snapshot that was just published, and adds it to the answer. If that fails, the
    /// snapshot stays published, and the changes are owed.
    pub(crate) async fn add_changes(&self, published: &Latest, answer: &mut SyncAnswer) {
        let limit = TimeLimit::all_that_is_left(&self.invocation.work_limit);
        let Some(feeds) = self.feeds(limit) else { return };
        answer.changes = Some(None);
        let made = feeds.make_of(published).await;
        self.note_made(&made, published.completed_at);
        match made {
            Ok(Some(feed)) => {
                answer.message.push_str(&format!(" What changed is in {}.", feed.url));
                answer.changes = Some(Some(published_changes(feed)));
            }
            Ok(None) => {}
            Err(error) => answer.message.push_str(&format!(
                " What changed is not written yet, because {}; the next sync writes it, and so does \
                 {{\"action\":\"changes\"}}.",
                with_causes(&error)
            )),
        }
    }

    /// Writes what changed with the newest published snapshot, if that is owed, and returns a sentence that says so.
    pub(crate) async fn write_owed_feed(&self, found: &Found, limit: TimeLimit) -> Option<String> {
        let latest = found.latest.latest.as_ref()?;
        let made = self.feeds(limit)?.make_owed(latest).await;
        self.note_made(&made, latest.completed_at);
        let feed = made.ok()??;
        Some(format!(" What changed with it was owed, and is now in {}.", feed.url))
    }

    /// `None` if `CHANGES` is off.
    pub(crate) fn feeds(&self, limit: TimeLimit) -> Option<Feeds> {
        let Config { changes, athena_latest, .. } = self.config;
        Some(Feeds::new(&self.dependencies.store, (*changes)?, *athena_latest, limit))
    }

    fn note_made(&self, made: &Result<Option<Feed>, FeedError>, completed_at: Timestamp) {
        if let Err(error) = made {
            warn!(error = with_causes(error), "the changes could not be written; they stay owed");
        }
        self.invocation.metrics.note(|measured| {
            measured.owed = Some(match made {
                Ok(_) => Owed::Nothing,
                Err(_) => Owed::Since(completed_at),
            });
            measured.feeds.extend(made.iter().flatten().map(Feed::sizes));
        });
    }
}

fn published_changes(feed: Feed) -> PublishedChanges {
    PublishedChanges {
        from: feed.summary.from.snapshot_id,
        summary: feed.url,
        complete: feed.summary.complete,
        events: feed.summary.events,
        privileged_granted: feed.summary.privileged_granted,
    }
}
