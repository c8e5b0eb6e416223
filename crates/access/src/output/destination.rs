//! Where an answer goes: standard output, or a file that appears whole or not at all.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, fs};

use tempfile::NamedTempFile;

use super::error::OutputError;

/// Bytes that are collected before they are written.
const BUFFER: usize = 64 * 1024;

/// Files that are being written, for [`exit_without_unfinished`].
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Ends the program, without the files that are being written.
pub fn exit_without_unfinished(status: i32) -> ! {
    // Held to the end, so that no further file is made.
    let unfinished = unfinished();
    for path in unfinished.iter() {
        // If it cannot be removed, nobody is left who could do anything about it.
        let _ = std::fs::remove_file(path);
    }
    std::process::exit(status)
}

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where an answer goes.
pub struct Destination<'a> {
    standard: &'a mut (dyn Write + Send),
    buffer: Vec<u8>,
    file: Option<File>,
}

/// The file that `--out` names.
struct File {
    writer: BufWriter<Target>,
    path: PathBuf,
}

/// What is written to.
enum Target {
    /// A file that takes its name when it is complete.
    Temporary(NamedTempFile),
    /// A device or a pipe, which cannot be replaced.
    Direct(fs::File),
}

impl Target {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Temporary(file) => Some(file.path()),
            Self::Direct(_) => None,
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Temporary(file) => file.write(bytes),
            Self::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Temporary(file) => file.flush(),
            Self::Direct(file) => file.flush(),
        }
    }
}

impl<'a> Destination<'a> {
    /// Standard output.
    pub fn standard(standard: &'a mut (dyn Write + Send)) -> Self {
        Self { standard, buffer: Vec::new(), file: None }
    }

    /// The file `path`, which replaces one of that name only when the answer is complete. Only its owner may read a new
    /// file, because it holds personal data; one that was there keeps its permissions. A link stays, and the file that
    /// it leads to is replaced. A device or a pipe is written to.
    ///
    /// # Errors
    /// [`OutputError::File`].
    pub fn file(standard: &'a mut (dyn Write + Send), path: &Path) -> Result<Self, OutputError> {
        let failed = |source| OutputError::File { path: path.display().to_string(), source };
        let standing = match fs::metadata(path) {
            Ok(standing) if standing.is_dir() => {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            Ok(standing) => Some(standing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let (target, path) = match standing {
            Some(standing) if !standing.is_file() => {
                let device = fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
                (Target::Direct(device), path.to_owned())
            }
            Some(standing) => {
                if standing.permissions().readonly() {
                    return Err(failed(io::ErrorKind::PermissionDenied.into()));
                }
                let path = fs::canonicalize(path).map_err(failed)?;
                let temporary = temporary_for(&path).map_err(failed)?;
                let permissions = standing.permissions();
                temporary.as_file().set_permissions(permissions).map_err(failed)?;
                (Target::Temporary(temporary), path)
            }
            None => (Target::Temporary(temporary_for(path).map_err(failed)?), path.to_owned()),
        };
        let writer = BufWriter::with_capacity(BUFFER, target);
        Ok(Self { standard, buffer: Vec::new(), file: Some(File { writer, path }) })
    }

    /// A folder for what belongs to the file while it is written; `None` for standard output.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|file| match file.writer.get_ref() {
            Target::Temporary(_) => folder_of(&file.path),
            Target::Direct(_) => std::env::temp_dir(),
        })
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// [`OutputError::Standard`] or [`OutputError::File`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        if let Some(file) = &mut self.file {
            return file.writer.write_all(bytes).map_err(|source| file.failed(source));
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush_standard() }
    }

    /// Hands the file to something that writes it itself.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn write_with<E: From<OutputError>>(
        &mut self,
        write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.file {
            Some(file) => write(&mut file.writer),
            None => Err(OutputError::NeedsFile.into()),
        }
    }

    /// Writes what is left, and makes the file appear.
    ///
    /// # Errors
    /// [`OutputError::Standard`] or [`OutputError::File`].
    pub fn finish(&mut self) -> Result<(), OutputError> {
        let Some(file) = self.file.take() else { return self.flush_standard() };
        let temporary = file.writer.get_ref().path().map(Path::to_owned);
        let finished = file.finish();
        if let Some(path) = temporary {
            unfinished().remove(&path);
        }
        finished
    }

    /// Removes the file. What is written from now on goes to standard output. Returns whether there was one.
    pub fn abandon(&mut self) -> bool {
        let Some(file) = self.file.take() else { return false };
        if let Some(path) = file.writer.get_ref().path() {
            unfinished().remove(path);
        }
        true
    }

    fn flush_standard(&mut self) -> Result<(), OutputError> {
        let written = self.standard.write_all(&self.buffer).and_then(|()| self.standard.flush());
        self.buffer.clear();
        written.map_err(OutputError::Standard)
    }
}

impl File {
    fn finish(self) -> Result<(), OutputError> {
        let Self { writer, path } = self;
        let failed = |source| OutputError::File { path: path.display().to_string(), source };
        match writer.into_inner().map_err(|error| failed(error.into_error()))? {
            Target::Direct(mut device) => device.flush().map_err(failed),
            Target::Temporary(temporary) => {
                temporary.as_file().sync_all().map_err(failed)?;
                temporary.persist(&path).map_err(|error| failed(error.error))?;
                Ok(())
            }
        }
    }

    fn failed(&self, source: io::Error) -> OutputError {
        OutputError::File { path: self.path.display().to_string(), source }
    }
}

/// A file beside `path` that is removed if the program ends before it is complete.
fn temporary_for(path: &Path) -> io::Result<NamedTempFile> {
    // Locked before the file is there, so that the program cannot end between the two.
    let mut unfinished = unfinished();
    let temporary = NamedTempFile::with_prefix_in(".clerk-access-", folder_of(path))?;
    unfinished.insert(temporary.path().to_owned());
    Ok(temporary)
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl fmt::Debug for Destination<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(|file| &file.path);
        formatter.debug_struct("Destination").field("file", &file).finish_non_exhaustive()
    }
}
