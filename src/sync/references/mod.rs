//! Holds what grants refer to against the rows that the snapshot has.
//!
//! - `resolve` says what is missing, and marks what is gone; `insert` puts late rows in their place.

pub(crate) mod insert;
pub(crate) mod resolve;
