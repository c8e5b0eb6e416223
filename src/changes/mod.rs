//! The feed of changes: what differs between each published snapshot and the one before it, as files below `changes/`
//! (docs/changes.md).
//!
//! - [`feeds`] makes the feed of a snapshot: compares, writes the parts, then the summary, and moves
//!   `changes/latest.json`. Every step can be repeated, and writes the same bytes.
//! - `part_writer` cuts the records into parts.
//! - `owed` finds the snapshots whose feed is missing.
//! - [`action`] answers the event `changes`.

pub mod action;
pub mod error;
pub mod feeds;
mod owed;
mod part_writer;
