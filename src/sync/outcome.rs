//! Concludes an invocation: updates and releases the checkpoint for the next one, and builds the
//! answer.

use std::sync::PoisonError;

use clerk_snapshot::layout::snapshot_folder;
use clerk_snapshot::manifest::RunStats;
use clerk_snapshot::timestamp::Timestamp;
use tracing::warn;

use crate::error::{Error, internal, store_unavailable};
use crate::invocation_metrics::{DatasetOutcomes, PublishedSizes};
use crate::response::{PauseReason, SyncAnswer, SyncStatus};
use crate::sync::answer::{complete_message, held_message};
use crate::sync::checkpoint::document::Checkpoint;
use crate::sync::checkpoint::lease::{LeaseError, LeasedCheckpoint};
use crate::sync::context::{Step, SyncInvocation};
use crate::sync::error::{Pause, SyncError, error_of};
use crate::sync::publish::PublishOutcome;
use crate::sync::publish::cleanup::remove_if_abandoned;
use crate::work_limit::StopReason;

impl SyncInvocation<'_> {
    /// Releases the run in the state that the next invocation needs, and builds the answer or the
    /// error.
    pub(crate) async fn conclude(
        &self,
        leased: &LeasedCheckpoint,
        step: Result<Step, SyncError>,
    ) -> Result<SyncAnswer, Error> {
        let stats = self.stats(leased);
        self.measure(&step);
        let mut answer = match step {
            Ok(Step::Finished(PublishOutcome::Complete(complete))) => {
                let manifest = &complete.manifest;
                let mut answer = self.about_manifest(SyncStatus::Complete, leased, manifest, stats);
                answer.message = complete_message(&answer, &complete);
                answer
            }
            Ok(Step::Finished(PublishOutcome::Held(manifest, shrunk))) => {
                self.release(leased, stats, None).await?;
                SyncAnswer {
                    message: held_message(&shrunk, &manifest),
                    shrunk: Some(shrunk),
                    ..self.about_manifest(SyncStatus::Held, leased, &manifest, stats)
                }
            }
            Ok(Step::Paused(Pause::OutOfTime(why))) => {
                let reason = match why {
                    StopReason::Interrupted => PauseReason::Interrupted,
                    StopReason::TimeBudget | StopReason::Halted => PauseReason::TimeBudget,
                };
                self.pause(leased, stats, reason, self.retry_at()).await?
            }
            Ok(Step::Paused(Pause::RateLimited(retry_at))) => {
                self.pause(leased, stats, PauseReason::RateLimited, Some(retry_at)).await?
            }
            Err(error) => return Err(self.fail(leased, stats, error).await),
        };
        answer.message.push_str(&self.warnings.sentences());
        if let Some(reason) = self.abandoned.get() {
            answer.message.push_str(&format!(" The previous run was abandoned: {reason}."));
        }
        Ok(answer)
    }

    /// Adds the requests and the outcome to the metrics.
    fn measure(&self, step: &Result<Step, SyncError>) {
        let client_use = self.client_use.lock().unwrap_or_else(PoisonError::into_inner);
        let counted =
            client_use.as_ref().map(|client_use| client_use.client.counted()).unwrap_or_default();
        self.invocation.metrics.note(|measured| {
            measured.requests = counted.requests;
            measured.retries = counted.retries;
            measured.rate_limited = counted.rate_limited;
            measured.waited = counted.waited;
            match step {
                Ok(Step::Finished(PublishOutcome::Complete(complete))) => {
                    measured.outcomes = Some(DatasetOutcomes::of(&complete.manifest));
                    measured.newest_started_at = Some(complete.manifest.started_at);
                    measured.published = Some(PublishedSizes::of(&complete.manifest));
                }
                Ok(Step::Finished(PublishOutcome::Held(manifest, _))) => {
                    measured.outcomes = Some(DatasetOutcomes::of(manifest));
                    measured.held = true;
                }
                Ok(Step::Paused(_)) | Err(_) => {}
            }
        });
    }

    async fn pause(
        &self,
        leased: &LeasedCheckpoint,
        stats: RunStats,
        reason: PauseReason,
        retry_at: Option<Timestamp>,
    ) -> Result<SyncAnswer, Error> {
        self.release(leased, stats, retry_at).await?;
        Ok(self.partial(&leased.with_checkpoint(Checkpoint::clone), stats, reason, retry_at))
    }

    async fn release(
        &self,
        leased: &LeasedCheckpoint,
        stats: RunStats,
        retry_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        match self.release_to_next(leased, stats, retry_at).await {
            Ok(()) => Ok(()),
            Err(LeaseError::Store(error)) => Err(store_unavailable(error)),
            Err(LeaseError::LeaseLost) => Err(error_of(SyncError::LeaseLost)),
            Err(LeaseError::Json(error)) => Err(internal(&error)),
        }
    }

    async fn release_to_next(
        &self,
        leased: &LeasedCheckpoint,
        stats: RunStats,
        retry_at: Option<Timestamp>,
    ) -> Result<(), LeaseError> {
        leased
            .release(|checkpoint| {
                checkpoint.retry_at = retry_at;
                checkpoint.stats = stats;
            })
            .await
    }

    /// The end of a pause that Clerk asked for and that is not over.
    fn retry_at(&self) -> Option<Timestamp> {
        let client_use = self.client_use.lock().unwrap_or_else(PoisonError::into_inner);
        client_use.as_ref()?.client.retry_at()
    }

    /// Releases the lease after a failure, or removes a checkpoint that nothing is stored in yet,
    /// so that a wrong setting leaves no trace. Returns the documented error.
    async fn fail(&self, leased: &LeasedCheckpoint, stats: RunStats, error: SyncError) -> Error {
        if matches!(error, SyncError::LeaseLost) {
            return self.lease_lost(leased).await;
        }
        let misses_a_part = matches!(error, SyncError::PartLost(_));
        let error = error_of(error);
        let untouched = leased.with_checkpoint(|checkpoint| {
            checkpoint.lists.is_empty() && checkpoint.abandoned.is_empty()
        });
        let has_nothing = untouched && self.has_stored_nothing(leased).await;
        let left = if has_nothing {
            leased.remove().await
        } else {
            self.release_to_next(leased, stats, self.retry_at()).await
        };
        match left {
            // The part is gone because another invocation has finished or abandoned the run.
            Err(LeaseError::LeaseLost) if misses_a_part => return self.lease_lost(leased).await,
            Err(left) => warn!(error = %left, "the lease could not be released; it will expire"),
            Ok(()) => {}
        }
        if has_nothing { error.with_nothing_left() } else { error }
    }

    /// Cleans up after a run that another invocation has taken over.
    async fn lease_lost(&self, leased: &LeasedCheckpoint) -> Error {
        let id = leased.with_checkpoint(|checkpoint| checkpoint.snapshot_id.clone());
        remove_if_abandoned(&*self.dependencies.store, &id).await;
        error_of(SyncError::LeaseLost)
    }

    /// Whether the run's folder is empty. Parts may be stored although the checkpoint names no list yet.
    /// They and the checkpoint then stay: if this invocation was frozen and has lost its lease, they
    /// belong to the one that continued the run.
    async fn has_stored_nothing(&self, leased: &LeasedCheckpoint) -> bool {
        let folder = leased.with_checkpoint(|checkpoint| snapshot_folder(&checkpoint.snapshot_id));
        self.dependencies.store.list(&folder).await.is_ok_and(|parts| parts.is_empty())
    }
}
