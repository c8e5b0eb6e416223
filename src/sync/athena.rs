//! Keeps the lists of files for Athena up to date: right after publishing, and where an earlier invocation did not get to
//! it.

use clerk_snapshot::manifest::Latest;
use tracing::warn;

use crate::athena::list_snapshot;
use crate::error::with_causes;
use crate::response::SyncAnswer;
use crate::sync::context::SyncInvocation;
use crate::sync::decide::Found;
use crate::time_limit::TimeLimit;

impl SyncInvocation<'_> {
    /// Writes the lists of the snapshot that was just published. If that fails, the snapshot stays published, and the
    /// next `sync` writes them. Returns whether the lists no longer name an older snapshot.
    pub(crate) async fn list_published(&self, published: &Latest, answer: &mut SyncAnswer) -> bool {
        let limit = TimeLimit::all_that_is_left(&self.invocation.work_limit);
        let Err(why) = self.list_for_athena(published, &limit).await else { return true };
        answer.message.push_str(&format!(
            " The lists for Athena still name an older snapshot, because {why}; the next sync writes them."
        ));
        false
    }

    /// Writes the lists of the newest published snapshot, unless they are there. Returns whether they no longer name an
    /// older snapshot. What fails is logged, and tried again.
    pub(crate) async fn list_newest(&self, found: &Found, limit: &TimeLimit) -> bool {
        match &found.latest.latest {
            Some(newest) => self.list_for_athena(newest, limit).await.is_ok(),
            None => true,
        }
    }

    /// Does nothing if `ATHENA_LATEST` is off. The error is the reason, as the rest of a sentence.
    async fn list_for_athena(&self, latest: &Latest, limit: &TimeLimit) -> Result<(), String> {
        if !self.config.athena_latest {
            return Ok(());
        }
        let listed = tokio::select! {
            listed = list_snapshot(&self.dependencies.store, latest) => listed.map_err(|error| with_causes(&error)),
            _ = limit.reached() => Err("there was no time left".to_owned()),
        };
        listed.inspect_err(|error| {
            warn!(error, "the lists for Athena are not up to date; the next sync writes them");
        })
    }
}
