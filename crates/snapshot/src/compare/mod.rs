//! Compares two snapshots (docs/changes.md), and knows neither Clerk nor AWS.
//!
//! From top to bottom:
//!
//! - `comparison` is the story: decide about each dataset, find what differs, report it.
//! - [`verdict`] decides what may be said about a dataset.
//! - `find` reads both sides once and keeps hashes of the lines that differ, in `differences` and, past a limit, in
//!   `scratch`; `report` reads the parts with such lines again, pairs the lines in a `batch` and hands out
//!   records. Both read with `cursor`.
//! - `draft` makes a [`change`] record from lines: `record` reads what a line says, `fields` names the leaves that
//!   differ, [`field_table`] gives them their [`class`], and `causes` explains the record.
//! - [`sink`] takes the records, [`summary`] counts them.

mod batch;
mod causes;
pub mod change;
pub mod class;
mod comparison;
mod cursor;
mod differences;
mod draft;
pub mod error;
pub mod field_table;
mod fields;
mod find;
mod hash;
pub mod limits;
mod record;
mod report;
mod scratch;
pub mod sink;
pub mod summary;
pub mod verdict;

pub use change::Change;
pub use class::{Class, Classes};
pub use comparison::Comparison;
pub use error::CompareError;
pub use limits::Limits;
pub use sink::Sink;
pub use summary::Summary;

#[cfg(test)]
mod tests;
