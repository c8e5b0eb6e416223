//! The reasons why the work stops before a snapshot is published, and the documented error for
//! each.

use crate::clerk::error::ClerkError;
use crate::error::{Error, Failure, clerk_error, internal, store_unavailable};
use crate::lists::list_error::ListError;
use crate::paging::pager::PagerStop;
use crate::sync::checkpoint::lease::LeaseError;
use crate::work_limit::StopReason;
use clerk_snapshot::part_name::TooManyParts;
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::StoreError;

/// Why the work stops before a snapshot is published.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Time is up; what was read is stored. The next invocation continues.
    #[error("time is up")]
    Exhausted(StopReason),
    /// Clerk asked for a pause that is longer than the time left. The next invocation continues.
    #[error("Clerk asked to wait until {0}")]
    Paused(Timestamp),
    /// The instance of the key could not be read from Clerk.
    #[error(transparent)]
    Instance(ClerkError),
    /// A list could not be read from Clerk.
    #[error(transparent)]
    List(ListError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part that the checkpoint names is missing or altered.
    #[error("{0} is missing or altered")]
    PartLost(String),
    /// The run's manifest already exists with another content.
    #[error("{0} already exists with other content, and a manifest is never overwritten")]
    ManifestDiffers(String),
    /// A newer snapshot has been published since.
    #[error("{0}, which is newer, has been published in the meantime")]
    Superseded(String),
    /// `latest.json` was moved after the checkpoint had settled which snapshot this one follows.
    #[error(
        "the run's manifest says which snapshot it follows, and {0} does not name that one now"
    )]
    Unfollowed(String),
    /// `latest.json` was damaged since the invocation began.
    #[error("{0} was changed meanwhile and cannot be understood")]
    LatestDamaged(String),
    /// Another invocation has taken the lease.
    #[error("another invocation has taken over the run")]
    LeaseLost,
    /// A defect of this program.
    #[error("{0}")]
    Internal(String),
}

impl Stop {
    /// Whether a request failed that was only one of several ways to find something out.
    #[must_use]
    pub(crate) const fn is_not_answered(&self) -> bool {
        matches!(
            self,
            Self::List(ListError {
                error: ClerkError::Rejected { .. }
                    | ClerkError::Unavailable { .. }
                    | ClerkError::NotClerk { .. }
                    | ClerkError::Protocol { .. },
                ..
            })
        )
    }

    /// The reason after a failed request for the instance.
    #[must_use]
    pub fn of_instance(error: ClerkError) -> Self {
        Self::pause_of(&error).unwrap_or(Self::Instance(error))
    }

    /// The reason, if the error only means that there is no time for requests now.
    fn pause_of(error: &ClerkError) -> Option<Self> {
        match error.root() {
            ClerkError::Paused { retry_at } => Some(Self::Paused(*retry_at)),
            ClerkError::OutOfTime { why, .. } => Some(Self::Exhausted(*why)),
            _ => None,
        }
    }
}

/// A bare [`ClerkError`] has no such conversion, because it would not say which list was requested.
impl From<ListError> for Stop {
    fn from(failure: ListError) -> Self {
        Self::pause_of(&failure.error).unwrap_or(Self::List(failure))
    }
}

impl From<PagerStop> for Stop {
    fn from(stop: PagerStop) -> Self {
        match stop.into_list_error() {
            Ok(failure) => failure.into(),
            Err(why) => Self::Exhausted(why),
        }
    }
}

impl From<LeaseError> for Stop {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::LeaseLost => Self::LeaseLost,
            LeaseError::Store(error) => Self::Store(error),
            LeaseError::Json(error) => Self::Internal(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(format!("a part could not be compressed or read back: {error}"))
    }
}

impl From<TooManyParts> for Stop {
    fn from(error: TooManyParts) -> Self {
        Self::Internal(error.to_string())
    }
}

/// The documented error for a reason to stop.
pub(crate) fn error_of(stop: Stop) -> Error {
    match stop {
        Stop::Instance(error) => clerk_error(error),
        Stop::List(failure) => clerk_error(failure.error),
        Stop::Store(error) => store_unavailable(error),
        stop @ Stop::PartLost(_) => Error::StoreUnavailable(
            Failure::new("a part of the run in progress is missing or altered; start over with \"restart\": true")
                .caused_by(stop),
        ),
        stop @ Stop::ManifestDiffers(_) => Error::StoreUnavailable(
            Failure::new(
                "the run was not published, and latest.json stays as it is; start over with \
                 \"restart\": true",
            )
            .caused_by(stop),
        ),
        stop @ Stop::LeaseLost => {
            Error::LeaseLost(Failure::new("the run was lost to another invocation").caused_by(stop))
        }
        stop @ Stop::Superseded(_) => Error::LeaseLost(
            Failure::new("the run was not published, and latest.json stays as it is").caused_by(stop),
        ),
        stop @ Stop::Unfollowed(_) => Error::LeaseLost(
            Failure::new(
                "the run was not published, and latest.json stays as it is; the next sync gives the \
                 run up and begins a new one",
            )
            .caused_by(stop),
        ),
        stop @ Stop::LatestDamaged(_) => Error::StateUnreadable(
            Failure::new("the run was not published, and is kept").caused_by(stop),
        ),
        stop => internal(&stop),
    }
}
