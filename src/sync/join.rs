//! Joins small neighbouring stretches of a list that is read owner by owner. Most owners own a few rows,
//! and are stored a few at a time: left as they are, they would be thousands of parts, which every
//! reader opens, and which every checkpoint names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use futures_util::future::join_all;
use tracing::debug;

use crate::resource::Dataset;
use crate::snapshot::digest::ContentDigest;
use crate::snapshot::part::{FinishedPart, Lines, PartBuilder};
use crate::store::DeleteCondition;

use super::activity::DailyCounts;
use super::checkpoint::Stretch;
use super::endpoint::Endpoint;
use super::run::{Run, Stop, progress_of};
use super::stretch::{Number, read_part, store_part, whole_key};
use super::walk::Way;

/// So many become one.
const JOINED: usize = 8;
/// Stored bytes from which on a stretch is left as it is: what is joined is held in memory.
const LARGE: u64 = 64 * 1024;

/// Joins the last stretches of a window once there are enough of them: the joined one is stored, the
/// checkpoint names it in their place, and then their parts are removed. Nothing is joined when time is up.
///
/// # Errors
/// [`Stop::LeaseLost`], [`Stop::Store`], or [`Stop::PartLost`] when a part is not there as it was written.
pub(super) async fn join_small(
    run: &Run,
    endpoint: &'static Endpoint,
    window: usize,
) -> Result<(), Stop> {
    let name = endpoint.name();
    while run.patience.exhausted().is_none() {
        let next = run.list(name, |list| {
            // Pages of a whole list are large, and one of its stretches may have to be read again.
            let stretches = (list.way == Way::ByOwner).then(|| &list.windows[window].stretches)?;
            let range = to_be_joined(stretches)?;
            Some((range.clone(), stretches[range].to_vec()))
        });
        let Some((range, small)) = next else { break };
        let joined = join(run, endpoint, window, &small).await?;
        let mut is_named = false;
        run.commit(|checkpoint| {
            let stretches = &mut progress_of(checkpoint, name).windows[window].stretches;
            is_named = stretches.get(range.clone()) == Some(&small);
            if is_named {
                stretches.splice(range, [joined.clone()]);
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

/// Which stretches are joined next: the first of the last ones of which none is of a higher rank than the
/// very last, nor large, if they are enough.
fn to_be_joined(stretches: &[Stretch]) -> Option<Range<usize>> {
    let last = stretches.last().filter(|last| size(last) < LARGE)?;
    let stays = |stretch: &Stretch| size(stretch) >= LARGE || rank(stretch) > rank(last);
    let first = stretches.iter().rposition(stays).map_or(0, |before| before + 1);
    (stretches.len() - first >= JOINED).then_some(first..first + JOINED)
}

/// Those of a rank are alike in size, by a factor of [`JOINED`].
fn rank(stretch: &Stretch) -> u32 {
    size(stretch).max(1).ilog(JOINED as u64)
}

fn size(stretch: &Stretch) -> u64 {
    stretch.parts.values().map(|stored| stored.part.bytes).fold(0, u64::saturating_add)
}

/// One stretch in the place of some, with its parts stored. It has the number of the last of them, so
/// that no number is given out twice.
async fn join(
    run: &Run,
    endpoint: &'static Endpoint,
    window: usize,
    stretches: &[Stretch],
) -> Result<Stretch, Stop> {
    let last = &stretches[stretches.len() - 1];
    let number = Number { window, sequence: last.sequence };
    let mut parts = BTreeMap::new();
    // Who has lost the run would find parts gone that its holder has joined.
    run.keeper.assure_held().await?;
    for feed in run.feeds(endpoint) {
        if let Some(finished) = join_parts(run, stretches, feed.dataset).await? {
            run.keeper.assure_held().await?;
            parts.extend([store_part(run, feed.dataset, feed.section, number, finished).await?]);
        }
    }
    let sum = |count: fn(&Stretch) -> u64| stretches.iter().map(count).sum();
    let counted = |counts: fn(&Stretch) -> &BTreeMap<String, u64>| {
        let mut sums = BTreeMap::new();
        for (name, count) in stretches.iter().flat_map(counts) {
            *sums.entry(name.clone()).or_default() += count;
        }
        sums
    };
    Ok(Stretch {
        sequence: last.sequence,
        rows: sum(|stretch| stretch.rows),
        first: stretches[0].first.clone(),
        last: last.last.clone(),
        parts,
        dangling_principals: sum(|stretch| stretch.dangling_principals),
        dangling_resources: sum(|stretch| stretch.dangling_resources),
        unresolved_role_keys: counted(|stretch| &stretch.unresolved_role_keys),
        unreadable_fields: counted(|stretch| &stretch.unreadable_fields),
        // Of users, whose list is read as a whole.
        active: DailyCounts::default(),
    })
}

/// One part with the lines of some, in order: what their digests add up to shows that it has them all.
async fn join_parts(
    run: &Run,
    stretches: &[Stretch],
    dataset: Dataset,
) -> Result<Option<FinishedPart>, Stop> {
    let mut joined = PartBuilder::new(run.output.compression)?;
    let mut digest = ContentDigest::default();
    let mut line = String::new();
    let parts = stretches.iter().filter_map(|stretch| stretch.parts.get(&dataset));
    for stored in parts.clone() {
        let bytes = read_part(run, stored).await?;
        let fetched = (stored.part.fetched_from, stored.part.fetched_to);
        let mut lines = Lines::of(run.output.compression, &bytes, stored.part.records)?;
        while lines.next_into(&mut line)? {
            joined.add_lines(line.as_bytes(), fetched)?;
        }
        digest.add(stored.digest);
    }
    let finished = joined.finish()?;
    if finished.as_ref().map(|part| part.digest).unwrap_or_default() == digest {
        Ok(finished)
    } else {
        let urls = parts.map(|stored| run.store.url_of(&whole_key(run, stored)));
        Err(Stop::PartLost(urls.collect::<Vec<_>>().join(" or ")))
    }
}

/// Removes the parts of what was joined. Those that stay are removed when the snapshot is published.
async fn remove_parts(run: &Run, small: &[Stretch], joined: &Stretch) {
    let parts = small.iter().flat_map(|stretch| stretch.parts.values());
    // One that was the only one is the joined one: the same lines go by the same name.
    let keys: BTreeSet<&str> = joined.parts.values().map(|stored| &*stored.part.key).collect();
    let others = parts.filter(|stored| !keys.contains(&*stored.part.key));
    let removals = others.map(|stored| async {
        let key = whole_key(run, stored);
        if let Err(error) = run.store.delete(&key, DeleteCondition::Any).await {
            debug!(%error, "a part that was joined stays until the snapshot is published");
        }
    });
    join_all(removals).await;
}

#[cfg(test)]
mod tests {
    use crate::clock::Clock;
    use crate::snapshot::digest::Sha256Hex;
    use crate::snapshot::part::Part;
    use crate::sync::checkpoint::StoredPart;
    use crate::sync::page::RowKey;

    use super::*;

    fn of_size(bytes: u64) -> Stretch {
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
        Stretch {
            sequence: 0,
            rows: 1,
            first: row.clone(),
            last: row,
            parts: BTreeMap::from([(Dataset::Sessions, stored)]),
            dangling_principals: 0,
            dangling_resources: 0,
            unresolved_role_keys: BTreeMap::new(),
            unreadable_fields: BTreeMap::new(),
            active: DailyCounts::default(),
        }
    }

    fn joined_of(sizes: &[&[u64]]) -> Option<Range<usize>> {
        let stretches: Vec<Stretch> = sizes.concat().into_iter().map(of_size).collect();
        to_be_joined(&stretches)
    }

    /// Promise 8: what is joined is held in memory, so it is never much, whatever has piled up.
    #[test]
    fn few_and_small_ones_are_joined() {
        assert_eq!(joined_of(&[]), None);
        assert_eq!(joined_of(&[&[300; 7]]), None);
        assert_eq!(joined_of(&[&[300; 8]]), Some(0..8));
        assert_eq!(joined_of(&[&[300; 5000]]), Some(0..8));
        assert_eq!(joined_of(&[&[300, 4000, 300], &[400; 8]]), Some(2..10));
        assert_eq!(joined_of(&[&[5000; 7], &[300; 3]]), None);
        assert_eq!(joined_of(&[&[300; 3], &[5000; 5]]), Some(0..8));
        assert_eq!(joined_of(&[&[200_000; 100], &[40_000]]), None);
        assert_eq!(joined_of(&[&[40_000; 3], &[100_000; 8]]), None);
    }
}
