//! Stores pages as parts.
//!
//! - `pending` collects pages until they are stored together; what is stored of one list at a time
//!   is a `segment`.
//! - `compaction` joins small segments.
//! - `row_ids` keeps the ids of stored rows for the invocation that continues the run.

pub(crate) mod compaction;
pub(crate) mod pending;
pub(crate) mod row_ids;
pub(crate) mod segment;
