//! What is written: records, parts, manifest, and the digests that hold them together.

pub mod digest;
pub(crate) mod json;
pub mod manifest;
pub mod part;
pub mod part_name;
pub mod record;
pub mod records;
