//! Finds what a page's rows refer to and the snapshot does not have.
//!
//! - If a resource type is opted in, the snapshot has every principal and resource of its type that
//!   a grant refers to.
//! - Rows that appeared during the run are fetched. If something no longer exists, it is counted
//!   and the grants that refer to it are left out.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLockWriteGuard};

use clerk_snapshot::resource::Resource;

use crate::lists::endpoint::{Endpoint, ListName};
use crate::lists::id_index::IdIndex;
use crate::lists::list_error::ListError;
use crate::lists::page::ReadPage;
use crate::lists::table::endpoint;
use crate::lists::table::referred_to_by;
use crate::sync::checkpoint::list_progress::ListProgress;
use crate::sync::error::Stop;
use crate::sync::run::RunContext;
use crate::sync::write::row_ids;
use crate::sync::write::segment::Dangling;

/// Most ids of one request (Clerk OpenAPI 2026-05-12, parameters `user_id` and `organization_id`).
pub(crate) const IDS_PER_REQUEST: usize = 100;

/// Whether a list's rows refer to a list that is still being read.
pub(crate) fn refers_to_pending_list(run: &RunContext, list: ListName) -> bool {
    let id_index = run.id_index();
    referred_to_by(list).any(|resource| id_index.is_pending(resource))
}

/// Loads the ids of the rows that `list` refers to, before `list` is read. Lists that are still
/// being read are marked as pending.
///
/// # Errors
/// As [`row_ids::load`].
pub(crate) async fn load_referenced_ids(run: &RunContext, list: ListName) -> Result<(), Stop> {
    for resource in referred_to_by(list) {
        let is_opted_in = run.leased.with_checkpoint(|checkpoint| {
            [resource, endpoint(list).resource]
                .iter()
                .all(|resource| checkpoint.resources.contains(resource))
        });
        if !is_opted_in || run.list(resource, ListProgress::is_left_out) {
            continue;
        }
        if run.list(resource, ListProgress::is_done) {
            load_ids(run, resource).await?;
        } else {
            change_ids(run).mark_pending(resource);
        }
    }
    Ok(())
}

/// Loads the ids of a list that has just been read, if a list that refers to it is being read.
///
/// # Errors
/// As [`row_ids::load`].
pub(crate) async fn load_ids_if_pending(run: &RunContext, list: ListName) -> Result<(), Stop> {
    let resource = endpoint(list).resource;
    let is_pending = ListName::from(resource) == list && run.id_index().is_pending(resource);
    if is_pending { load_ids(run, resource).await } else { Ok(()) }
}

/// Loads the ids of the rows of a list that the snapshot has.
///
/// # Errors
/// As [`row_ids::load`].
pub(crate) async fn load_ids(run: &RunContext, resource: Resource) -> Result<(), Stop> {
    let ids = row_ids::load(run, endpoint(resource)).await?;
    change_ids(run).seal(resource, ids);
    Ok(())
}

fn change_ids(run: &RunContext) -> RwLockWriteGuard<'_, IdIndex> {
    run.id_index.write().unwrap_or_else(PoisonError::into_inner)
}

/// Marks the rows of a page that refer to something that no longer exists, and counts them. What
/// was missing must have been fetched before.
pub(crate) fn mark_dangling(run: &RunContext, page: &mut ReadPage) -> Dangling {
    let mut dangling = Dangling::default();
    let id_index = run.id_index();
    let is_gone = |resource, id: &String| !id_index.has(resource, id);
    for row in &mut page.rows {
        let Some(references) = row.unresolved_references.as_ref().filter(|_| row.kept) else {
            continue;
        };
        let no_user = references.user.iter().any(|id| is_gone(Resource::Users, id));
        let no_organization =
            references.organization.iter().any(|id| is_gone(Resource::Organizations, id));
        let no_machine = references.machine.iter().any(|id| is_gone(Resource::Machines, id));
        row.dangling = no_user || no_organization || no_machine;
        let gone = |resource, ids: &[String]| -> Vec<usize> {
            let ids = ids.iter().enumerate().filter(|(_, id)| is_gone(resource, id));
            ids.map(|(index, _)| index).collect()
        };
        // A row has permissions or machines, never both.
        row.left_out = gone(Resource::OrganizationPermissions, &references.permissions);
        row.left_out.extend(gone(Resource::Machines, &references.machines));
        let resources = usize::from(no_organization) + row.left_out.len();
        dangling.principals += u64::from(no_user || no_machine);
        dangling.resources += resources as u64;
    }
    dangling
}

/// The ids of one resource type that a page's rows refer to and the snapshot does not have.
pub(crate) fn missing(run: &RunContext, page: &ReadPage, resource: Resource) -> BTreeSet<String> {
    let id_index = run.id_index();
    page.kept_rows()
        .filter_map(|row| row.unresolved_references.as_ref())
        .flat_map(|references| references.of(resource))
        .filter(|id| !id_index.has(resource, id))
        .cloned()
        .collect()
}

/// Whether the snapshot has the row with this id, or may have it ([`IdIndex::has`]).
pub(crate) fn is_known(run: &RunContext, resource: Resource, id: &str) -> bool {
    run.id_index().has(resource, id)
}

/// The query parameter that selects rows of a list by id, if it has one. Permissions and machines
/// have none, and need none: they cannot be created with an earlier creation time.
const fn id_filter(resource: Resource) -> Option<&'static str> {
    match resource {
        Resource::Users => Some("user_id"),
        Resource::Organizations => Some("organization_id"),
        _ => None,
    }
}

/// Requests rows of a list by id, at most [`IDS_PER_REQUEST`] of them. `None` if the list has no
/// such filter.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn page_by_id(
    run: &RunContext,
    endpoint: &'static Endpoint,
    ids: &[String],
) -> Result<Option<ReadPage>, Stop> {
    let Some(filter) = id_filter(endpoint.resource) else { return Ok(None) };
    let limit = IDS_PER_REQUEST.to_string();
    let mut query = endpoint.query.to_vec();
    query.push(("limit", limit.as_str()));
    query.extend(ids.iter().map(|id| (filter, id.as_str())));
    let reader = run.reader(endpoint);
    let asked_at = run.clock.now();
    let mut page = run
        .client
        .get(endpoint.path, &query, |body| Ok(endpoint.read(&body, &reader.context)?))
        .await
        .map_err(ListError::of(endpoint))?;
    page.fetched = Some((asked_at, run.clock.now()));
    // A server that ignores the filter returns other rows.
    for row in &mut page.rows {
        row.kept &= ids.contains(&row.key.id);
    }
    Ok(Some(page))
}
