//! An error of Clerk's, with the list that was asked.

use crate::clerk::error::ClerkError;
use crate::lists::endpoint::{Endpoint, ListName};

/// Clerk did not answer a request for rows of a list, or for how many there are.
///
/// The error belongs to the list that was asked, whichever list it was asked for the sake of: while
/// memberships are read, users may be asked for that they refer to.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ListError {
    /// The list that was asked.
    pub list: ListName,
    /// What came of it.
    #[source]
    pub error: ClerkError,
}

impl ListError {
    /// For `map_err`, where a request for rows of this list is made.
    pub fn of(endpoint: &Endpoint) -> impl Fn(ClerkError) -> Self + use<> {
        let list = endpoint.name();
        move |error| Self { list, error }
    }
}
