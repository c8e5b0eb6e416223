//! The file that a run is continued from, and the lease in it.
//!
//! - [`document`] is its content, with a [`list_progress`] for each list.
//! - [`validate`] says whether this program can have written it; [`json_error`] says where its JSON is wrong without
//!   showing it.
//! - [`summary`] says what it holds of each dataset: for answers, the progress display and the manifest.
//! - [`daily_counts`] are the days on which users were last active.
//! - `ids_file` is the format of the files beside it that hold the ids of stored rows.
//! - [`lease`] writes it, as the only invocation that may.

pub mod daily_counts;
pub mod document;
pub(crate) mod ids_file;
pub mod json_error;
pub mod lease;
pub mod list_progress;
pub mod summary;
pub mod validate;
