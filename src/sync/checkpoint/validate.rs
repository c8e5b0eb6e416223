//! Checks that this program can have written a checkpoint.
//!
//! Anyone who can write to the store can change the file, and this program reads, writes and
//! removes what it names.

use clerk_snapshot::layout::is_snapshot_id;
use clerk_snapshot::part_name::{MAX_SEGMENTS, MAX_WINDOWS, is_part_of};
use clerk_snapshot::resource::Dataset;
use clerk_store::quoted::Quoted;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::lists::table::lists_needed;
use crate::sync::checkpoint::document::Checkpoint;
use crate::sync::checkpoint::document::{Document, FORMATS};
use crate::sync::checkpoint::json_error::Malformed;
use crate::sync::checkpoint::list_progress::StoredPart;
use crate::sync::checkpoint::list_progress::{ListProgress, Segment, Window};

/// A checkpoint that this program cannot continue from.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableCheckpoint {
    /// It is not JSON, or not of the shape of a checkpoint.
    #[error("it is not a checkpoint of this program")]
    NotACheckpoint(#[source] Malformed),
    /// It has the shape of a checkpoint, but a value that this program cannot have written.
    #[error("it is not a checkpoint that this program wrote: {0}")]
    Implausible(&'static str),
    /// Its format is unknown to this version.
    #[error("its format is {}, which this version does not know", Quoted(.0))]
    UnknownFormat(String),
}

impl Checkpoint {
    /// Parses and checks the file.
    ///
    /// # Errors
    /// [`UnreadableCheckpoint`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, UnreadableCheckpoint> {
        #[derive(Deserialize)]
        struct Tagged {
            format: String,
        }
        match serde_json::from_slice(bytes) {
            Ok(Document::V4(checkpoint)) => {
                serde_json::from_slice::<Countable>(bytes)
                    .map_err(|_| UnreadableCheckpoint::Implausible("a number is too large"))?;
                match problem_of(&checkpoint) {
                    None => Ok(checkpoint),
                    Some(problem) => Err(UnreadableCheckpoint::Implausible(problem)),
                }
            }
            Err(error) => match serde_json::from_slice::<Tagged>(bytes) {
                Ok(tagged) if !FORMATS.contains(&&*tagged.format) => {
                    Err(UnreadableCheckpoint::UnknownFormat(tagged.format))
                }
                _ => Err(UnreadableCheckpoint::NotACheckpoint(error.into())),
            },
        }
    }
}

/// What is wrong with a checkpoint of the right shape; `None` if nothing is.
pub(crate) fn problem_of(checkpoint: &Checkpoint) -> Option<&'static str> {
    let Checkpoint { snapshot_id, abandoned, lists, completed, .. } = checkpoint;
    let is_done = |list| lists.get(&list).is_some_and(ListProgress::is_done);
    let succession = completed.as_ref().and_then(|completed| completed.succession.as_ref());
    let previous = succession.and_then(|it| it.previous.as_ref()).map(|it| &it.snapshot_id);
    let mut ids = [snapshot_id].into_iter().chain(abandoned).chain(previous);
    if !ids.all(|id| is_snapshot_id(id)) {
        Some("it contains an invalid snapshot id")
    } else if previous == Some(snapshot_id) {
        Some("its snapshot takes its own place")
    } else if abandoned.contains(snapshot_id) {
        Some("it abandons its own snapshot")
    } else if lists.values().any(|list| list.windows.is_empty()) {
        Some("a list has no windows")
    } else if !lists.values().all(windows_are_in_order) {
        Some("the windows of a list are not in the order of their numbers")
    } else if lists.values().flat_map(|list| &list.windows).any(numbers_too_high) {
        Some("a window numbers its parts beyond the largest part number")
    } else if !lists.values().flat_map(ListProgress::segments).all(could_be_stored) {
        Some("it contains an invalid part name")
    } else if checkpoint.completed.is_some()
        && !lists_needed(&checkpoint.resources).into_iter().all(is_done)
    {
        Some("it is marked complete, but lists are unfinished")
    } else if checkpoint.completed.is_some()
        && lists.values().flat_map(ListProgress::segments).any(|it| it.users_unchecked)
    {
        Some("it is marked complete, but some memberships are unchecked")
    } else {
        None
    }
}

/// Whether the numbers of the windows ascend and fit into part names.
fn windows_are_in_order(list: &ListProgress) -> bool {
    list.windows.is_sorted_by(|one, next| one.number < next.number)
        && list.windows.iter().all(|window| window.number < MAX_WINDOWS)
}

const fn numbers_too_high(window: &Window) -> bool {
    window.numbered_from >= MAX_SEGMENTS
}

fn could_be_stored(segment: &Segment) -> bool {
    let is_named_well =
        |(&dataset, stored): (&Dataset, &StoredPart)| is_part_of(dataset, &stored.part.key);
    let counts_its_rows = segment.active.total().is_some_and(|total| total <= segment.rows);
    segment.rows > 0
        && segment.sequence < MAX_SEGMENTS
        && counts_its_rows
        && segment.parts.iter().all(is_named_well)
}

/// A JSON document whose numbers are all small enough to count on from without overflow.
#[derive(Debug)]
pub(crate) struct Countable;

/// The largest number that is accepted: 2⁵³, up to which every JSON parser is exact. As
/// milliseconds it is later than any year that can be written.
const LARGEST: u64 = 1 << 53;

impl<'de> Deserialize<'de> for Countable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counting)
    }
}

struct Counting;

fn countable_if<E: Error>(is_small: bool) -> Result<Countable, E> {
    if is_small { Ok(Countable) } else { Err(E::custom("a number is too large")) }
}

impl<'de> Visitor<'de> for Counting {
    type Value = Countable;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Countable, E> {
        countable_if(number <= LARGEST)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Countable, E> {
        countable_if(number.unsigned_abs() <= LARGEST)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Countable, E> {
        countable_if(number.abs() <= LARGEST as f64)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Countable, E> {
        Ok(Countable)
    }

    fn visit_unit<E: Error>(self) -> Result<Countable, E> {
        Ok(Countable)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Countable, E> {
        Ok(Countable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Countable, A::Error> {
        while items.next_element::<Countable>()?.is_some() {}
        Ok(Countable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Countable, A::Error> {
        while fields.next_entry::<IgnoredAny, Countable>()?.is_some() {}
        Ok(Countable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paging::position::PagingMode;

    /// Part names contain the number of the window, and sort by it.
    #[test]
    fn windows_are_numbered_in_ascending_order_and_below_the_limit_of_part_names() {
        let in_order = |numbers: &[u32]| {
            let windows = numbers.iter().map(|&number| Window { number, ..Window::default() });
            windows_are_in_order(&ListProgress {
                windows: windows.collect(),
                ..ListProgress::new(PagingMode::Cursor)
            })
        };
        for numbers in [vec![0], vec![3], vec![0, 1, 5], vec![7, MAX_WINDOWS - 1]] {
            assert!(in_order(&numbers), "{numbers:?}");
        }
        for numbers in [vec![5, 0], vec![0, 5, 3], vec![3, 3], vec![MAX_WINDOWS]] {
            assert!(!in_order(&numbers), "{numbers:?}");
        }
    }

    /// Every row of a segment may be a user who was active on a counted day, and no more than that.
    #[test]
    fn a_segment_has_a_number_for_its_parts_and_no_more_active_users_than_rows() {
        let believed = |sequence: u32, rows: u64, active: &[(i64, u64)]| {
            let segment = serde_json::json!({
                "sequence": sequence, "rows": rows, "active": active,
                "first": ["user_1", 0], "last": ["user_2", 1], "parts": {},
            });
            could_be_stored(&serde_json::from_value(segment).unwrap())
        };
        assert!(believed(0, 1, &[]));
        assert!(believed(MAX_SEGMENTS - 1, 10, &[(20_000, 4), (20_001, 6)]));
        assert!(!believed(MAX_SEGMENTS, 10, &[]));
        assert!(!believed(0, 0, &[]));
        assert!(!believed(0, 10, &[(20_000, 11)]));
        assert!(!believed(0, 10, &[(20_000, 4), (20_001, 7)]));
        assert!(!believed(0, 10, &[(20_000, u64::MAX), (20_001, 2)]));
    }

    #[test]
    fn numbers_are_small_enough_to_count_on() {
        let countable = |json: &str| serde_json::from_str::<Countable>(json).is_ok();
        for json in [
            "{}",
            r#"{"a":[0,-1,1.5,"99999999999999999999",null,true]}"#,
            "9007199254740992",
            "-9007199254740992",
            "9007199254740992.0",
            "-9007199254740992.0",
        ] {
            assert!(countable(json), "{json}");
        }
        for json in [
            "9007199254740993",
            "[{\"a\":[-9007199254740993]}]",
            "9007199254740994.0",
            "-9007199254740994.0",
            "1e300",
            "99999999999999999999",
        ] {
            assert!(!countable(json), "{json}");
        }
    }
}
