//! Writes files in full before giving them their names.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const PREFIX: &str = ".clerk-sync-";
const SUFFIX: &str = ".tmp";

/// Only the owner may read what is written, because snapshots are personal data. A umask can only remove permissions
/// from this mode.
pub(super) const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// Age at which a temporary file must belong to a killed process, because no write takes this long. (Process ids would
/// tell earlier, but not across containers that share the folder.)
const LEFTOVER_AGE: Duration = Duration::from_secs(60 * 60);

/// A hidden file beside its destination. It is removed when dropped before it is renamed.
#[derive(Debug)]
pub(super) struct Temporary {
    path: Option<PathBuf>,
}

impl Temporary {
    /// Writes `bytes` to a new hidden file in `folder` and syncs it to disk.
    pub(super) fn write(folder: &Path, bytes: &[u8]) -> io::Result<Self> {
        let name = format!("{PREFIX}{}-{:016x}{SUFFIX}", std::process::id(), fastrand::u64(..));
        let path = folder.join(name);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path)?;
        let temporary = Self { path: Some(path) };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(temporary)
    }

    /// Renames the file to `destination`, replacing any existing file atomically, and syncs the folder so that the name
    /// survives a power cut.
    pub(super) fn rename_to(mut self, destination: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            fs::rename(path, destination)?;
            self.path = None;
        }
        sync_parent(destination)
    }
}

impl Temporary {
    /// Gives the file its name unless that exists. Returns whether it did. This is a single step on the server, even if
    /// an NFS client has cached other information about the name.
    pub(super) fn link_to(self, destination: &Path) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        match fs::hard_link(path, destination) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // Some file systems (SMB, FAT) have no hard links. The caller holds the lock.
            Err(_) if destination.try_exists()? => return Ok(false),
            Err(_) => return self.rename_to(destination).map(|()| true),
        }
        // Dropping `self` removes the temporary name.
        sync_parent(destination).map(|()| true)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether a file is a temporary one that no process will finish.
pub(super) fn is_leftover(name: &str, modified: SystemTime) -> bool {
    name.starts_with(PREFIX)
        && name.ends_with(SUFFIX)
        && SystemTime::now().duration_since(modified).is_ok_and(|age| age > LEFTOVER_AGE)
}

/// Creates a folder for its owner only, and with `above` its missing parents.
pub(super) fn make_folder(folder: &Path, above: bool) -> io::Result<()> {
    DirBuilder::new().recursive(above).mode(FOLDER_MODE).create(folder)
}

/// Syncs the folder that contains `path`, and so the names in it.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
