//! Until when an invocation may do what comes after publishing: lists for Athena, changes, and the removal of old
//! snapshots. Each can be given up at any point, and is done again later.

use std::sync::Arc;

use tokio::time::Instant;

use crate::work_limit::{StopReason, WorkLimit};

/// How long a piece of work may take. It is done as a whole or not at all, so it is given up when this is reached.
#[derive(Debug, Clone)]
pub struct TimeLimit {
    work_limit: Arc<WorkLimit>,
    ends: Option<Instant>,
}

impl TimeLimit {
    /// All the time that the invocation has left. Even an invocation with the smallest budget has a few seconds for the
    /// first thing that it does.
    #[must_use]
    pub fn all_that_is_left(work_limit: &Arc<WorkLimit>) -> Self {
        Self { work_limit: Arc::clone(work_limit), ends: work_limit.ends() }
    }

    /// Half of the time that the invocation has left, because it has other work to do.
    #[must_use]
    pub fn half_of_what_is_left(work_limit: &Arc<WorkLimit>) -> Self {
        let now = Instant::now();
        let half = |ends: Instant| now + ends.saturating_duration_since(now) / 2;
        Self { work_limit: Arc::clone(work_limit), ends: work_limit.ends().map(half) }
    }

    /// Why the work must stop; `None` while it may go on.
    #[must_use]
    pub fn exceeded(&self) -> Option<StopReason> {
        if self.work_limit.is_interrupted() {
            Some(StopReason::Interrupted)
        } else {
            self.ends.is_some_and(|ends| Instant::now() >= ends).then_some(StopReason::TimeBudget)
        }
    }

    /// Returns once the work must stop.
    pub async fn reached(&self) -> StopReason {
        let time_is_up = async {
            match self.ends {
                Some(ends) => tokio::time::sleep_until(ends).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time_is_up => StopReason::TimeBudget,
            () = self.work_limit.interrupted() => StopReason::Interrupted,
        }
    }
}
