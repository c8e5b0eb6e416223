//! Checks the users of memberships that were stored before all users were read.
//!
//! The sync reads memberships while the last windows of users are still walked, so that it uses the
//! whole rate. Until the users are complete it cannot know whether the snapshot will have the user
//! of a membership, and writes the grants as if it did. This module checks them afterwards:
//!
//! - An invocation remembers the users of the segments it stores, as hashes of 8 bytes. If the
//!   snapshot has all of them, the segment is checked. A segment whose users it does not remember
//!   is read back.
//! - A user that the snapshot does not have was created or deleted during the run. The sync
//!   reads the list of users further, and requests by id those that are still missing. If the user no
//!   longer exists, it stores the part again without the user's grants, and counts the membership as
//!   dangling, as [`resolve`](crate::sync::references::resolve) does for memberships that are read
//!   later.

use std::collections::{BTreeMap, BTreeSet};

use clerk_snapshot::part::{FinishedPart, PartBuilder};
use clerk_snapshot::resource::{Dataset, Resource};
use futures_util::future::join_all;
use serde::Deserialize;
use tracing::info;

use crate::lists::endpoint::Endpoint;
use crate::lists::table::endpoint;
use crate::sync::checkpoint::json_error::Malformed;
use crate::sync::checkpoint::list_progress::{ListProgress, Segment, StoredPart, Window};
use crate::sync::error::{Stop, SyncError};
use crate::sync::read::left_out::{AskedAgain, leave_out};
use crate::sync::read::list_walk::fetch_missing;
use crate::sync::references::resolve;
use crate::sync::run::RunContext;
use crate::sync::write::segment::{SegmentId, each_line, store_part};

/// Segments that are read back concurrently. A part is 4 MiB at most.
const READ_AT_ONCE: usize = 4;

/// A segment whose users have not been checked.
struct Unchecked {
    /// The number of its window.
    window: u32,
    segment: Segment,
}

/// Checks the users of all memberships that were stored unchecked. The list of users must be done. If Clerk does not
/// serve it any more, it is left out, and nothing is checked.
///
/// # Errors
/// [`Stop`]; segments that were checked before are not checked again.
pub(crate) async fn check_users(run: &RunContext) -> Result<(), Stop> {
    let mut asked_again = AskedAgain::default();
    loop {
        match check_unchecked(run).await {
            Err(Stop::Fail(SyncError::List(failure))) => {
                leave_out(run, Resource::Users.into(), failure, &mut asked_again).await?;
            }
            checked => return checked,
        }
    }
}

/// Checks the users of the memberships that are still unchecked.
async fn check_unchecked(run: &RunContext) -> Result<(), Stop> {
    let memberships = endpoint(Resource::OrganizationMemberships);
    let unchecked = run.list(memberships.name(), unchecked_of);
    if unchecked.is_empty() {
        return Ok(());
    }
    if run.list(Resource::Users, ListProgress::is_left_out) {
        commit_checked(run, memberships, &unchecked).await?;
        return Ok(());
    }
    if !run.id_index().is_sealed(Resource::Users) {
        resolve::load_ids(run, Resource::Users).await?;
    }
    // This needs no requests, so the time budget does not matter.
    let (checked, unchecked): (Vec<_>, Vec<_>) =
        unchecked.into_iter().partition(|it| remembers_all_users(run, &it.segment));
    commit_checked(run, memberships, &checked).await?;
    for some in unchecked.chunks(READ_AT_ONCE) {
        run.check_time_left()?;
        let reading = some.iter().map(|it| missing_users(run, &it.segment));
        for (it, missing) in some.iter().zip(join_all(reading).await) {
            let missing = missing?;
            if !missing.is_empty() {
                fetch_missing(run, Resource::Users, missing).await?;
                leave_out_gone(run, memberships, it).await?;
            }
        }
        commit_checked(run, memberships, some).await?;
    }
    Ok(())
}

fn unchecked_of(list: &ListProgress) -> Vec<Unchecked> {
    let of_window = |window: &Window| {
        let number = window.number;
        let segments = window.segments.iter().filter(|segment| segment.users_unchecked);
        let unchecked = |segment: &Segment| Unchecked { window: number, segment: segment.clone() };
        segments.map(unchecked).collect::<Vec<_>>()
    };
    list.windows.iter().flat_map(of_window).collect()
}

/// Whether this invocation remembers the users of a segment, and the snapshot has all of them.
fn remembers_all_users(run: &RunContext, segment: &Segment) -> bool {
    let id_index = run.id_index();
    run.unchecked_users
        .take(segment)
        .is_some_and(|users| users.iter().all(|&user| id_index.has_hash(Resource::Users, user)))
}

/// The ids of the users that a segment refers to and the snapshot does not have.
async fn missing_users(run: &RunContext, segment: &Segment) -> Result<BTreeSet<String>, Stop> {
    let mut missing = BTreeSet::new();
    for stored in segment.parts.values() {
        let note_missing = |grant: Grant, _: &[u8]| {
            if !resolve::is_known(run, Resource::Users, &grant.principal.id) {
                missing.insert(grant.principal.id);
            }
            Ok(())
        };
        each_grant(run, stored, note_missing).await?;
    }
    Ok(missing)
}

/// Stores the parts of a segment again without the grants of users that the snapshot does not have.
async fn leave_out_gone(
    run: &RunContext,
    memberships: &'static Endpoint,
    Unchecked { window, segment }: &Unchecked,
) -> Result<(), SyncError> {
    let id = SegmentId { window: *window, sequence: segment.sequence };
    let mut left_out = LeftOut::default();
    let mut parts = BTreeMap::new();
    for destination in run.destinations(memberships) {
        let Some(stored) = segment.parts.get(&destination.dataset) else { continue };
        if let Some(finished) = without_gone(run, stored, &mut left_out).await? {
            parts.extend([store_part(run, destination, id, finished).await?]);
        }
    }
    let gone = left_out.lines_of_memberships.len();
    if gone == 0 {
        return Ok(());
    }
    info!(
        memberships = gone,
        "the users of these memberships were deleted during the run; their grants are left out"
    );
    run.commit_list(memberships.name(), |list| {
        if let Some(stored) = segment_of(list, *window, segment.sequence) {
            left_out.apply_to(stored, parts);
        }
    })
    .await
}

fn segment_of(list: &mut ListProgress, window: u32, sequence: u32) -> Option<&mut Segment> {
    let segments = &mut list.window_mut(window).segments;
    segments.iter_mut().find(|segment| segment.sequence == sequence)
}

/// The ids of memberships whose grants are left out, each with the number of its lines.
#[derive(Default)]
struct LeftOut {
    lines_of_memberships: BTreeMap<String, u64>,
}

impl LeftOut {
    fn apply_to(&self, segment: &mut Segment, parts: BTreeMap<Dataset, StoredPart>) {
        segment.parts = parts;
        segment.dangling_principals += self.lines_of_memberships.len() as u64;
        // A membership with an unresolved role key has a single line, without that key. The count can
        // be corrected only if the segment has a single such key.
        let unresolved = self.lines_of_memberships.values().filter(|&&lines| lines == 1).count();
        if let (1, Some(mut only)) =
            (segment.unresolved_role_keys.len(), segment.unresolved_role_keys.first_entry())
        {
            *only.get_mut() = only.get().saturating_sub(unresolved as u64);
            if *only.get() == 0 {
                only.remove();
            }
        }
    }
}

/// A part without the grants whose user the snapshot does not have; `None` if no grant is left.
async fn without_gone(
    run: &RunContext,
    stored: &StoredPart,
    left_out: &mut LeftOut,
) -> Result<Option<FinishedPart>, SyncError> {
    let fetched = (stored.part.fetched_from, stored.part.fetched_to);
    let mut part = PartBuilder::new(run.output.compression)?;
    each_grant(run, stored, |grant, line| {
        if resolve::is_known(run, Resource::Users, &grant.principal.id) {
            part.add_lines(line, fetched)?;
        } else {
            *left_out.lines_of_memberships.entry(grant.source.id).or_default() += 1;
        }
        Ok(())
    })
    .await?;
    Ok(part.finish()?)
}

/// The fields of a stored grant that identify its user and its membership.
#[derive(Deserialize)]
struct Grant {
    principal: Object,
    source: Object,
}

#[derive(Deserialize)]
struct Object {
    id: String,
}

/// Reads a part back and passes its grants to `take` in order, each with its line.
async fn each_grant(
    run: &RunContext,
    stored: &StoredPart,
    mut take: impl FnMut(Grant, &[u8]) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    each_line(run, stored, |line| {
        let grant = serde_json::from_str(line).map_err(|error| {
            SyncError::Internal(format!(
                "a stored grant cannot be read: {}",
                Malformed::from(error)
            ))
        })?;
        take(grant, line.as_bytes())
    })
    .await
}

/// Stores that the users of these segments are checked.
async fn commit_checked(
    run: &RunContext,
    memberships: &'static Endpoint,
    checked: &[Unchecked],
) -> Result<(), SyncError> {
    if checked.is_empty() {
        return Ok(());
    }
    run.commit_list(memberships.name(), |list| {
        for Unchecked { window, segment } in checked {
            if let Some(segment) = segment_of(list, *window, segment.sequence) {
                segment.users_unchecked = false;
            }
        }
    })
    .await?;
    run.work_limit.note_progress();
    Ok(())
}
