//! Why a snapshot could not be read.

use std::io;

use serde_json::error::Category;

use crate::digest::Sha256Hex;
use crate::manifest::MANIFEST_FORMAT;
use crate::source::SourceError;

/// Why something of a snapshot could not be read. Names the file, and quotes nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file. Not retryable.
    #[error("{url} does not exist; check the snapshot's id and whether the snapshot was removed")]
    NotFound {
        /// Address of the file.
        url: String,
    },
    /// The snapshot is being removed, or was removed since it was opened. Not retryable.
    #[error("{url} is gone, because its snapshot is being removed; use another snapshot")]
    Removed {
        /// Address of the file.
        url: String,
    },
    /// What is stored is not what was written. Not retryable.
    #[error("{url} is damaged: {problem}; restore the file from a backup or use another snapshot")]
    Damaged {
        /// Address of the file.
        url: String,
        /// What is wrong with it.
        problem: Damage,
    },
    /// The store gives no usable answer. Retryable: the store's own retries are spent. Its error, which follows as the
    /// cause, names the file and says what to do.
    #[error("the snapshots cannot be read")]
    Unavailable {
        /// Address of the file.
        url: String,
        /// The store's error.
        #[source]
        source: SourceError,
    },
}

/// How a stored file differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The manifest names a part that is not there, although nobody is removing the snapshot.
    #[error("its manifest names it, and it is missing")]
    Missing,
    /// A part is shorter or longer than the manifest says.
    #[error("it has {found} bytes, and its manifest says {expected}")]
    Size {
        /// Bytes according to the manifest.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The bytes are not those that were written: they were changed, or replaced.
    #[error("its SHA-256 is {found}, and {named_by} says {expected}")]
    Checksum {
        /// The file that names the right checksum.
        named_by: &'static str,
        /// The right checksum.
        expected: Sha256Hex,
        /// That of the bytes found.
        found: Sha256Hex,
    },
    /// The compressed data end too early.
    #[error("its compressed data are cut short")]
    CutShort,
    /// The bytes do not decompress.
    #[error("it is not compressed as its manifest says")]
    NotCompressed,
    /// A part has more or fewer lines than the manifest says.
    #[error("it has {} lines, and its manifest says {expected}", at_least(*found, *expected))]
    Lines {
        /// Lines according to the manifest.
        expected: u64,
        /// Lines found. Reading stops at one line too many.
        found: u64,
    },
    /// The last line does not end in `\n`.
    #[error("its last line is cut short")]
    UnfinishedLine,
    /// A line is longer than this program writes.
    #[error("one of its lines is longer than {} bytes", crate::part::LONGEST_LINE)]
    LongLine,
    /// A line is not UTF-8.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// Number of the line, from 1.
        line: u64,
    },
    /// A line is not a record of its dataset.
    #[error("line {line} is not a record of {dataset}")]
    NotARecord {
        /// Number of the line in its part, from 1.
        line: u64,
        /// The dataset that the part belongs to.
        dataset: crate::resource::Dataset,
    },
    /// The JSON ends too early.
    #[error("the JSON is cut short")]
    JsonCutShort,
    /// The file is not JSON.
    #[error("it is not JSON (line {line}, column {column})")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// JSON of another shape.
    #[error("a field is missing or has the wrong type (line {line}, column {column})")]
    WrongShape {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// The format tag is not the one that this version reads.
    #[error("its format is not {MANIFEST_FORMAT}")]
    Format,
    /// A manifest that names another snapshot than the one whose folder it is in.
    #[error("it is the manifest of another snapshot")]
    OtherSnapshot,
    /// A text that should be a snapshot's id.
    #[error("it contains an invalid snapshot id")]
    SnapshotId,
    /// `latest.json` names a manifest that is not in the folder of its snapshot.
    #[error("its manifest is not that of its snapshot")]
    ManifestKey,
    /// A manifest that names a part outside of its dataset's folder.
    #[error("one of its parts is not in the folder of its dataset")]
    PartKey,
    /// Following `previous` leads back to a snapshot that was passed.
    #[error("its `previous` leads back to a newer snapshot")]
    Loop,
}

/// "3", or "at least 3" if reading stopped there.
fn at_least(found: u64, expected: u64) -> String {
    if found > expected { format!("at least {found}") } else { found.to_string() }
}

impl From<&serde_json::Error> for Damage {
    /// The message of serde_json is discarded, because it quotes the value that it fails on.
    fn from(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Eof => Self::JsonCutShort,
            Category::Syntax | Category::Io => Self::NotJson { line, column },
            Category::Data => Self::WrongShape { line, column },
        }
    }
}

impl From<&io::Error> for Damage {
    /// Of a decompressor that reads from memory: any error is one of the data.
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutShort,
            _ => Self::NotCompressed,
        }
    }
}
