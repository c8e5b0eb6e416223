//! One invocation of the program.

use std::sync::Arc;

use crate::measures::Measures;
use crate::patience::Patience;
use crate::progress::Progress;

/// One invocation: who it is, and how long it may take.
#[derive(Debug)]
pub struct Invocation {
    /// Lambda's request id, or the process's; names the holder of a lease.
    pub request_id: String,
    /// How long it may take.
    pub patience: Arc<Patience>,
    /// Shows people how far it is.
    pub progress: Progress,
    /// Collects what it does.
    pub measures: Measures,
}
