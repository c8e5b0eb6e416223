//! A folder of its own for a proof, so that `check` leaves no lock file in a folder that has none.
//!
//! The lock file of a folder that others may use is never removed (docs/decisions/0011-folder-lock.md). That of this one
//! can be: nobody else knows the folder's name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lock::LOCK_FILE;
use super::temporary::make_folder;

/// A hidden folder within the folder of a store. It is removed when dropped, and so are the folders that had to be made
/// for it, as far as nobody has put anything into them.
#[derive(Debug)]
pub(super) struct Rehearsal {
    folder: PathBuf,
    /// The innermost first.
    made: Vec<PathBuf>,
}

impl Rehearsal {
    /// Makes the folder within `root`, which need not exist.
    pub(super) fn begin(root: &Path) -> io::Result<Self> {
        let name = format!(".clerk-sync-check-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let mut rehearsal = Self { folder: root.join(name), made: Vec::new() };
        let missing: Vec<&Path> =
            root.ancestors().take_while(|folder| fs::symlink_metadata(folder).is_err()).collect();
        for folder in missing.into_iter().rev() {
            match make_folder(folder, false) {
                Ok(()) => rehearsal.made.insert(0, folder.to_owned()),
                // Another process was quicker, so it is not ours to remove.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        make_folder(&rehearsal.folder, false)?;
        Ok(rehearsal)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Rehearsal {
    /// What cannot be removed stays: the proof has said why, or somebody uses it.
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join(LOCK_FILE));
        let _ = fs::remove_dir(&self.folder);
        for folder in &self.made {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: what was there stays, what was made goes, and what somebody has put into it meanwhile stays, too.
    #[test]
    fn only_what_was_made_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("a/b");
        drop(Rehearsal::begin(&root).unwrap());
        assert!(!place.path().join("a").exists());
        let rehearsal = Rehearsal::begin(&root).unwrap();
        fs::write(root.join("latest.json"), "{}").unwrap();
        let folder = rehearsal.folder().to_owned();
        drop(rehearsal);
        assert!(root.join("latest.json").is_file() && !folder.exists());
        drop(Rehearsal::begin(&root).unwrap());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }
}
