//! An error of Clerk's, together with the list that was requested.

use crate::clerk::error::ClerkError;
use crate::lists::endpoint::{Endpoint, ListName};

/// Clerk did not answer a request for a list's rows or count.
///
/// `list` is the list that was requested, even if it was requested for another one: reading memberships may request
/// users that they refer to.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ListError {
    /// The list that was requested.
    pub list: ListName,
    /// The error.
    #[source]
    pub error: ClerkError,
}

impl ListError {
    /// For `map_err` on a request for this list.
    pub fn of(endpoint: &Endpoint) -> impl Fn(ClerkError) -> Self + use<> {
        let list = endpoint.name();
        move |error| Self { list, error }
    }
}
