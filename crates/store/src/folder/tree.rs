//! The file operations of a folder store. All of them block.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use sha2::{Digest as _, Sha256};

use super::lock::{FolderLock, LOCK_FILE, LockError};
use super::rehearsal::Rehearsal;
use super::temporary::{Temporary, is_leftover, make_folder, sync_parent};
use crate::key::{check_key, check_prefix};
use crate::{
    Condition, DeleteCondition, FolderProblem, Listed, MAX_BYTES_READ, Object, Operation,
    StoreError, StoreErrorKind, Stored, Version,
};

/// Bytes of a file read at a time.
const READ_BUFFER_BYTES: usize = 32 * 1024;

/// The checksum in a file's version. Every write of a checkpoint calculates it twice, so it must be fast. It need not
/// resist forgery: whoever could forge one can write to the folder (docs/decisions/0011-folder-lock.md).
const VERSION_ALGORITHM: CrcAlgorithm = CrcAlgorithm::Crc64Nvme;

/// Attempts at a write. Another process's cleanup may remove a folder while it is empty, just before a subfolder or the
/// temporary file is created in it; it would have to do so this often for the write to fail.
const FOLDER_ATTEMPTS: u32 = 10;

/// A folder and everything below it.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn url_of(&self, key: &str) -> String {
        let path = self.root.join(key);
        url::Url::from_file_path(&path)
            .map_or_else(|()| format!("file://{}", path.display()), String::from)
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let path = self.path_of(Operation::Get, key)?;
        match read_whole(&path) {
            Ok(Some(bytes)) => {
                let version = version_of(&bytes);
                Ok(Some(Object { bytes: Bytes::from(bytes), version }))
            }
            Ok(None) => {
                Err(StoreError::new(Operation::Get, self.url_of(key), StoreErrorKind::TooLarge))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(Operation::Get, key, error)),
        }
    }

    /// Writes the temporary file before taking the lock, so that others wait only for a rename.
    pub(super) fn put(
        &self,
        key: &str,
        bytes: &[u8],
        condition: &Condition,
    ) -> Result<Version, StoreError> {
        let operation = Operation::Put;
        let path = self.path_of(operation, key)?;
        let failed = |error| self.failed(operation, key, error);
        let temporary = self.write_temporary(&path, bytes).map_err(failed)?;
        let _lock = self.lock(operation, key)?;
        let took_place = match condition {
            Condition::Absent => temporary.link_to(&path).map_err(failed)?,
            Condition::Matches(version) if !self.is_at(&path, version).map_err(failed)? => false,
            Condition::Any | Condition::Matches(_) => {
                temporary.rename_to(&path).map_err(failed)?;
                true
            }
        };
        if took_place {
            Ok(version_of(bytes))
        } else {
            Err(self.precondition_failed(operation, key))
        }
    }

    pub(super) fn delete(&self, key: &str, condition: &DeleteCondition) -> Result<(), StoreError> {
        let operation = Operation::Delete;
        let path = self.path_of(operation, key)?;
        let failed = |error| self.failed(operation, key, error);
        let absent = || match condition {
            DeleteCondition::Any => Ok(()),
            DeleteCondition::Matches(_) => Err(self.precondition_failed(operation, key)),
        };
        if !self.root.try_exists().map_err(failed)? {
            return absent();
        }
        let _lock = self.lock(operation, key)?;
        if let DeleteCondition::Matches(version) = condition
            && !self.is_at(&path, version).map_err(failed)?
        {
            return Err(self.precondition_failed(operation, key));
        }
        match fs::remove_file(&path) {
            Ok(()) => {
                sync_parent(&path).map_err(failed)?;
                self.remove_empty_folders_above(&path);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => absent(),
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let operation = Operation::List;
        check_prefix(operation, prefix)?;
        let mut listed = Vec::new();
        self.walk(operation, prefix, |key, entry| {
            let name_is_ours = !entry.file_name().to_string_lossy().starts_with('.');
            if name_is_ours && key.starts_with(prefix) {
                listed.push(Listed { key, bytes: entry.metadata()?.len() });
            }
            Ok(())
        })?;
        listed.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(listed)
    }

    pub(super) fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let path = self.path_of(Operation::Verify, key)?;
        match hash_file(&path) {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(Operation::Verify, key, error)),
        }
    }

    pub(super) fn remove_leftovers(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut folders = Vec::new();
        self.walk(Operation::RemoveLeftovers, "", |_, entry| {
            let modified = entry.metadata()?.modified()?;
            if is_leftover(&entry.file_name().to_string_lossy(), modified) {
                fs::remove_file(entry.path())?;
                removed += 1;
                folders.push(entry.path());
            }
            Ok(())
        })?;
        for path in folders {
            self.remove_empty_folders_above(&path);
        }
        Ok(removed)
    }

    /// Begins a rehearsal; `None` if the folder has a lock file already, so that a write leaves nothing new.
    pub(super) fn rehearse(&self) -> Result<Option<Rehearsal>, StoreError> {
        if fs::symlink_metadata(self.root.join(LOCK_FILE)).is_ok() {
            return Ok(None);
        }
        let begun = Rehearsal::begin(&self.root).map(Some);
        begun.map_err(|error| self.failed(Operation::Put, "", error))
    }

    /// The path of a key. No part of it may be a symbolic link; the last part must be a file and the others folders, as
    /// far as they exist.
    fn path_of(&self, operation: Operation, key: &str) -> Result<PathBuf, StoreError> {
        check_key(operation, key)?;
        let mut path = self.root.clone();
        let mut parts = key.split('/').peekable();
        while let Some(part) = parts.next() {
            path.push(part);
            let kind = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata.file_type(),
                // This part does not exist, so nothing below it does either.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    path.extend(parts);
                    break;
                }
                Err(error) => return Err(self.failed(operation, key, error)),
            };
            let problem = if kind.is_symlink() {
                FolderProblem::SymbolicLink
            } else if parts.peek().is_some() && !kind.is_dir() {
                FolderProblem::NotAFolder
            } else if parts.peek().is_none() && !kind.is_file() {
                FolderProblem::NotAFile
            } else {
                continue;
            };
            return Err(self.refused(operation, key, problem));
        }
        Ok(path)
    }

    fn write_temporary(&self, path: &Path, bytes: &[u8]) -> io::Result<Temporary> {
        let folder = path.parent().unwrap_or(&self.root);
        let mut attempt = 1;
        loop {
            let written = self.make_folder(folder).and_then(|()| Temporary::write(folder, bytes));
            match written {
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && attempt < FOLDER_ATTEMPTS =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Creates a folder and its missing parents, syncing each to disk.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if folder != self.root
            && let Some(above) = folder.parent()
        {
            self.make_folder(above)?;
        }
        match make_folder(folder, folder == self.root) {
            // The process that created it may already have removed it again; then it is not found.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::metadata(folder)?.is_dir() { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
            Ok(()) => sync_parent(folder),
        }
    }

    fn lock(&self, operation: Operation, key: &str) -> Result<FolderLock, StoreError> {
        FolderLock::take(&self.root).map_err(|error| match error {
            LockError::Open(error) => self.failed(operation, key, error),
            LockError::NotAFile => self.refused(operation, LOCK_FILE, FolderProblem::NotAFile),
            LockError::Busy => StoreError::new(
                operation,
                self.url_of(key),
                StoreErrorKind::Unavailable {
                    source: "another process has held the folder's lock for too long".into(),
                },
            ),
            LockError::Unsupported(error) => StoreError::new(
                operation,
                self.url_of(key),
                StoreErrorKind::Folder { problem: FolderProblem::NoLocks, source: Some(error) },
            ),
        })
    }

    fn is_at(&self, path: &Path, version: &Version) -> io::Result<bool> {
        match version_of_file(path) {
            Ok(stored) => Ok(stored == *version),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes emptied folders, because S3 has no folders. A folder into which another process has just put a file is
    /// not empty and stays.
    fn remove_empty_folders_above(&self, path: &Path) {
        let mut folder = path.parent();
        while let Some(empty) = folder.filter(|folder| *folder != self.root) {
            if fs::remove_dir(empty).is_err() {
                return;
            }
            folder = empty.parent();
        }
    }

    /// Calls `visit` with the key and entry of every file whose key may start with `prefix`, including hidden ones.
    /// Skips symbolic links and names that are not UTF-8. A file that disappears meanwhile is not an error.
    fn walk(
        &self,
        operation: Operation,
        prefix: &str,
        mut visit: impl FnMut(String, &DirEntry) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let failed = |error| self.failed(operation, prefix, error);
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.root.join(&folder)) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            for entry in entries {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let key = format!("{folder}{name}");
                let kind = entry.file_type().map_err(failed)?;
                if kind.is_dir() {
                    let below = format!("{key}/");
                    if below.starts_with(prefix) || prefix.starts_with(&below) {
                        folders.push(below);
                    }
                } else if kind.is_file() {
                    match visit(key, &entry) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            return Err(failed(error));
                        }
                        Ok(()) | Err(_) => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn precondition_failed(&self, operation: Operation, key: &str) -> StoreError {
        StoreError::new(operation, self.url_of(key), StoreErrorKind::PreconditionFailed)
    }

    fn refused(&self, operation: Operation, key: &str, problem: FolderProblem) -> StoreError {
        StoreError::new(
            operation,
            self.url_of(key),
            StoreErrorKind::Folder { problem, source: None },
        )
    }

    fn failed(&self, operation: Operation, key: &str, error: io::Error) -> StoreError {
        let problem = match error.kind() {
            io::ErrorKind::PermissionDenied if operation.only_reads() => {
                FolderProblem::ReadingDenied
            }
            io::ErrorKind::PermissionDenied => FolderProblem::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem => FolderProblem::ReadOnly,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FolderProblem::DiskFull,
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                FolderProblem::NotAFolder
            }
            io::ErrorKind::IsADirectory => FolderProblem::NotAFile,
            _ => FolderProblem::Other,
        };
        StoreError::new(
            operation,
            self.url_of(key),
            StoreErrorKind::Folder { problem, source: Some(error) },
        )
    }
}

/// The content of a file; `None` if it is larger than [`MAX_BYTES_READ`].
fn read_whole(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_BYTES_READ {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES_READ).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn version_of(bytes: &[u8]) -> Version {
    let mut crc = Crc::new(VERSION_ALGORITHM);
    crc.update(bytes);
    version_from(&crc)
}

fn version_of_file(path: &Path) -> io::Result<Version> {
    let mut crc = Crc::new(VERSION_ALGORITHM);
    read_in_steps(path, |bytes| crc.update(bytes))?;
    Ok(version_from(&crc))
}

fn version_from(crc: &Crc) -> Version {
    Version::new(format!("{:016x}-{}", crc.finalize(), crc.get_amount()))
}

fn hash_file(path: &Path) -> io::Result<Stored> {
    let mut hasher = Sha256::new();
    let bytes = read_in_steps(path, |bytes| hasher.update(bytes))?;
    Ok(Stored { bytes, sha256: Some(hasher.finalize().into()) })
}

/// Calls `visit` with a file's content, a buffer at a time, and returns its size in bytes.
fn read_in_steps(path: &Path, mut visit: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(bytes),
            read => {
                visit(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}
