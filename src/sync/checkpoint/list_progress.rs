//! How far one list has been read: its windows, and what is stored of each.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use clerk_snapshot::digest::{ContentDigest, Sha256Hex};
use clerk_snapshot::manifest::SourceCount;
use clerk_snapshot::part::Part;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use crate::lists::page::RowKey;
use crate::paging::created_range::CreatedRange;
use crate::paging::position::{PagingMode, Position};
use crate::sync::checkpoint::daily_counts::DailyCounts;

/// How far one list has been read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListProgress {
    /// What remains to be done with it.
    pub stage: Stage,
    /// Which way its pages are found.
    #[serde(rename = "way")]
    pub mode: PagingMode,
    /// Whether its walk may still be divided into windows.
    pub divisible: bool,
    /// Clerk's own count.
    pub source_count: SourceCount,
    /// Rows that Clerk listed again because others moved them.
    pub duplicates_dropped: u64,
    /// Rows read again because counts disagreed.
    pub rows_repaired: u64,
    /// Repairs tried so far.
    pub repairs: u32,
    /// How often it was begun again because the walk had lost its place.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// The shortest time a page of it took, in milliseconds: large offsets may be all that a later
    /// invocation sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_latency_ms: Option<u64>,
    /// How many requests were made to find the edges of windows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub edges_asked: u32,
    /// How many owners there were when it began to be read by owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<u64>,
    /// Checksums of the files that hold its rows' ids: a continued run reads them in place of the parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<Sha256Hex>,
    /// The windows it is walked in, in order; most lists have one, without bounds.
    pub windows: Vec<Window>,
}

/// A range of a list that is walked by itself. Every row belongs to exactly one window, by its time
/// of creation, which never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Ascends from window to window with gaps, so that one can be divided again. Part names carry it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u32,
    /// The times of creation that belong to it.
    #[serde(rename = "bounds")]
    pub range: CreatedRange,
    /// Clerk's count of its rows, as last heard of.
    pub expected: Option<u64>,
    /// Where the walk stands.
    #[serde(rename = "place")]
    pub position: Position,
    /// Whether the walk has reached the window's end.
    pub ended: bool,
    /// Its rows in segments as they were stored, in order.
    #[serde(rename = "stretches")]
    pub segments: Vec<Segment>,
    /// The sequence of the first one: those below were given out before the list was begun anew.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub numbered_from: u32,
}

/// What remains to be done with a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The end has not been reached.
    Walking,
    /// The end has been reached; the count is to be compared.
    Comparing,
    /// Rows and counts agree.
    Verified,
    /// They do not, after all rounds of repair.
    Drifted,
    /// Clerk refused the list, with this code.
    Refused {
        /// Clerk's code.
        code: String,
    },
    /// The list could not be read, and the rest of the snapshot is worth having without it.
    Failed {
        /// Which endpoint, and what was wrong with its answer.
        reason: String,
    },
}

/// Neighbouring rows of a list that were stored together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its place among the part names of the window; ascends, and keeps its gaps.
    pub sequence: u32,
    /// How many rows of Clerk's list.
    pub rows: u64,
    /// The first of them.
    pub first: RowKey,
    /// The last of them.
    pub last: RowKey,
    /// The lines they became.
    pub parts: BTreeMap<Dataset, StoredPart>,
    /// Memberships among them left out because their user is gone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dangling_principals: u64,
    /// Memberships among them left out because their organization is gone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dangling_resources: u64,
    /// Role keys among them that no role has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unresolved_role_keys: BTreeMap<String, u64>,
    /// The fields of them that are `null` because their values could not be read, and of how many rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable_fields: BTreeMap<String, u64>,
    /// Whether the users of its memberships are still to be checked, because it was stored before all users were read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub users_unchecked: bool,
    /// How many of its users were last active on which day, where these are counted.
    #[serde(default, skip_serializing_if = "DailyCounts::is_empty")]
    pub active: DailyCounts,
}

/// A part that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPart {
    /// As the manifest will name it.
    #[serde(flatten)]
    pub part: Part,
    /// Of its lines.
    pub digest: ContentDigest,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

impl ListProgress {
    /// A list not yet begun.
    #[must_use]
    pub fn new(mode: PagingMode) -> Self {
        Self {
            stage: Stage::Walking,
            mode,
            divisible: mode == PagingMode::Cursor,
            source_count: SourceCount::default(),
            duplicates_dropped: 0,
            rows_repaired: 0,
            repairs: 0,
            restarts: 0,
            best_latency_ms: None,
            edges_asked: 0,
            owners: None,
            ids: Vec::new(),
            windows: vec![Window::default()],
        }
    }

    /// The list begun anew: nothing of it counts that was read before, but for how often its walk has lost
    /// its place. Its parts are numbered on, so that no name comes back: somebody who has lost the run may
    /// still remove a part that was joined.
    #[must_use]
    pub fn anew(&self, mode: PagingMode) -> Self {
        let mut anew = Self { restarts: self.restarts, ..Self::new(mode) };
        let next = self.windows.iter().map(Window::next_sequence).max().unwrap_or_default();
        anew.windows.iter_mut().for_each(|window| window.numbered_from = next);
        anew
    }

    /// Nothing of it counts that was read before, but for how often that has happened.
    pub fn begin_again(&mut self) {
        let before = self.source_count.before;
        let repairs = self.repairs + 1;
        let rows_repaired = self.rows_repaired + self.rows();
        *self = Self { repairs, rows_repaired, ..self.anew(self.mode) };
        self.source_count.before = before;
    }

    /// A page took so long.
    pub fn note_latency(&mut self, latency: Duration) {
        let milliseconds = latency.as_millis() as u64;
        let best = self.best_latency_ms.get_or_insert(milliseconds);
        *best = milliseconds.min(*best);
    }

    /// All segments, in order.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.windows.iter().flat_map(|window| &window.segments)
    }

    /// Rows of Clerk's list that are stored.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.windows.iter().map(Window::rows).sum()
    }

    /// Where in `windows` the one with this number stands; the last one's place where there is none any
    /// more.
    #[must_use]
    pub fn place_of(&self, number: u32) -> usize {
        let behind = self.windows.partition_point(|window| window.number < number);
        behind.min(self.windows.len().saturating_sub(1))
    }

    /// The window with this number.
    #[must_use]
    pub fn window(&self, number: u32) -> &Window {
        &self.windows[self.place_of(number)]
    }

    /// The window with this number.
    pub fn window_mut(&mut self, number: u32) -> &mut Window {
        let position = self.place_of(number);
        &mut self.windows[position]
    }

    /// How many windows there are to be walked: at its end a list can always be walked on.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.windows.iter().filter(|window| !window.ended).count().max(1)
    }

    /// The ends of these windows are to be looked for again: there may be rows behind them.
    pub fn reopen(&mut self, windows: Range<usize>) {
        self.stage = Stage::Walking;
        let is_whole = self.windows.len() == 1;
        for window in &mut self.windows[windows] {
            window.ended = false;
            if self.mode != PagingMode::ByOwner {
                // Where the walk believed to be may be what was wrong.
                window.position.offset = window.rows();
            }
            window.expected = self.source_count.after.filter(|_| is_whole);
        }
    }

    /// Whether nothing remains to be done with it.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Verified | Stage::Drifted) || self.is_left_out()
    }

    /// Whether Clerk does not list it: its rows are not in the snapshot, and nothing is known of them.
    #[must_use]
    pub const fn is_left_out(&self) -> bool {
        matches!(self.stage, Stage::Refused { .. } | Stage::Failed { .. })
    }
}

impl Window {
    /// Rows of Clerk's list that are stored.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.rows).sum()
    }

    /// The sequence of a segment that is added at the end.
    #[must_use]
    pub fn next_sequence(&self) -> u32 {
        self.segments.last().map_or(self.numbered_from, |segment| segment.sequence + 1)
    }
}
