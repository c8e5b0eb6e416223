//! What the answer says beside how the sync ended.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::lists::endpoint::ListName;

/// What the answer has to say of lists that cannot be read in time.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<BTreeMap<ListName, String>>);

impl Warnings {
    pub(crate) fn add(&self, list: ListName, warning: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(list, warning);
    }

    /// All of them, as sentences; nothing when there are none.
    pub fn sentences(&self) -> String {
        let warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.values().map(|warning| format!(" {warning}")).collect()
    }
}
