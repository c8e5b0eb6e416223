//! Describes Clerk's lists in a table, and decodes their pages.
//!
//! - [`table`] has one entry per list, built from the types in [`endpoint`]; [`row_request`] says how to request a
//!   single row.
//! - [`page`] decodes a page's body into rows and lines; `filter_check` detects a server that ignores a filter.
//! - `id_index` knows which ids the snapshot holds.
//! - [`list_error`] names the list that a failed request was for.

pub mod endpoint;
pub(crate) mod filter_check;
pub(crate) mod id_index;
pub mod list_error;
pub mod page;
pub mod row_request;
pub mod table;
