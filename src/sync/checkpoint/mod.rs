//! The file that a run is continued from, and the lease in it.
//!
//! - [`document`] is its content, with a [`list_progress`] for each list, and `validate` says whether this program can have written it; [`json_error`] says where
//!   its JSON is wrong without showing it.
//! - [`daily_counts`] are the days on which users were last active.
//! - [`lease`] writes it, as the only invocation that may.

pub mod daily_counts;
pub mod document;
pub mod json_error;
pub mod lease;
pub mod list_progress;
pub mod validate;
