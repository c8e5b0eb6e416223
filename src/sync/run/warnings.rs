//! Warnings that become part of the answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::lists::endpoint::ListName;

/// Warnings about lists that cannot be read in time, by list.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<BTreeMap<ListName, String>>);

impl Warnings {
    pub(crate) fn add(&self, list: ListName, warning: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(list, warning);
    }

    /// All warnings, as sentences with a leading space each; empty if there are none.
    pub fn sentences(&self) -> String {
        let warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.values().map(|warning| format!(" {warning}")).collect()
    }
}
