//! Serializes changes to a folder between processes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::temporary::FILE_MODE;

/// Name of the locked file. It is hidden and empty, and it is never removed: otherwise one process could lock the
/// removed file while another locks its successor.
pub(super) const LOCK_FILE: &str = ".clerk-sync.lock";

/// Longest wait for the lock. A change holds it for milliseconds, but a process that was stopped while holding it must
/// not block the others forever.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Pause between two attempts to take the lock: the time of a small change.
const PAUSE: Duration = Duration::from_millis(2);

/// An exclusive advisory lock on a folder, held until dropped; the system releases it when a process dies.
///
/// It locks a regular file that is open for writing, because network file systems (NFS, EFS, SMB) pass only such locks
/// on to their server.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl FolderLock {
    /// Waits for the lock on an existing folder, at most [`MAX_WAIT`].
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
    /// Unlocks explicitly: a child process that is just being started may still have the handle open.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Why the lock was not taken.
#[derive(Debug)]
pub(super) enum LockError {
    /// The lock file cannot be opened or created.
    Open(io::Error),
    /// There is something other than a file in its place, such as a symbolic link.
    NotAFile,
    /// Another process has held it for too long.
    Busy,
    /// The file system does not support locks.
    Unsupported(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_stopped_holder_ends() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path()).unwrap();
        let refused = FolderLock::take_within(folder.path(), Duration::from_millis(10));
        assert!(matches!(refused, Err(LockError::Busy)), "{refused:?}");
        drop(held);
        FolderLock::take(folder.path()).unwrap();
    }

    /// Network file systems pass on only locks of this kind.
    #[test]
    fn the_lock_is_on_a_regular_file_open_for_writing() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path()).unwrap();
        assert!(held.0.metadata().unwrap().is_file());
        held.0.set_len(0).expect("a file opened only for reading cannot be truncated");
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
    fn a_missing_folder_cannot_be_locked() {
        let folder = tempfile::tempdir().unwrap();
        let refused = FolderLock::take(&folder.path().join("absent"));
        assert!(matches!(refused, Err(LockError::Open(_))), "{refused:?}");
    }
}
