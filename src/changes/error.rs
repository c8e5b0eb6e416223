//! Why a feed could not be made.

use std::io;

use clerk_snapshot::compare::CompareError;
use clerk_snapshot::reader::ReadError;
use clerk_store::StoreError;

use crate::error::{Error, Failure, store_unavailable};
use crate::work_limit::StopReason;

/// Why a feed could not be made. It stays owed.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// There is no time left, or the program was interrupted.
    #[error("{}", match .0 {
        StopReason::Interrupted => "it was interrupted",
        StopReason::TimeBudget | StopReason::Halted => "the time budget ran out",
    })]
    Stopped(StopReason),
    /// A file could not be written, read or listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The snapshots could not be compared.
    #[error(transparent)]
    Compare(CompareError),
    /// A part or a document could not be built (out of memory).
    #[error("the records of changes could not be written")]
    Encode(#[source] io::Error),
}

impl From<CompareError> for FeedError {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Read(error) => Self::Read(error),
            CompareError::Sink(error) => match error.downcast::<StoreError>() {
                Ok(error) => Self::Store(*error),
                Err(error) => Self::Encode(io::Error::other(error)),
            },
            error => Self::Compare(error),
        }
    }
}

impl From<serde_json::Error> for FeedError {
    fn from(error: serde_json::Error) -> Self {
        Self::Encode(error.into())
    }
}

impl From<FeedError> for Error {
    /// The documented error of an action that asked for the feed.
    fn from(error: FeedError) -> Self {
        let failure = Failure::new("what changed could not be found out");
        match error {
            FeedError::Store(error) => store_unavailable(error),
            FeedError::Read(error @ ReadError::Unavailable { .. }) => {
                Self::StoreUnavailable(failure.caused_by(error))
            }
            FeedError::Read(error) => Self::StateUnreadable(
                failure
                    .caused_by(error)
                    .advising("Nothing was written; the snapshots stay as they are."),
            ),
            FeedError::Compare(error @ CompareError::TemporaryFile(_)) => Self::Internal(
                failure
                    .caused_by(error)
                    .advising("Nothing was written; give the function more ephemeral storage."),
            ),
            error => Self::Internal(failure.caused_by(error)),
        }
    }
}
