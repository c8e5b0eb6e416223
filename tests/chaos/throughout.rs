//! The history of a list while it was copied.

use std::collections::{BTreeSet, HashSet};

use clerk_sandbox::{Change, ChangeKind};

/// A list from the beginning of a run on.
pub(super) struct Throughout {
    /// Rows that were there all the time.
    pub(super) always: Vec<String>,
    /// Rows that were there at some time.
    pub(super) ever: HashSet<String>,
    /// The number of rows after each change.
    pub(super) sizes: BTreeSet<u64>,
    /// Rows that changed.
    pub(super) changed: HashSet<String>,
}

impl Throughout {
    /// Computed from the rows at first, the changes before the run, and those since.
    pub(super) fn of(first: &[String], before: &[Change], meanwhile: &[Change]) -> Self {
        let mut there: BTreeSet<String> = first.iter().cloned().collect();
        before.iter().for_each(|change| carry_out(&mut there, change));
        let mut ever: HashSet<String> = there.iter().cloned().collect();
        let mut always = there.clone();
        let mut changed = HashSet::new();
        let mut sizes = BTreeSet::from([there.len() as u64]);
        for change in meanwhile {
            carry_out(&mut there, change);
            sizes.insert(there.len() as u64);
            match change.kind {
                ChangeKind::Inserted => {
                    ever.insert(change.id.clone());
                }
                ChangeKind::Deleted => {
                    always.remove(&change.id);
                }
                ChangeKind::Updated => {
                    changed.insert(change.id.clone());
                }
            }
        }
        Self { always: always.into_iter().collect(), ever, sizes, changed }
    }
}

fn carry_out(there: &mut BTreeSet<String>, change: &Change) {
    match change.kind {
        ChangeKind::Inserted => {
            there.insert(change.id.clone());
        }
        ChangeKind::Deleted => {
            there.remove(&change.id);
        }
        ChangeKind::Updated => {}
    }
}
