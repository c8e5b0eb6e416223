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

/// The state of the lists after an attempt to write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListsOfFiles {
    /// They already named the newest snapshot's files, or there are to be none: `ATHENA_LATEST` is off, or nothing is
    /// published.
    UpToDate,
    /// They have just been written.
    Written,
    /// They may still name the files of an older snapshot.
    Stale,
}

impl SyncInvocation<'_> {
    /// Writes the lists of the snapshot that was just published. If that fails, the snapshot stays published, and the
    /// next `sync` writes them.
    pub(crate) async fn list_published(
        &self,
        published: &Latest,
        answer: &mut SyncAnswer,
    ) -> ListsOfFiles {
        let limit = TimeLimit::all_that_is_left(&self.invocation.work_limit);
        self.list_for_athena(published, &limit).await.unwrap_or_else(|why| {
            answer.message.push_str(&format!(
                " The lists for Athena still name an older snapshot, because {why}; the next sync writes them."
            ));
            ListsOfFiles::Stale
        })
    }

    /// Writes the lists of the newest published snapshot, unless they are there. What fails is logged, and tried again.
    pub(crate) async fn list_newest(&self, found: &Found, limit: &TimeLimit) -> ListsOfFiles {
        match &found.latest.latest {
            Some(newest) => {
                self.list_for_athena(newest, limit).await.unwrap_or(ListsOfFiles::Stale)
            }
            None => ListsOfFiles::UpToDate,
        }
    }

    /// The error is the reason, as the rest of a sentence.
    async fn list_for_athena(
        &self,
        latest: &Latest,
        limit: &TimeLimit,
    ) -> Result<ListsOfFiles, String> {
        if !self.config.athena_latest {
            return Ok(ListsOfFiles::UpToDate);
        }
        let listed = tokio::select! {
            listed = list_snapshot(&self.dependencies.store, latest) => listed.map_err(|error| with_causes(&error)),
            _ = limit.reached() => Err("there was no time left".to_owned()),
        };
        let written = listed.inspect_err(|error| {
            warn!(error, "the lists for Athena are not up to date; the next sync writes them");
        })?;
        Ok(if written { ListsOfFiles::Written } else { ListsOfFiles::UpToDate })
    }
}
