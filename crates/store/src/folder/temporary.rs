//! Files that are written in full before they get their name.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const PREFIX: &str = ".clerk-sync-";
const SUFFIX: &str = ".tmp";

/// Snapshots are personal data: only their owner reads what is written. A umask can take rights away
/// from that, and grant none.
pub(super) const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// No write takes this long, so a temporary file older than this belongs to a process that was
/// killed. (Process ids would tell sooner, but not across containers that share the folder.)
const LEFTOVER_AGE: Duration = Duration::from_secs(60 * 60);

/// A hidden file beside its destination, removed when dropped before it was renamed.
#[derive(Debug)]
pub(super) struct Temporary {
    path: Option<PathBuf>,
}

impl Temporary {
    /// Writes `bytes` to a new hidden file in `folder`, down to the disk.
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

    /// Gives the file its name, replacing what was there, in one step. The folder is written to the
    /// disk as well, so that the name survives a power cut.
    pub(super) fn rename_to(mut self, destination: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            fs::rename(path, destination)?;
            self.path = None;
        }
        sync_parent(destination)
    }
}

impl Temporary {
    /// Gives the file its name unless there is such a file; whether there was none. One step on the
    /// server, whatever an NFS client believes of names that it has looked at before.
    pub(super) fn link_to(self, destination: &Path) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        match fs::hard_link(path, destination) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // Some file systems (SMB, FAT) have no links. Whoever writes holds the lock.
            Err(_) if destination.try_exists()? => return Ok(false),
            Err(_) => return self.rename_to(destination).map(|()| true),
        }
        // The temporary name goes with `self`.
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

/// Whether a file is a temporary one that nobody will finish.
pub(super) fn is_leftover(name: &str, modified: SystemTime) -> bool {
    name.starts_with(PREFIX)
        && name.ends_with(SUFFIX)
        && SystemTime::now().duration_since(modified).is_ok_and(|age| age > LEFTOVER_AGE)
}

/// Makes a folder, and with `above` what is missing above it, for its owner alone.
pub(super) fn make_folder(folder: &Path, above: bool) -> io::Result<()> {
    DirBuilder::new().recursive(above).mode(FOLDER_MODE).create(folder)
}

/// Writes the names in the folder that holds `path` to the disk.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
