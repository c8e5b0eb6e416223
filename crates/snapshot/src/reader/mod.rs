//! Reads snapshots back, and hands out nothing that was not checked first.
//!
//! - [`latest`] finds the newest published snapshot, [`chain`] the ones before it.
//! - [`snapshot`] opens one: its manifest, and its parts, each held against the manifest's size and SHA-256.
//! - [`lines`] splits a checked part into lines.
//! - [`removal`] tells a snapshot that is being removed from one that is damaged.
//! - [`error`] tells what is missing from what is damaged and what could not be read.

pub mod chain;
pub mod error;
pub mod latest;
pub mod lines;
pub mod removal;
pub mod snapshot;

pub use chain::{Chain, Link};
pub use error::{Damage, ReadError};
pub use latest::{open_latest, read_latest};
pub use lines::PartLines;
pub use removal::{being_removed, is_removed};
pub use snapshot::{Snapshot, VerifiedPart};

#[cfg(test)]
mod tests;
