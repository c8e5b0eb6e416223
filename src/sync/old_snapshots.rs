//! Has published snapshots removed that are not to be kept (`KEEP_SNAPSHOTS`): after publishing, and where an earlier
//! invocation did not get to the end.

use crate::sync::context::SyncInvocation;
use crate::sync::publish::retention::{Retention, Trigger};
use crate::time_limit::TimeLimit;

impl SyncInvocation<'_> {
    /// Removes published snapshots that are not to be kept. Failures are only logged.
    pub(crate) async fn remove_old_snapshots(&self, trigger: Trigger) {
        let Some(keep) = self.config.keep_snapshots else { return };
        let limit = TimeLimit::all_that_is_left(&self.invocation.work_limit);
        let retention = Retention {
            store: &self.dependencies.store,
            keep,
            feeds: self.feeds(limit.clone()),
            limit,
            metrics: &self.invocation.metrics,
        };
        retention.enforce(trigger).await;
    }
}
