//! Stores pages as parts.
//!
//! - `pending` pages wait to be stored together; a `segment` is what is stored of one list at a time.
//! - `compaction` joins small parts.
//! - `row_ids` keeps the ids of stored rows beside them, for the invocation that continues the run.

pub(crate) mod compaction;
pub(crate) mod pending;
pub(crate) mod row_ids;
pub(crate) mod segment;
