//! Why the work of an invocation ends before a snapshot is published: it pauses, which is no error, or it fails with a
//! [`SyncError`].

use crate::clerk::error::ClerkError;
use crate::error::{Error, Failure, clerk_error, internal, store_unavailable};
use crate::lists::list_error::ListError;
use crate::paging::pager::PagerStop;
use crate::signing::SigningError;
use crate::sync::checkpoint::lease::LeaseError;
use crate::work_limit::StopReason;
use clerk_snapshot::part_name::TooManyParts;
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::StoreError;

/// Why a function of the run returns early.
#[derive(Debug)]
pub enum Stop {
    /// The invocation pauses. What was read is stored, and the next invocation continues.
    Pause(Pause),
    /// The run fails.
    Fail(SyncError),
}

/// Why an invocation pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// There is no time left for further work.
    OutOfTime(StopReason),
    /// Clerk asked to wait until this time, which is longer than the time left.
    RateLimited(Timestamp),
}

/// Why a run fails.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// There is no client for Clerk, because its key could not be read.
    #[error(transparent)]
    NoClient(Error),
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
    /// The manifest could not be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
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
    /// The error of Clerk's list, if that is what failed.
    pub(crate) const fn list_error(&self) -> Option<&ListError> {
        match self {
            Self::Fail(SyncError::List(failure)) => Some(failure),
            Self::Fail(_) | Self::Pause(_) => None,
        }
    }

    /// Whether a request failed in a way that concerns only itself: the run continues if the caller can
    /// do without its answer.
    #[must_use]
    pub(crate) fn may_be_ignored(&self) -> bool {
        matches!(
            self.list_error().map(|failure| &failure.error),
            Some(
                ClerkError::Rejected { .. }
                    | ClerkError::Unavailable { .. }
                    | ClerkError::NotClerk { .. }
                    | ClerkError::Protocol { .. }
            )
        )
    }

    /// Why the run stops after the request for the instance failed.
    #[must_use]
    pub fn of_instance(error: ClerkError) -> Self {
        Pause::of(&error).map_or_else(|| SyncError::Instance(error).into(), Self::Pause)
    }
}

impl Pause {
    /// The pause, if the error only means that there is no time for requests now.
    fn of(error: &ClerkError) -> Option<Self> {
        match error.root() {
            ClerkError::Paused { retry_at } => Some(Self::RateLimited(*retry_at)),
            ClerkError::OutOfTime { why, .. } => Some(Self::OutOfTime(*why)),
            _ => None,
        }
    }
}

impl<E: Into<SyncError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Fail(error.into())
    }
}

/// A bare [`ClerkError`] has no such conversion, because it would not say which list was requested.
impl From<ListError> for Stop {
    fn from(failure: ListError) -> Self {
        Pause::of(&failure.error).map_or_else(|| SyncError::List(failure).into(), Self::Pause)
    }
}

impl From<PagerStop> for Stop {
    fn from(stop: PagerStop) -> Self {
        match stop.into_list_error() {
            Ok(failure) => failure.into(),
            Err(why) => Self::Pause(Pause::OutOfTime(why)),
        }
    }
}

impl From<LeaseError> for SyncError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::LeaseLost => Self::LeaseLost,
            LeaseError::Store(error) => Self::Store(error),
            LeaseError::Json(error) => Self::Internal(error.to_string()),
        }
    }
}

impl From<std::io::Error> for SyncError {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(format!("a part could not be compressed or read back: {error}"))
    }
}

impl From<serde_json::Error> for SyncError {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<TooManyParts> for SyncError {
    fn from(error: TooManyParts) -> Self {
        Self::Internal(error.to_string())
    }
}

/// No later invocation could continue the run.
const START_OVER: &str = "Start over with \"restart\": true.";

/// The documented error for a failed run.
pub(crate) fn error_of(error: SyncError) -> Error {
    match error {
        SyncError::NoClient(error) => error,
        SyncError::Instance(error) => clerk_error(error),
        SyncError::List(failure) => clerk_error(failure.error),
        SyncError::Store(error) => store_unavailable(error),
        error @ SyncError::PartLost(_) => Error::StoreUnavailable(
            Failure::new("a part of the run in progress is missing or altered")
                .caused_by(error)
                .advising(START_OVER),
        ),
        error @ SyncError::ManifestDiffers(_) => Error::StoreUnavailable(
            Failure::new("the run was not published, and latest.json stays as it is")
                .caused_by(error)
                .advising(START_OVER),
        ),
        SyncError::Signing(error) => Error::StoreUnavailable(
            Failure::new(
                "the snapshot is complete and was not published, because its manifest could not be signed",
            )
            .caused_by(error)
            .advising("The next sync publishes it without reading Clerk again."),
        ),
        error @ SyncError::LeaseLost => {
            Error::LeaseLost(Failure::new("the run was lost to another invocation").caused_by(error))
        }
        error @ SyncError::Superseded(_) => Error::LeaseLost(
            Failure::new("the run was not published, and latest.json stays as it is").caused_by(error),
        ),
        error @ SyncError::Unfollowed(_) => Error::LeaseLost(
            Failure::new(
                "the run was not published, and latest.json stays as it is; the next sync gives the \
                 run up and begins a new one",
            )
            .caused_by(error),
        ),
        error @ SyncError::LatestDamaged(_) => Error::StateUnreadable(
            Failure::new("the run was not published, and is kept").caused_by(error),
        ),
        error => internal(&error),
    }
}
