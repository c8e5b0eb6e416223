//! Holds snapshots against what was written.
//!
//! - [`targets`] finds the snapshots that are asked for, also where the chain of manifests is broken.
//! - [`manifest`] checks the manifest itself and what it says of the snapshot before.
//! - [`signature`] checks who signed it, with the keys that [`public_key`] reads.
//! - [`lines`] checks the lines of a part: [`schema`], id, digest, references. [`ids`] keeps ids as hashes.
//! - [`content`] goes through the datasets with them.
//! - [`check`] is what comes out.

pub mod check;
pub mod content;
pub mod ids;
pub mod lines;
pub mod manifest;
pub mod public_key;
pub mod schema;
pub mod signature;
pub mod targets;
