//! One invocation: its id, and how long it may work.

use std::sync::Arc;

use crate::invocation_metrics::InvocationMetrics;
use crate::progress::Progress;
use crate::work_limit::WorkLimit;

/// One invocation of the program, as the event handlers see it.
#[derive(Debug)]
pub struct Invocation {
    /// Lambda's request id, or one made of the process id. Names the holder of a lease.
    pub request_id: String,
    /// Says when no new work may begin.
    pub work_limit: Arc<WorkLimit>,
    /// The progress display.
    pub progress: Progress,
    /// Collects the metrics of this invocation.
    pub metrics: InvocationMetrics,
}
