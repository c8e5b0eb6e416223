//! Joins small neighbouring segments of a list that is read by owner.
//!
//! Most owners own a few rows, which are stored a few owners at a time. Left as they are, these
//! would be thousands of parts, which every reader opens and every checkpoint names. However many
//! owners there are, the number of segments is bounded by their bytes:
//!
//! - Eight small segments of about the same size at the end of a window are joined, so that fewer
//!   than eight of each size remain there.
//! - Small segments before a large one are joined, however few they are, so that there is at most
//!   one small segment between two large ones.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use clerk_snapshot::digest::ContentDigest;
use clerk_snapshot::part::{FinishedPart, PartBuilder};
use clerk_snapshot::resource::Dataset;
use clerk_store::DeleteCondition;
use futures_util::future::join_all;
use tracing::debug;

use crate::lists::endpoint::Endpoint;
use crate::paging::position::PagingMode;
use crate::sync::checkpoint::daily_counts::DailyCounts;
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::list_progress::Segment;
use crate::sync::error::SyncError;
use crate::sync::run::RunContext;
use crate::sync::write::segment::{FULL_PART, SegmentId, each_line, store_part, whole_key};

/// How many small segments are joined into one.
const JOINED: usize = 8;
/// Stored bytes from which on a segment is large, and is not joined. Eight slightly smaller ones
/// make a full part, which is as much as is held in memory of any list.
const LARGE: u64 = FULL_PART as u64 / JOINED as u64;

/// Joins segments of a window as long as there are some to join. The joined segment is stored, then
/// the checkpoint names it in their place, then their parts are removed. Nothing is joined when
/// time is up.
///
/// # Errors
/// [`SyncError::LeaseLost`], [`SyncError::Store`], or [`SyncError::PartLost`] if a part is missing or altered.
pub(crate) async fn compact(
    run: &RunContext,
    endpoint: &'static Endpoint,
    window: u32,
) -> Result<(), SyncError> {
    let name = endpoint.name();
    while run.work_limit.stop_reason().is_none() {
        let next = run.list(name, |list| {
            // Segments of a list that is read as a whole are large, and may have to be read again
            // one by one.
            let segments =
                (list.mode == PagingMode::ByOwner).then(|| &list.window(window).segments)?;
            let range = to_be_joined(segments)?;
            Some((range.clone(), segments[range].to_vec()))
        });
        let Some((range, small)) = next else { break };
        let joined = store_joined(run, endpoint, window, &small).await?;
        let mut is_named = false;
        run.commit(|checkpoint| {
            let segments = &mut progress_of(checkpoint, name).window_mut(window).segments;
            is_named = segments.get(range.clone()) == Some(&small);
            if is_named {
                segments.splice(range, [joined.clone()]);
            }
        })
        .await?;
        if !is_named {
            break;
        }
        remove_parts(run, &small, &joined).await;
    }
    Ok(())
}

/// The segments to join next, if any.
fn to_be_joined(segments: &[Segment]) -> Option<Range<usize>> {
    before_a_large_one(segments).or_else(|| at_the_end(segments))
}

/// Small segments before a large one: nothing more will be stored between them. As many as make at
/// most a full part.
fn before_a_large_one(segments: &[Segment]) -> Option<Range<usize>> {
    let mut first = 0;
    for end in (0..segments.len()).filter(|&index| is_large(&segments[index])) {
        let mut total = 0;
        let fits = segments[first..end].iter().take_while(|segment| {
            total += size(segment);
            total <= FULL_PART as u64
        });
        let fits = fits.count();
        if fits > 1 {
            return Some(first..first + fits);
        }
        first = end + 1;
    }
    None
}

/// The first eight of the small segments at the end that are of no higher rank than the last one,
/// if there are as many.
fn at_the_end(segments: &[Segment]) -> Option<Range<usize>> {
    let last = segments.last().filter(|last| !is_large(last))?;
    let stays = |segment: &Segment| is_large(segment) || rank(segment) > rank(last);
    let first = segments.iter().rposition(stays).map_or(0, |before| before + 1);
    (segments.len() - first >= JOINED).then_some(first..first + JOINED)
}

fn is_large(segment: &Segment) -> bool {
    size(segment) >= LARGE
}

/// Segments of the same rank differ in size by less than a factor of [`JOINED`].
fn rank(segment: &Segment) -> u32 {
    size(segment).max(1).ilog(JOINED as u64)
}

/// Stored bytes of all its parts.
fn size(segment: &Segment) -> u64 {
    segment.parts.values().map(|stored| stored.part.bytes).fold(0, u64::saturating_add)
}

/// Stores the parts of one segment in place of several. It gets the number of the last of them, so
/// that no number is used twice.
async fn store_joined(
    run: &RunContext,
    endpoint: &'static Endpoint,
    window: u32,
    segments: &[Segment],
) -> Result<Segment, SyncError> {
    let last = &segments[segments.len() - 1];
    let id = SegmentId { window, sequence: last.sequence };
    let mut parts = BTreeMap::new();
    // If the lease is lost, the new holder may have joined these segments and removed their parts:
    // report the lost lease, not lost parts.
    run.leased.assure_held().await?;
    for destination in run.destinations(endpoint) {
        if let Some(finished) = join_parts(run, segments, destination.dataset).await? {
            parts.extend([store_part(run, destination, id, finished).await?]);
        }
    }
    let sum = |count: fn(&Segment) -> u64| segments.iter().map(count).sum();
    let counted = |counts: fn(&Segment) -> &BTreeMap<String, u64>| {
        let mut sums = BTreeMap::new();
        for (name, count) in segments.iter().flat_map(counts) {
            *sums.entry(name.clone()).or_default() += count;
        }
        sums
    };
    Ok(Segment {
        sequence: last.sequence,
        rows: sum(|segment| segment.rows),
        first: segments[0].first.clone(),
        last: last.last.clone(),
        parts,
        dangling_principals: sum(|segment| segment.dangling_principals),
        dangling_resources: sum(|segment| segment.dangling_resources),
        unresolved_role_keys: counted(|segment| &segment.unresolved_role_keys),
        unreadable_fields: counted(|segment| &segment.unreadable_fields),
        users_unchecked: segments.iter().any(|segment| segment.users_unchecked),
        // Only users have these, and their list is never read by owner.
        active: DailyCounts::default(),
    })
}

/// One part with the lines of several, in order. Its digest must equal the sum of theirs, which
/// proves that it has all lines.
async fn join_parts(
    run: &RunContext,
    segments: &[Segment],
    dataset: Dataset,
) -> Result<Option<FinishedPart>, SyncError> {
    let mut joined = PartBuilder::new(run.output.compression)?;
    let mut digest = ContentDigest::default();
    let parts = segments.iter().filter_map(|segment| segment.parts.get(&dataset));
    for stored in parts.clone() {
        let fetched = (stored.part.fetched_from, stored.part.fetched_to);
        each_line(run, stored, |line| Ok(joined.add_lines(line.as_bytes(), fetched)?)).await?;
        digest.add(stored.digest);
    }
    let finished = joined.finish()?;
    if finished.as_ref().map(|part| part.digest).unwrap_or_default() == digest {
        Ok(finished)
    } else {
        let urls = parts.map(|stored| run.store.url_of(&whole_key(run, stored)));
        Err(SyncError::PartLost(urls.collect::<Vec<_>>().join(" or ")))
    }
}

/// Removes the parts of segments that were joined. If that fails, they are removed when the
/// snapshot is published.
pub(crate) async fn remove_parts(run: &RunContext, small: &[Segment], joined: &Segment) {
    let parts = small.iter().flat_map(|segment| segment.parts.values());
    // If only one segment has a part of a dataset, the joined part has the same content and key.
    let keys: BTreeSet<&str> = joined.parts.values().map(|stored| &*stored.part.key).collect();
    let others = parts.filter(|stored| !keys.contains(&*stored.part.key));
    let removals = others.map(|stored| async {
        let key = whole_key(run, stored);
        if let Err(error) = run.store.delete(&key, DeleteCondition::Any).await {
            debug!(%error, "a part that was joined could not be removed yet; publishing removes it");
        }
    });
    join_all(removals).await;
}

#[cfg(test)]
mod tests {
    use clerk_snapshot::digest::Sha256Hex;
    use clerk_snapshot::part::Part;

    use crate::clock::Clock;
    use crate::lists::page::RowKey;
    use crate::sync::checkpoint::list_progress::StoredPart;

    use super::*;

    fn of_size(bytes: u64) -> Segment {
        let now = Clock::system().now();
        let row = RowKey { id: "sess_1".to_owned(), created_at: None };
        let part = Part {
            key: String::new(),
            records: 1,
            bytes,
            sha256: Sha256Hex::of(b""),
            fetched_from: now,
            fetched_to: now,
        };
        let stored = StoredPart { part, digest: ContentDigest::default() };
        Segment {
            sequence: 0,
            rows: 1,
            first: row.clone(),
            last: row,
            parts: BTreeMap::from([(Dataset::Sessions, stored)]),
            dangling_principals: 0,
            dangling_resources: 0,
            unresolved_role_keys: BTreeMap::new(),
            unreadable_fields: BTreeMap::new(),
            users_unchecked: false,
            active: DailyCounts::default(),
        }
    }

    fn next_join(sizes: &[&[u64]]) -> Option<Range<usize>> {
        let segments: Vec<Segment> = sizes.concat().into_iter().map(of_size).collect();
        to_be_joined(&segments)
    }

    /// Promise 8: segments are joined in memory, so never many bytes at a time.
    #[test]
    fn eight_small_segments_of_a_size_are_joined() {
        assert_eq!(next_join(&[]), None);
        assert_eq!(next_join(&[&[300; 7]]), None);
        assert_eq!(next_join(&[&[300; 8]]), Some(0..8));
        assert_eq!(next_join(&[&[300; 5000]]), Some(0..8));
        assert_eq!(next_join(&[&[300, 4000, 300], &[400; 8]]), Some(2..10));
        assert_eq!(next_join(&[&[5000; 7], &[300; 3]]), None);
        assert_eq!(next_join(&[&[300; 3], &[5000; 5]]), Some(0..8));
        assert_eq!(next_join(&[&[200_000; 8]]), Some(0..8));
        assert_eq!(next_join(&[&[LARGE; 100], &[40_000]]), None);
    }

    #[test]
    fn small_segments_between_large_ones_become_one() {
        assert_eq!(next_join(&[&[300, LARGE, 300]]), None);
        assert_eq!(next_join(&[&[300, 300, LARGE]]), Some(0..2));
        assert_eq!(next_join(&[&[LARGE, 300, 90_000, 5000, LARGE, 300]]), Some(1..4));
        // At most a full part.
        assert_eq!(next_join(&[&[LARGE - 1; 20], &[LARGE]]), Some(0..8));
    }

    /// Adds segments of these sizes one by one and joins them. Returns what is left, and the bytes
    /// written by joining.
    fn joined(sizes: impl Iterator<Item = u64>) -> (Vec<Segment>, u64) {
        let mut segments = Vec::new();
        let mut written = 0;
        for bytes in sizes {
            segments.push(of_size(bytes));
            while let Some(range) = to_be_joined(&segments) {
                let bytes: u64 = segments[range.clone()].iter().map(size).sum();
                assert!(range.len() > 1 && bytes <= FULL_PART as u64, "{range:?}: {bytes}");
                written += bytes;
                segments.splice(range, [of_size(bytes)]);
            }
        }
        (segments, written)
    }

    /// The most segments that remain for this number of bytes: two for each large one, and fewer
    /// than eight of each rank.
    fn bound(bytes: u64) -> usize {
        let ranks = LARGE.ilog(JOINED as u64) as usize + 1;
        2 * (bytes / LARGE) as usize + 1 + (JOINED - 1) * ranks
    }

    #[test]
    fn the_number_of_segments_is_bounded_by_their_bytes() {
        fastrand::seed(1);
        let tiny = || fastrand::u64(60..400);
        let any = || 1 << fastrand::u32(0..20);
        let mostly_tiny =
            || if fastrand::u32(..100) == 0 { fastrand::u64(..FULL_PART as u64) } else { tiny() };
        let by_turns = |number: usize| if number % 8 == 7 { LARGE } else { 300 };
        let kinds: [(&str, &dyn Fn(usize) -> u64); 4] = [
            ("tiny", &|_| tiny()),
            ("any", &|_| any()),
            ("mostly tiny", &|_| mostly_tiny()),
            ("by turns", &by_turns),
        ];
        for (what, size_of) in kinds {
            let sizes: Vec<u64> = (0..20_000).map(size_of).collect();
            let bytes = sizes.iter().sum();
            let (segments, written) = joined(sizes.into_iter());
            assert!(segments.len() <= bound(bytes), "{what}: {} left", segments.len());
            assert_eq!(segments.iter().map(size).sum::<u64>(), bytes, "{what}");
            // Joining writes a byte once for each rank that its segment rises by.
            assert!(written <= 9 * bytes, "{what}: {written} of {bytes}");
        }
    }

    /// Promise 8, for checkpoints: 200,000 owners of a few rows each, stored three owners at a
    /// time.
    #[test]
    fn a_checkpoint_does_not_grow_with_the_owners() {
        fastrand::seed(2);
        let sizes = (0..200_000 / 3).map(|_| fastrand::u64(180..900));
        let (segments, _) = joined(sizes);
        let bytes = segments.iter().map(size).sum::<u64>();
        assert!(bytes > 30_000_000);
        assert!(segments.len() <= bound(bytes), "{} segments", segments.len());
        let json = serde_json::to_vec(&segments).unwrap();
        assert!(json.len() < 200 * 1024, "{} bytes for {} segments", json.len(), segments.len());
    }
}
