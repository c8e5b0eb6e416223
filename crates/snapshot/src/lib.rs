//! The format of a snapshot: what a run of clerk-sync writes, and what a reader of snapshots finds.
//!
//! Nothing here knows Clerk's API, Lambda or a run. In the order the data flows through them:
//!
//! - [`record`] has the shape of every line; [`records`] holds the lines of a page, in [`buffers`].
//! - [`part`] compresses lines into a file and reads them back; [`part_name`] gives it its name.
//! - [`manifest`] lists the parts of a snapshot, with [`digest`]s that detect corruption.
//! - [`resource`] names what can be copied and what is written, [`timestamp`] says how a time is
//!   written, [`compression`] how a part is.

pub mod buffers;
pub mod compression;
pub mod digest;
pub mod json;
pub mod manifest;
pub mod part;
pub mod part_name;
pub mod record;
pub mod records;
pub mod resource;
pub mod timestamp;
