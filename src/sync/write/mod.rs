//! Stores pages as parts.
//!
//! - `pending` pages wait to be stored together; a `segment` is what is stored of one list at a time.
//! - `compaction` joins small parts.

pub(crate) mod compaction;
pub(crate) mod pending;
pub(crate) mod segment;
