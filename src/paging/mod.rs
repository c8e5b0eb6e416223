//! Reads one list, page by page, each row once: for a sync and for a lookup.
//!
//! - [`pager`] requests pages ahead and joins them at the rows it knows; `ties` tells rows of one moment apart.
//! - [`reader`] requests one page; [`position`] is where the walk stands.
//! - [`by_owner`] reads a list in the parts of its owners.
//! - [`created_range`] limits a list to rows created within a time.
//! - [`stalled`] bounds the rounds that bring nothing new.

pub mod by_owner;
pub mod created_range;
pub mod pager;
pub mod position;
pub mod reader;
pub mod stalled;
pub(crate) mod ties;
