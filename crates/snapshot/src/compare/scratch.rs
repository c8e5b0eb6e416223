//! A temporary file for hashes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::error::CompareError;

/// A file without a name, so that nobody else can open it and nothing is left of it, however the process ends.
#[derive(Debug)]
pub(super) struct Scratch {
    file: File,
    length: u64,
}

impl Scratch {
    pub(super) fn create(folder: Option<&Path>) -> Result<Self, CompareError> {
        let file = match folder {
            None => tempfile::tempfile(),
            Some(folder) => tempfile::tempfile_in(folder),
        };
        Ok(Self { file: file.map_err(CompareError::TemporaryFile)?, length: 0 })
    }

    /// Appends bytes. Returns where they begin.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<u64, CompareError> {
        let begin = self.length;
        let mut append = || -> io::Result<()> {
            self.file.seek(SeekFrom::Start(begin))?;
            self.file.write_all(bytes)
        };
        append().map_err(CompareError::TemporaryFile)?;
        self.length += bytes.len() as u64;
        Ok(begin)
    }

    /// Appends to `bytes` what stands in the file from `begin` on.
    pub(super) fn read(
        &mut self,
        begin: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), CompareError> {
        let start = bytes.len();
        bytes.resize(start + length, 0);
        let mut read = || -> io::Result<()> {
            self.file.seek(SeekFrom::Start(begin))?;
            self.file.read_exact(&mut bytes[start..])
        };
        read().map_err(CompareError::TemporaryFile)
    }
}
