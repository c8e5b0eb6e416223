//! Reads one list page by page, each row exactly once, for a sync or a lookup.
//!
//! - [`pager`] requests pages ahead and joins them at known rows; `ties` tells rows of the same creation time apart.
//! - [`reader`] requests one page; [`position`] is how far a pager has come.
//! - [`by_owner`] reads a list owner by owner.
//! - [`created_range`] limits a list to rows created within a range of time.
//! - [`stalled`] bounds the rounds that bring nothing new.

pub mod by_owner;
pub mod created_range;
pub mod pager;
pub mod position;
pub mod reader;
pub mod stalled;
pub(crate) mod ties;
