//! What a check found.

use serde::Serialize;

use crate::output::{Cell, Column, List, Row};

/// What is listed.
pub const LIST: List = List {
    name: "checks",
    columns: &[
        Column::shown("snapshot_id", "Snapshot"),
        Column::shown("check", "Check"),
        Column::shown("ok", "OK"),
        Column::shown("detail", "Detail"),
    ],
};

/// What a check of a snapshot found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The snapshot.
    pub snapshot_id: String,
    /// The check.
    pub check: &'static str,
    /// Whether everything is as it was written.
    pub ok: bool,
    /// A sentence that says what was checked, or what is wrong and where.
    pub detail: String,
}

impl Row for Check {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![vec![
            self.snapshot_id.as_str().into(),
            self.check.into(),
            self.ok.into(),
            self.detail.as_str().into(),
        ]]
    }
}

/// Problems of one check: how many, and the first few in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    count: u64,
    first: Vec<String>,
}

/// Most problems that are put into words.
const MAX_IN_WORDS: usize = 3;

impl Problems {
    /// Adds a problem. `words` is called only for the first few.
    pub fn add(&mut self, words: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < MAX_IN_WORDS {
            self.first.push(words());
        }
    }

    /// Adds the problems of another part.
    pub fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = MAX_IN_WORDS.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The check: with `detail` if there is no problem, else with the problems.
    #[must_use]
    pub fn into_check(self, snapshot_id: &str, check: &'static str, detail: String) -> Check {
        let ok = self.is_empty();
        let detail = if ok { detail } else { self.into_detail() };
        Check { snapshot_id: snapshot_id.to_owned(), check, ok, detail }
    }

    fn into_detail(self) -> String {
        let others = self.count - self.first.len() as u64;
        let mut detail = self.first.join("; ");
        match others {
            0 => {}
            1 => detail.push_str("; and 1 more"),
            _ => detail.push_str(&format!("; and {others} more")),
        }
        detail.push('.');
        detail
    }
}
