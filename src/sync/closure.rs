//! Every grant's principal and resource is in the snapshot when its type is opted in: what appeared
//! during the run is fetched, and what is gone is counted and its grants left out.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::sync::PoisonError;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tracing::info;

use crate::resource::Resource;
use crate::snapshot::part;

use super::checkpoint::{Stage, StoredPart, Stretch};
use super::copy::walk_to_end;
use super::endpoint::{Endpoint, endpoint};
use super::insert::insert;
use super::known::hash_of;
use super::page::ReadPage;
use super::run::{Run, Stop};
use super::stretch::{StretchBuilder, read_part};

/// Most ids of one request (Clerk OpenAPI, parameters `user_id` and `organization_id`).
const IDS_PER_REQUEST: usize = 100;

/// What a grant may refer to.
const REFERRED: [Resource; 2] = [Resource::Users, Resource::Organizations];

/// Whether rows of other lists, opted in too, refer to those of this one.
pub(super) fn is_referred_to(run: &Run, resource: Resource) -> bool {
    let memberships = Resource::OrganizationMemberships;
    REFERRED.contains(&resource)
        && run.keeper.read(|checkpoint| checkpoint.resources.contains(&memberships))
}

/// Makes known which users and organizations the snapshot holds: from memory where this invocation
/// wrote them, from the stored parts otherwise.
///
/// # Errors
/// [`Stop::Store`] when a part cannot be read.
pub(super) async fn learn(run: &Run) -> Result<(), Stop> {
    for resource in REFERRED {
        let opted_in = run.keeper.read(|checkpoint| checkpoint.resources.contains(&resource));
        let refused = run.list(resource, |list| matches!(list.stage, Stage::Refused { .. }));
        if !opted_in || refused {
            continue;
        }
        let parts: Vec<StoredPart> = run.list(resource, |list| {
            list.stretches.iter().filter_map(|stretch| own_part(resource, stretch)).collect()
        });
        let mut ids = Vec::new();
        for part in parts {
            let remembered = run
                .ids_by_part
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&part.part.key);
            match remembered {
                Some(remembered) => ids.extend(remembered),
                None => ids.extend(read_ids(run, &part).await?),
            }
        }
        let mut known = run.known.write().unwrap_or_else(PoisonError::into_inner);
        match resource {
            Resource::Users => known.expect_users(ids),
            _ => known.expect_organizations(ids),
        }
    }
    Ok(())
}

/// The part of a list's own dataset.
fn own_part(resource: Resource, stretch: &Stretch) -> Option<StoredPart> {
    let own = endpoint(resource).feeds.first()?;
    stretch.parts.get(&own.dataset).cloned()
}

async fn read_ids(run: &Run, stored: &StoredPart) -> Result<Vec<u64>, Stop> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
    }
    let bytes = read_part(run, stored).await?;
    let mut ids = Vec::with_capacity(stored.part.records as usize);
    for line in BufReader::new(part::reader(run.output.compression, &bytes)?).lines() {
        let line: Line = serde_json::from_str(&line?)
            .map_err(|error| Stop::Internal(format!("a stored record has no id: {error}")))?;
        ids.push(hash_of(&line.id));
    }
    Ok(ids)
}

/// Rows have joined the snapshot: grants may refer to them from now on.
pub(super) fn note_stored(run: &Run, endpoint: &Endpoint, stretch: &Stretch) {
    let Some(part) = own_part(endpoint.resource, stretch) else { return };
    let ids = run.ids_by_part.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(ids) = ids.get(&part.part.key) else { return };
    let mut known = run.known.write().unwrap_or_else(PoisonError::into_inner);
    match endpoint.resource {
        Resource::Users => known.add_users(ids),
        Resource::Organizations => known.add_organizations(ids),
        _ => {}
    }
}

/// Fetches what a page's rows refer to and the snapshot does not hold yet; rows whose user or
/// organization is gone are marked as dangling and counted.
///
/// # Errors
/// [`Stop`].
pub(super) async fn close(
    run: &Run,
    page: &mut ReadPage,
    stretch: &mut StretchBuilder<'_>,
) -> Result<(), Stop> {
    for resource in REFERRED {
        let missing = missing(run, page, resource);
        if !missing.is_empty() {
            fetch_missing(run, resource, missing).await?;
        }
    }
    let known = run.known.read().unwrap_or_else(PoisonError::into_inner);
    for row in &mut page.rows {
        let Some(unknown) = row.unknown.as_ref().filter(|_| row.kept) else { continue };
        let no_user = unknown.user.as_deref().is_some_and(|id| !known.has_user(id));
        let no_organization =
            unknown.organization.as_deref().is_some_and(|id| !known.has_organization(id));
        row.dangling = no_user || no_organization;
        stretch.note_dangling(u64::from(no_user), u64::from(no_organization));
    }
    Ok(())
}

fn missing(run: &Run, page: &ReadPage, resource: Resource) -> BTreeSet<String> {
    page.kept_rows()
        .filter_map(|row| row.unknown.as_ref())
        .filter_map(|unknown| match resource {
            Resource::Users => unknown.user.as_ref(),
            _ => unknown.organization.as_ref(),
        })
        .filter(|id| !is_known(run, resource, id))
        .cloned()
        .collect()
}

fn is_known(run: &Run, resource: Resource, id: &str) -> bool {
    let known = run.known.read().unwrap_or_else(PoisonError::into_inner);
    match resource {
        Resource::Users => known.has_user(id),
        _ => known.has_organization(id),
    }
}

/// What was created during the run stands at the end of its list; what was created with an earlier
/// date is asked for by id and inserted at its place.
fn fetch_missing(
    run: &Run,
    resource: Resource,
    ids: BTreeSet<String>,
) -> BoxFuture<'_, Result<(), Stop>> {
    async move {
        let endpoint = endpoint(resource);
        info!(
            clerk.path = endpoint.path,
            missing = ids.len(),
            "memberships refer to rows that appeared during the run; fetching them"
        );
        run.commit_list(resource, |list| list.stage = Stage::Walking).await?;
        walk_to_end(run, endpoint).await?;
        let still: Vec<String> =
            ids.into_iter().filter(|id| !is_known(run, resource, id)).collect();
        for ids in still.chunks(IDS_PER_REQUEST) {
            let page = page_by_id(run, endpoint, ids).await?;
            insert(run, endpoint, &page).await?;
        }
        Ok(())
    }
    .boxed()
}

async fn page_by_id(
    run: &Run,
    endpoint: &'static Endpoint,
    ids: &[String],
) -> Result<ReadPage, Stop> {
    let name = match endpoint.resource {
        Resource::Users => "user_id",
        _ => "organization_id",
    };
    let limit = IDS_PER_REQUEST.to_string();
    let mut query = endpoint.query.to_vec();
    query.push(("limit", limit.as_str()));
    query.extend(ids.iter().map(|id| (name, id.as_str())));
    let reader = run.reader(endpoint);
    let asked_at = run.clock.now();
    let mut page = run
        .client
        .get(endpoint.path, &query, |body| Ok((endpoint.read)(&body, &reader.context)?))
        .await?;
    page.fetched = Some((asked_at, run.clock.now()));
    // A server that ignores the filter would answer any rows.
    for row in &mut page.rows {
        row.kept = ids.contains(&row.key.id);
    }
    Ok(page)
}
