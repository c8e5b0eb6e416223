//! Clerk's lists: the table of them, and how a page of each is read.
//!
//! - [`table`] has an entry for each list, made of what [`endpoint`] defines; `row_request` says how one row is requested
//!   by its id or name.
//! - [`page`] reads the body of a page into rows and lines; `filter_check` notices a server that ignores a filter.
//! - `id_index` knows which ids the snapshot holds.
//! - [`list_error`] says of an error which list was requested.

pub mod endpoint;
pub(crate) mod filter_check;
pub(crate) mod id_index;
pub mod list_error;
pub mod page;
pub mod row_request;
pub mod table;
