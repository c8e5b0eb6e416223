//! Turns what stopped the work into an error with a documented name.

use crate::clerk::error::{ClerkError, Fault};
use crate::clerk::transport::TransportError;
use crate::error::{Error, Failure};
use crate::no_answer::Server;

use super::run::Stop;
use super::state::store_unavailable;

/// The documented error for what stopped the work.
pub(super) fn error_of(stop: Stop) -> Error {
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
        stop => internal(&stop),
    }
}

/// The documented error for a failure of Clerk.
#[must_use]
pub fn clerk_error(error: ClerkError) -> Error {
    match error.root() {
        ClerkError::NoOtherKey(_) | ClerkError::Unauthorized { .. } => {
            Error::ClerkUnauthorized(Failure::new("the secret key is not valid").caused_by(error))
        }
        ClerkError::SecretUnavailable { source, .. } => {
            let advice = source.advice();
            Error::SecretUnavailable(
                Failure::new("the secret could not be read").caused_by(error).advising(advice),
            )
        }
        ClerkError::Unavailable { last: Fault::Transport(fault), .. }
            if let Some(advice) = advice_about(fault) =>
        {
            Error::ClerkUnavailable(
                Failure::new("Clerk could not be reached").caused_by(error).advising(advice),
            )
        }
        ClerkError::OtherInstance { .. } => Error::ClerkUnauthorized(
            Failure::new("the key was changed to another instance's in the middle of the work")
                .caused_by(error)
                .advising(
                    "Put a key of the instance that is being read into the secret: the next \
                     invocation continues. If the other instance is meant, the next invocation \
                     gives this run up and begins anew.",
                ),
        ),
        ClerkError::Forbidden { .. } => Error::ClerkUnauthorized(
            Failure::new("Clerk refuses the secret key, not a feature").caused_by(error).advising(
                "Look in Clerk's dashboard what this key may read and whether a quota is used \
                     up, or take the resource out of RESOURCES; the next invocation continues.",
            ),
        ),
        ClerkError::Unavailable { last: Fault::NotClerks(_), .. } => Error::ClerkUnavailable(
            Failure::new("something else than Clerk answers").caused_by(error).advising(
                "Check CLERK_API_URL, and the proxies and firewalls on the way to it. Progress is \
                 kept: the next invocation continues.",
            ),
        ),
        ClerkError::Unavailable { .. }
        | ClerkError::Paused { .. }
        | ClerkError::OutOfTime { .. } => {
            Error::ClerkUnavailable(Failure::new("Clerk could not be read").caused_by(error))
        }
        ClerkError::NotClerk { .. } => Error::ClerkProtocol(
            Failure::new("Clerk could not be asked").caused_by(error).advising(
                "A login page, a proxy or a captive portal may stand between: check this machine's \
                 network, HTTPS_PROXY and CLERK_API_URL. No snapshot was published.",
            ),
        ),
        ClerkError::Protocol { .. } | ClerkError::Rejected { .. } | ClerkError::Refused { .. } => {
            Error::ClerkProtocol(Failure::new("Clerk could not be understood").caused_by(error))
        }
    }
}

/// The documented error for a transport that cannot carry any request.
pub(crate) fn unreachable(fault: TransportError) -> Error {
    let advice = advice_about(&fault);
    let failure = Failure::new("Clerk could not be reached").caused_by(fault);
    Error::ClerkUnavailable(match advice {
        Some(advice) => failure.advising(advice),
        None => failure,
    })
}

/// What to do about a fault on the way to Clerk.
fn advice_about(fault: &TransportError) -> Option<String> {
    let advice = fault.no_answer()?.advice(Server::Clerk);
    let mut characters = advice.chars();
    let capital = characters.next()?.to_uppercase();
    Some(format!("{capital}{}. Progress is kept.", characters.as_str()))
}

/// What cannot happen, and did.
#[must_use]
pub fn internal(error: &dyn std::error::Error) -> Error {
    Error::Internal(Failure::new(error.to_string()))
}
