//! Why the work stops before a snapshot is published, and the documented error for it.

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
    /// Time is up; what was read is stored.
    #[error("time is up")]
    Exhausted(StopReason),
    /// Clerk asked for a pause that outlasts what is left.
    #[error("Clerk asked to wait until {0}")]
    Paused(Timestamp),
    /// Clerk did not say which instance the key belongs to.
    #[error(transparent)]
    Instance(ClerkError),
    /// Clerk did not answer for a list as needed.
    #[error(transparent)]
    List(ListError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part that the checkpoint names is not in the store as it was written.
    #[error("{0} is gone or altered")]
    PartLost(String),
    /// The run's manifest is there already, and says something else.
    #[error("{0} is there already with another content, and a manifest is never written twice")]
    ManifestDiffers(String),
    /// A newer snapshot has been published meanwhile.
    #[error("{0}, which is newer, has been published meanwhile")]
    Superseded(String),
    /// `latest.json` was moved after it was settled which snapshot the run's own takes the place of.
    #[error(
        "the run's manifest says which snapshot it follows, and {0} does not name that one now"
    )]
    Unfollowed(String),
    /// `latest.json` was damaged since the invocation began.
    #[error("{0} was changed meanwhile and cannot be understood")]
    LatestDamaged(String),
    /// Another invocation has taken the run.
    #[error("another invocation has taken over the run")]
    LeaseLost,
    /// Something that cannot happen did.
    #[error("{0}")]
    Internal(String),
}

impl Stop {
    /// Whether a question was not answered that need not be: there is another way to find out.
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

    /// Clerk was asked for the instance.
    #[must_use]
    pub fn of_instance(error: ClerkError) -> Self {
        Self::pause_of(&error).unwrap_or(Self::Instance(error))
    }

    /// Those errors that only mean that it is not the time to ask.
    fn pause_of(error: &ClerkError) -> Option<Self> {
        match error.root() {
            ClerkError::Paused { retry_at } => Some(Self::Paused(*retry_at)),
            ClerkError::OutOfTime { why, .. } => Some(Self::Exhausted(*why)),
            _ => None,
        }
    }
}

/// There is no such conversion of a bare [`ClerkError`]: it would not say which list was asked.
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

/// The documented error for what stopped the work.
pub(crate) fn error_of(stop: Stop) -> Error {
    match stop {
        Stop::Instance(error) => clerk_error(error),
        Stop::List(failure) => clerk_error(failure.error),
        Stop::Store(error) => store_unavailable(error),
        stop @ Stop::PartLost(_) => Error::StoreUnavailable(
            Failure::new("a part of the run in progress is not as it was stored; begin anew with \"restart\": true")
                .caused_by(stop),
        ),
        stop @ Stop::ManifestDiffers(_) => Error::StoreUnavailable(
            Failure::new(
                "the run was not published, and latest.json stays as it is; begin anew with \
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
