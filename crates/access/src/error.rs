//! What can go wrong, with the name and the exit status that each error has.

use std::fmt::Display;

use clerk_snapshot::compare::CompareError;
use clerk_snapshot::reader::ReadError;
use clerk_store::quoted::Quoted;
use serde::Serialize;

use crate::archive::{ChooseError, ScanError};
use crate::output::OutputError;
use crate::place::PlaceError;

/// An error of the program. Its text says what happened, to what, and what to do next; it names ids and addresses of
/// objects, and never content or a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not known where the snapshots are.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// No snapshot, or not just one, is what was asked for; or it could not be read.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// Data of a snapshot could not be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Two snapshots could not be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The answer could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// An argument that cannot be answered.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
}

/// The document that an error is, where answers are JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorDocument {
    /// Its name.
    #[serde(rename = "errorType")]
    pub name: &'static str,
    /// Its text, with all its causes.
    #[serde(rename = "errorMessage")]
    pub message: String,
}

impl ErrorDocument {
    /// The document of an error.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self { name: error.name(), message }
    }
}

/// An argument that has the right form and still cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// A name that several have.
    #[error("{} is the name of {count} {kind}s; give the id or {other} of one, such as {example}", Quoted(.name))]
    Ambiguous {
        /// `organization`, `role` or `permission`.
        kind: &'static str,
        /// The name.
        name: String,
        /// How many have it.
        count: usize,
        /// What else identifies one.
        other: &'static str,
        /// The id of the first.
        example: String,
    },
    /// A file of the command line that cannot be used.
    #[error("{what} {} {problem}", Quoted(.path))]
    File {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Arguments that do not go together, or a value that is not accepted.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// A value or combination of arguments that is not accepted.
    #[must_use]
    pub fn refused(message: impl Display) -> Self {
        Self::Argument(ArgumentError::Refused(message.to_string()))
    }

    /// The name that programs see.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind().0
    }

    /// The exit status.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        self.kind().1
    }

    /// Whether the snapshot is being removed, or was removed since it was found.
    #[must_use]
    pub const fn is_removal(&self) -> bool {
        matches!(
            self,
            Self::Choose(ChooseError::Read(ReadError::Removed { .. }))
                | Self::Scan(ScanError::Read(ReadError::Removed { .. }))
                | Self::Compare(CompareError::Read(ReadError::Removed { .. }))
        )
    }

    /// Whether a page of the answer has all of its rows: no error, but the end.
    #[must_use]
    pub const fn is_page_full(&self) -> bool {
        matches!(self, Self::Output(OutputError::PageFull))
    }

    /// Whether the reader of standard output has closed it, as `head` does: no error, but the end.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.is_broken_pipe())
    }

    /// Name and exit status: 2 if the command line, the snapshot or the instance is wrong; 6 if what is stored is not
    /// what was written; 1 for everything else.
    fn kind(&self) -> (&'static str, u8) {
        match self {
            Self::Place(_) => ("InvalidConfig", 2),
            Self::Argument(_) => ("InvalidEvent", 2),
            Self::Choose(error) => match error {
                ChooseError::NotFound { .. }
                | ChooseError::Empty { .. }
                | ChooseError::OnlyOne { .. } => ("SnapshotNotFound", 2),
                ChooseError::Ambiguous { .. } => ("InvalidEvent", 2),
                ChooseError::Read(error) => read_error(error),
                ChooseError::List(_) => ("StoreUnavailable", 1),
            },
            Self::Scan(error) => match error {
                ScanError::Read(error) => read_error(error),
                ScanError::Line { .. } => ("SnapshotDamaged", 6),
                ScanError::Interrupted(_) => ("Internal", 1),
            },
            Self::Compare(error) => match error {
                CompareError::DifferentInstances { .. } => ("InvalidEvent", 2),
                CompareError::Read(error) => read_error(error),
                CompareError::TemporaryFile(_) | CompareError::Sink(_) | CompareError::Stopped => {
                    ("Internal", 1)
                }
            },
            Self::Output(error) if error.is_refusal() => ("InvalidEvent", 2),
            Self::Output(_) => ("Internal", 1),
        }
    }
}

/// A file that another one names and that is not there is damage: what was written is not stored any more.
const fn read_error(error: &ReadError) -> (&'static str, u8) {
    match error {
        ReadError::NotFound { .. } | ReadError::Damaged { .. } => ("SnapshotDamaged", 6),
        ReadError::Removed { .. } => ("SnapshotNotFound", 2),
        ReadError::Unavailable { .. } => ("StoreUnavailable", 1),
    }
}
