//! The format of a snapshot: what clerk-sync writes and readers of snapshots read.
//!
//! Nothing here depends on Clerk's API, on Lambda or on a run. In the order of the data flow:
//!
//! - [`record`] defines every kind of line; [`records`] collects the lines of a page in [`buffers`], written by
//!   [`json`].
//! - [`part`] compresses lines into a file and reads them back; [`part_name`] names that file.
//! - [`manifest`] lists the parts of a snapshot, with [`digest`]s that detect corruption. It is a [`document`], as are
//!   the other files of JSON.
//! - [`redaction`] has the hashes that replace personal data.
//! - [`source`] is where snapshots are read from, [`layout`] names the files there, and [`reader`] reads snapshots back.
//! - [`compare`] says what changed between two snapshots.
//! - [`resource`] names the resources and datasets, [`timestamp`] formats times, and [`compression`] names the ways to
//!   compress a part.

pub mod buffers;
pub mod compare;
pub mod compression;
pub mod digest;
pub mod document;
mod gzip;
pub mod json;
pub mod layout;
pub mod manifest;
pub mod part;
pub mod part_name;
pub mod reader;
pub mod record;
pub mod records;
pub mod redaction;
pub mod resource;
pub mod source;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod timestamp;
