//! Makes sure that the snapshot has the rows that grants refer to.
//!
//! - `resolve` finds which are missing, and marks rows that refer to something that no longer
//!   exists.
//! - `insert` puts rows that were requested by id into the stored segments.
//! - Neither walks a list: `read::list_walk` does.

pub(crate) mod insert;
pub(crate) mod resolve;
