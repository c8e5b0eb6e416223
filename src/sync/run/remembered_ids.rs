//! Ids of rows that this invocation has stored, until there are enough of them for a file.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::lists::endpoint::ListName;
use crate::sync::checkpoint::ids_file::IdsOfPart;

/// Ids in one file: 1 MiB. Ten million users make 77 files, and even a small function reads the
/// parts behind one of them in a few seconds.
const IDS_OF_A_FILE: usize = 128 * 1024;

/// Most parts whose ids go into one file, however small they are: at most this many are read again
/// after an interruption.
const PARTS_OF_A_FILE: usize = 32;

/// Ids of rows that this invocation has stored, by list, until they are written to a file.
#[derive(Debug, Default)]
pub struct RememberedIds(Mutex<BTreeMap<ListName, Collected>>);

impl RememberedIds {
    /// Adds the ids of a part. Returns the ids of the list if they are now enough for a file.
    pub(crate) fn add(&self, list: ListName, ids: IdsOfPart) -> Option<Collected> {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_list = remembered.entry(list).or_default();
        of_list.add(ids);
        of_list.fill_a_file().then(|| std::mem::take(of_list))
    }

    /// Removes and returns the ids of a list that are in no file yet.
    pub(crate) fn take(&self, list: ListName) -> Collected {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.remove(&list).unwrap_or_default()
    }

    /// Forgets everything, once no more list will refer to another.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The ids of some parts, for one file.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub parts: Vec<IdsOfPart>,
    ids: usize,
}

impl Collected {
    pub(crate) fn add(&mut self, part: IdsOfPart) {
        self.ids += part.hashes.len();
        self.parts.push(part);
    }

    pub(crate) fn fill_a_file(&self) -> bool {
        self.ids >= IDS_OF_A_FILE || self.parts.len() >= PARTS_OF_A_FILE
    }
}

#[cfg(test)]
mod tests {
    use clerk_snapshot::digest::Sha256Hex;

    use super::*;

    fn fill_a_file(parts: usize, ids_of_each: usize) -> bool {
        let mut collected = Collected::default();
        for number in 0..parts {
            collected.add(IdsOfPart {
                key: format!("users/part-{number}"),
                sha256: Sha256Hex::of(b""),
                hashes: vec![0; ids_of_each].into_boxed_slice(),
            });
        }
        collected.fill_a_file()
    }

    /// A file is written as soon as there are ids for one, or parts that would have to be read again.
    #[test]
    fn so_many_ids_or_parts_fill_a_file() {
        assert!(!fill_a_file(0, 0));
        assert!(!fill_a_file(1, IDS_OF_A_FILE - 1));
        assert!(fill_a_file(1, IDS_OF_A_FILE));
        assert!(!fill_a_file(3, IDS_OF_A_FILE / 4));
        assert!(fill_a_file(4, IDS_OF_A_FILE / 4));
        assert!(!fill_a_file(PARTS_OF_A_FILE - 1, 0));
        assert!(fill_a_file(PARTS_OF_A_FILE, 0));
    }
}
