//! Why a comparison could not be made.

use std::io;

use super::sink::SinkError;
use crate::reader::ReadError;

/// Why two snapshots could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The snapshots are of two Clerk instances. Not retryable.
    #[error(
        "{from} and {to} are snapshots of different Clerk instances; compare snapshots of the same instance"
    )]
    DifferentInstances {
        /// Id of the first snapshot.
        from: String,
        /// Id of the second one.
        to: String,
    },
    /// A snapshot could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Hashes could not be written to or read from the temporary file. Retryable once the folder has room.
    #[error(
        "the temporary file for hashes cannot be used; free space in the temporary folder or set TMPDIR"
    )]
    TemporaryFile(#[source] io::Error),
    /// A record could not be passed on.
    #[error("a change could not be passed on; see the cause")]
    Sink(#[source] SinkError),
    /// The sink asked to stop.
    #[error("the comparison was stopped before its end")]
    Stopped,
}
