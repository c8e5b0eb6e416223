//! What stopped the work, under its name in the contract.

use crate::clerk::error::ClerkError;
use crate::error::{Error, Failure};

use super::run::Stop;
use super::state::store_unavailable;

/// The contract's name for what stopped the work.
pub(super) fn error_of(stop: Stop) -> Error {
    match stop {
        Stop::Clerk(error) => clerk_error(error),
        Stop::Store(error) => store_unavailable(error),
        stop @ Stop::PartLost(_) => Error::StoreUnavailable(
            Failure::new("a part of the run in progress is not as it was stored; begin anew with \"restart\": true")
                .caused_by(stop),
        ),
        stop @ Stop::LeaseLost => {
            Error::LeaseLost(Failure::new("the run was lost to another invocation").caused_by(stop))
        }
        stop @ Stop::Superseded(_) => Error::LeaseLost(
            Failure::new("the run was not published, and latest.json stays as it is").caused_by(stop),
        ),
        stop => internal(&stop),
    }
}

/// The contract's name for Clerk's failures.
#[must_use]
pub fn clerk_error(error: ClerkError) -> Error {
    match error {
        ClerkError::Unauthorized { .. } => {
            Error::ClerkUnauthorized(Failure::new("the secret key is not valid").caused_by(error))
        }
        ClerkError::SecretUnavailable { .. } => {
            Error::SecretUnavailable(Failure::new("the secret could not be read").caused_by(error))
        }
        ClerkError::Unavailable { .. }
        | ClerkError::Paused { .. }
        | ClerkError::OutOfTime { .. } => {
            Error::ClerkUnavailable(Failure::new("Clerk could not be read").caused_by(error))
        }
        ClerkError::Protocol { .. } | ClerkError::Rejected { .. } | ClerkError::Refused { .. } => {
            Error::ClerkProtocol(Failure::new("Clerk could not be understood").caused_by(error))
        }
    }
}

/// What cannot happen, and did.
#[must_use]
pub fn internal(error: &dyn std::error::Error) -> Error {
    Error::Internal(Failure::new(error.to_string()))
}
