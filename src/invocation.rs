//! One invocation of the program.

use std::sync::Arc;

use crate::invocation_metrics::InvocationMetrics;
use crate::progress::Progress;
use crate::work_limit::WorkLimit;

/// One invocation: who it is, and how long it may take.
#[derive(Debug)]
pub struct Invocation {
    /// Lambda's request id, or the process's; names the holder of a lease.
    pub request_id: String,
    /// How long it may take.
    pub work_limit: Arc<WorkLimit>,
    /// Shows people how far it is.
    pub progress: Progress,
    /// Collects what it does.
    pub metrics: InvocationMetrics,
}
