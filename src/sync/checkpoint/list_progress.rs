//! How far one list has been read: its windows, and the segments that are stored of each.

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
    /// How its pages are requested.
    // Here and below: names that format 3 of the checkpoint had, kept so that its runs can be continued.
    #[serde(rename = "way")]
    pub mode: PagingMode,
    /// Whether it may still be divided into windows.
    pub divisible: bool,
    /// Clerk's own count of it.
    pub source_count: SourceCount,
    /// Rows that Clerk returned again because other rows had moved them.
    pub duplicates_dropped: u64,
    /// Rows that were read more than once, or inserted, because the snapshot and Clerk did not agree: by repairs
    /// ([`restart`](Self::restart) included) and insertions of late rows.
    pub rows_repaired: u64,
    /// Repairs tried so far.
    pub repairs: u32,
    /// How often it was restarted because the pager had lost its position.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// The shortest time that a page of it took, in milliseconds. Stored because a later invocation
    /// may only see slow pages at large offsets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_latency_ms: Option<u64>,
    /// Requests that were sent to find the edges of windows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub edges_asked: u32,
    /// How many owners there were when it began to be read by owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owners: Option<u64>,
    /// Checksums of the files with the ids of its rows; a continued run reads them instead of the
    /// parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<Sha256Hex>,
    /// Its windows, in order. Most lists have a single one, without bounds.
    pub windows: Vec<Window>,
}

/// A range of a list with a cursor of its own. Every row belongs to exactly one window, by its
/// creation time, which never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Ascends from window to window with gaps, so that a window can be divided again. Part names
    /// contain it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u32,
    /// The range of creation times.
    #[serde(rename = "bounds")]
    pub range: CreatedRange,
    /// Clerk's count of its rows, as last stated.
    pub expected: Option<u64>,
    /// The position of the pager.
    #[serde(rename = "place")]
    pub position: Position,
    /// Whether the end of the window has been reached.
    pub ended: bool,
    /// Its rows in segments, in order, as they were stored.
    #[serde(rename = "stretches")]
    pub segments: Vec<Segment>,
    /// The sequence number of the first segment. Lower numbers were used before the list was
    /// restarted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub numbered_from: u32,
}

/// What remains to be done with a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The end has not been reached.
    Walking,
    /// The end has been reached; the rows are to be compared with Clerk's count.
    Comparing,
    /// Rows and counts agree.
    Verified,
    /// They do not, and no further repair is possible.
    Drifted,
    /// Clerk refused the list.
    Refused {
        /// Clerk's code.
        code: String,
    },
    /// The list could not be read, or not in time. It is not essential, so the rest of the snapshot is
    /// published without it.
    Failed {
        /// Why, as a sentence for the manifest.
        reason: String,
    },
}

/// Neighbouring rows of a list that were stored together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its sequence number in the window, which part names contain. Ascends, with gaps.
    pub sequence: u32,
    /// The number of its rows in Clerk's list.
    pub rows: u64,
    /// The first row.
    pub first: RowKey,
    /// The last row.
    pub last: RowKey,
    /// The parts with its lines, by dataset.
    pub parts: BTreeMap<Dataset, StoredPart>,
    /// Rows left out because the user or machine that holds them no longer exists, or Clerk names none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dangling_principals: u64,
    /// Rows and grants left out because what they are held on no longer exists: an organization, a permission or a
    /// machine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dangling_resources: u64,
    /// Role keys of its rows that no role has, and on how many rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unresolved_role_keys: BTreeMap<String, u64>,
    /// Fields that are `null` because their values could not be read, and on how many rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable_fields: BTreeMap<String, u64>,
    /// Whether the users of its memberships are still to be checked, because it was stored before
    /// all users were read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub users_unchecked: bool,
    /// How many of its users were last active on which day, if this is counted.
    #[serde(default, skip_serializing_if = "DailyCounts::is_empty")]
    pub active: DailyCounts,
}

/// A part that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPart {
    /// The part as the manifest will name it.
    #[serde(flatten)]
    pub part: Part,
    /// Digest of its lines.
    pub digest: ContentDigest,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

impl ListProgress {
    /// A list that has not begun.
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

    /// The list from its beginning. Everything that was read before is discarded, its counts included, but not the
    /// number of restarts. New parts continue the numbering, so that no name is used twice: an
    /// invocation that has lost the lease may still remove a part that it joined.
    #[must_use]
    pub fn restarted(&self, mode: PagingMode) -> Self {
        let mut list = Self { restarts: self.restarts, ..Self::new(mode) };
        let next = self.windows.iter().map(Window::next_sequence).max().unwrap_or_default();
        list.windows.iter_mut().for_each(|window| window.numbered_from = next);
        list
    }

    /// Restarts the list as a repair. The repair and the discarded rows are counted.
    pub fn restart(&mut self) {
        let before = self.source_count.before;
        let repairs = self.repairs + 1;
        let rows_repaired = self.rows_repaired + self.rows();
        *self = Self { repairs, rows_repaired, ..self.restarted(self.mode) };
        self.source_count.before = before;
    }

    /// A page took this long.
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

    /// The index in `windows` of the window with this number; of the last window if there is none
    /// with it any more.
    #[must_use]
    pub fn index_of(&self, number: u32) -> usize {
        let index = self.windows.partition_point(|window| window.number < number);
        index.min(self.windows.len().saturating_sub(1))
    }

    /// The window with this number, or the last one if there is none with it any more
    /// (`join_windows`).
    #[must_use]
    pub fn window(&self, number: u32) -> &Window {
        &self.windows[self.index_of(number)]
    }

    /// Like [`window`](Self::window), to be changed.
    pub fn window_mut(&mut self, number: u32) -> &mut Window {
        let position = self.index_of(number);
        &mut self.windows[position]
    }

    /// How many windows are to be walked; at least one, because a list can always be walked further
    /// at its end.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.windows.iter().filter(|window| !window.ended).count().max(1)
    }

    /// Lets these windows be walked further: rows may be missing after their last row.
    pub fn reopen(&mut self, windows: Range<usize>) {
        self.stage = Stage::Walking;
        let is_only_one = self.windows.len() == 1;
        for window in &mut self.windows[windows] {
            window.ended = false;
            if self.mode != PagingMode::ByOwner {
                // The stored offset may be the reason why rows are missing.
                window.position.offset = window.rows();
            }
            window.expected = self.source_count.after.filter(|_| is_only_one);
        }
    }

    /// Whether nothing remains to be done.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Verified | Stage::Drifted) || self.is_left_out()
    }

    /// Whether the list is left out: the snapshot has none of its rows.
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

    /// The sequence number of the next segment.
    #[must_use]
    pub fn next_sequence(&self) -> u32 {
        self.segments.last().map_or(self.numbered_from, |segment| segment.sequence + 1)
    }
}
