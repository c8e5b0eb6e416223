//! Why an answer could not be written.

use std::io;

use rust_xlsxwriter::XlsxError;

/// Why an answer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Standard output does not take it.
    #[error("the answer cannot be written to standard output")]
    Standard(#[source] io::Error),
    /// The file cannot be made.
    #[error("{path} cannot be written; check --out, its folder and the space there")]
    File {
        /// The file, as it was given.
        path: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// XLSX to standard output.
    #[error(
        "a workbook is written to a file only; give --out FILE.xlsx, or choose another format with -o"
    )]
    NeedsFile,
    /// The workbook cannot be built.
    #[error("the workbook cannot be written; check the space in the folder of --out")]
    Workbook(#[from] XlsxError),
    /// A page of an answer has all of its rows, and nothing but further rows would follow: no error, but the end.
    #[error("the page is full")]
    PageFull,
    /// A value that has no JSON, which records do not contain.
    #[error("the answer cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl OutputError {
    /// Whether the reader of standard output has closed it.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Standard(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether the command line asks for what cannot be done.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        use io::ErrorKind as Kind;
        match self {
            Self::NeedsFile => true,
            Self::File { source, .. } => matches!(
                source.kind(),
                Kind::NotFound
                    | Kind::NotADirectory
                    | Kind::IsADirectory
                    | Kind::PermissionDenied
                    | Kind::InvalidInput
            ),
            _ => false,
        }
    }
}
