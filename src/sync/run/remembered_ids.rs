//! Ids of rows that this invocation has stored, until there are enough of them for a file.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::lists::endpoint::ListName;
use crate::sync::checkpoint::ids_file::IdsOfPart;

/// Ids of one file: 1 MiB. For ten million users that makes 77 files, and even a small function reads
/// the parts of one of them within a few seconds.
const IDS_OF_A_FILE: usize = 128 * 1024;

/// Parts of one file, if they are small: this many are read again after a cut, at the most.
const PARTS_OF_A_FILE: usize = 32;

/// Ids of rows that this invocation has stored, until they are written to a file.
#[derive(Debug, Default)]
pub struct RememberedIds(Mutex<BTreeMap<ListName, Collected>>);

impl RememberedIds {
    /// Adds the ids of a part; gives those of the list that are now enough for a file.
    pub(crate) fn add(&self, list: ListName, ids: IdsOfPart) -> Option<Collected> {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_list = remembered.entry(list).or_default();
        of_list.add(ids);
        of_list.fill_a_file().then(|| std::mem::take(of_list))
    }

    /// The ids of a list that are in no file yet, which it forgets.
    pub(crate) fn take(&self, list: ListName) -> Collected {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.remove(&list).unwrap_or_default()
    }

    /// Forgets everything: no list refers to another any more.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Ids of some parts, to be written to one file.
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
