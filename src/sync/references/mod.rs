//! Holds what grants refer to against the rows that the snapshot has.
//!
//! - `resolve` says what is missing, and marks what is gone; `insert` puts late rows in their place.
//! - `ids` keeps the ids of stored rows, in files that `ids_file` reads and writes.

pub(crate) mod ids;
pub(crate) mod ids_file;
pub(crate) mod insert;
pub(crate) mod resolve;
