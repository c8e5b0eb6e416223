//! One change at a time, between processes.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// A change holds the lock for milliseconds; a process that was stopped while holding it must not
/// stop the others for good, so past this they say so.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Between two attempts to take the lock: the time of a small change.
const PAUSE: Duration = Duration::from_millis(2);

/// An exclusive advisory lock on a folder, held until dropped. The folder's own handle is locked,
/// so no lock file stands in the tree, and the system releases it when a process dies.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl FolderLock {
    /// Waits for the lock on an existing folder, at most ten seconds.
    pub(super) fn take(folder: &Path) -> Result<Self, LockError> {
        Self::take_within(folder, MAX_WAIT)
    }

    fn take_within(folder: &Path, longest: Duration) -> Result<Self, LockError> {
        let handle = File::open(folder).map_err(LockError::Open)?;
        let give_up = Instant::now() + longest;
        loop {
            match handle.try_lock() {
                Ok(()) => return Ok(Self(handle)),
                Err(TryLockError::WouldBlock) if Instant::now() >= give_up => {
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
    /// The folder cannot be opened.
    Open(io::Error),
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

    #[test]
    fn a_folder_that_is_not_there_cannot_be_locked() {
        let folder = tempfile::tempdir().unwrap();
        let refused = FolderLock::take(&folder.path().join("absent"));
        assert!(matches!(refused, Err(LockError::Open(_))), "{refused:?}");
    }
}
