//! The checkpoint: the file that a run is continued from, and the lease in it.
//!
//! - [`document`] defines the file; it has a [`list_progress`] for each list.
//! - [`validate`] checks that this program can have written it; [`json_error`] says where its JSON
//!   is wrong without quoting it.
//! - [`summary`] adds up what it says about each dataset: for answers, the progress display and the
//!   manifest.
//! - [`daily_counts`] count users by the day of their latest activity.
//! - `ids_file` is the format of the files that hold the ids of stored rows.
//! - [`lease`] holds the lease and writes the checkpoint.

pub mod daily_counts;
pub mod document;
pub(crate) mod ids_file;
pub mod json_error;
pub mod lease;
pub mod list_progress;
pub mod summary;
pub mod validate;
