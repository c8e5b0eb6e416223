//! What is written: records, parts, manifest, and the digests that hold them together.

pub mod digest;
mod json;
pub mod manifest;
pub mod part;
pub mod record;
pub mod records;
pub mod translate;
