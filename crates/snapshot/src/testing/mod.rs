//! Builds snapshots in memory, for tests of whatever reads them.
//!
//! - [`records`] has a complete line of each kind, as JSON to change.
//! - [`builder`] puts lines into parts and writes manifest and `latest.json`.
//! - [`memory`] is the source that they are read from, with faults on demand.

#![allow(clippy::expect_used, reason = "only tests use it, and a test may panic")]

pub mod builder;
pub mod memory;
pub mod records;

pub use builder::{SnapshotBuilder, Stored};
pub use memory::MemorySource;
