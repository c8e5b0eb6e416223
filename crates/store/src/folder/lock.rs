//! One change at a time, between processes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::temporary::FILE_MODE;

/// The file that is locked. It is hidden, empty, and stays: if it were removed, one process could lock
/// the file that is gone and another one its successor.
pub(super) const LOCK_FILE: &str = ".clerk-sync.lock";

/// A change holds the lock for milliseconds; a process that was stopped while holding it must not
/// stop the others for good, so past this they say so.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Between two attempts to take the lock: the time of a small change.
const PAUSE: Duration = Duration::from_millis(2);

/// An exclusive advisory lock on a folder, held until dropped; the system releases it when a process
/// dies. Network file systems (NFS, EFS, SMB) pass locks on to their server only for a regular file
/// that is open for writing, so that is what is locked.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl FolderLock {
    /// Waits for the lock on an existing folder, at most ten seconds.
    pub(super) fn take(folder: &Path) -> Result<Self, LockError> {
        Self::take_within(folder, MAX_WAIT)
    }

    fn take_within(folder: &Path, longest: Duration) -> Result<Self, LockError> {
        let path = folder.join(LOCK_FILE);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(LockError::NotAFile);
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let handle = options.open(&path).map_err(LockError::Open)?;
        let abandon = Instant::now() + longest;
        loop {
            match handle.try_lock() {
                Ok(()) => return Ok(Self(handle)),
                Err(TryLockError::WouldBlock) if Instant::now() >= abandon => {
                    return Err(LockError::Busy);
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(LockError::Unsupported(error)),
            }
        }
    }
}

impl Drop for FolderLock {
    /// Closing the handle would do, unless a child process that is just being started still has it.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Why the lock was not taken.
#[derive(Debug)]
pub(super) enum LockError {
    /// The lock file cannot be opened or made.
    Open(io::Error),
    /// Something that is not a file stands in its place, such as a symbolic link.
    NotAFile,
    /// Somebody holds it for too long.
    Busy,
    /// The file system has no locks.
    Unsupported(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_for_a_holder_that_was_stopped_ends() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path()).unwrap();
        let refused = FolderLock::take_within(folder.path(), Duration::from_millis(10));
        assert!(matches!(refused, Err(LockError::Busy)), "{refused:?}");
        drop(held);
        FolderLock::take(folder.path()).unwrap();
    }

    /// What a network file system passes on to its server.
    #[test]
    fn what_is_locked_is_a_regular_file_open_for_writing() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path()).unwrap();
        assert!(held.0.metadata().unwrap().is_file());
        held.0.set_len(0).expect("a file that is open for reading only cannot be cut");
        let other = File::options().write(true).open(folder.path().join(LOCK_FILE)).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
    }

    #[test]
    fn a_symbolic_link_is_not_locked() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("precious");
        std::os::unix::fs::symlink(&target, folder.path().join(LOCK_FILE)).unwrap();
        let refused = FolderLock::take(folder.path());
        assert!(matches!(refused, Err(LockError::NotAFile)), "{refused:?}");
        assert!(!target.exists());
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_locked() {
        let folder = tempfile::tempdir().unwrap();
        let refused = FolderLock::take(&folder.path().join("absent"));
        assert!(matches!(refused, Err(LockError::Open(_))), "{refused:?}");
    }
}
