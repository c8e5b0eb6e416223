//! Every grant's principal and resource is in the snapshot when its type is opted in: what appeared
//! during the run is fetched, and what is gone is counted and its grants left out.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::info;

use crate::resource::Resource;

use super::checkpoint::{ListProgress, Stretch};
use super::copy::walk_to_end;
use super::endpoint::{Endpoint, ListName, endpoint};
use super::ids;
use super::insert::insert;
use super::known::Known;
use super::list_error::ListError;
use super::page::ReadPage;
use super::run::{Run, Stop};

/// Most ids of one request (Clerk OpenAPI, parameters `user_id` and `organization_id`).
const IDS_PER_REQUEST: usize = 100;

/// Which lists the grants of a list refer to.
const REFERENCES: &[(ListName, &[Resource])] = &[
    (ListName::of(Resource::OrganizationRoles, 0), &[Resource::OrganizationPermissions]),
    (
        ListName::of(Resource::OrganizationMemberships, 0),
        &[Resource::Users, Resource::Organizations],
    ),
    (ListName::of(Resource::Machines, 1), &[Resource::Machines]),
];

/// The lists opted in whose grants refer to this one.
fn referring(run: &Run, list: impl Into<ListName>) -> impl Iterator<Item = ListName> {
    let list = list.into();
    let opted_in = run.keeper.read(|checkpoint| checkpoint.resources.clone());
    let to_it = move |(from, to): &&(ListName, &[Resource])| {
        opted_in.contains(&endpoint(*from).resource)
            && to.iter().any(|&to| ListName::from(to) == list)
    };
    REFERENCES.iter().filter(to_it).map(|&(from, _)| from)
}

/// Whether grants will refer to the rows of a list.
pub(super) fn is_referred_to(run: &Run, list: ListName) -> bool {
    referring(run, list).next().is_some()
}

/// Whether grants that refer to the rows of a list have been written and checked. Then no row may leave the list again.
pub(super) fn others_refer_to(run: &Run, list: ListName) -> bool {
    let are_users = list == ListName::from(Resource::Users);
    let refers = |stretch: &Stretch| !(are_users && stretch.users_unchecked);
    referring(run, list).any(|from| run.list(from, |list| list.stretches().any(refers)))
}

/// Whether a list's rows refer to a list that is still being read.
pub(super) fn is_early(run: &Run, list: ListName) -> bool {
    let known = known(run);
    let mut referred = REFERENCES.iter().filter(|(from, _)| *from == list).flat_map(|(_, to)| *to);
    referred.any(|&resource| known.is_pending(resource))
}

/// Makes known which rows the snapshot holds of the lists that a list refers to. Lists that are still being read are
/// noted as such.
///
/// # Errors
/// As [`ids::load`].
pub(super) async fn learn(run: &Run, list: ListName) -> Result<(), Stop> {
    let referred = REFERENCES.iter().filter(|(from, _)| *from == list).flat_map(|(_, to)| *to);
    for &resource in referred {
        let is_opted_in = run.keeper.read(|checkpoint| {
            [resource, endpoint(list).resource]
                .iter()
                .all(|resource| checkpoint.resources.contains(resource))
        });
        if !is_opted_in || run.list(resource, ListProgress::is_left_out) {
            continue;
        }
        if run.list(resource, ListProgress::is_done) {
            load(run, resource).await?;
        } else {
            change_known(run).await_rows(resource);
        }
    }
    Ok(())
}

/// Makes known which rows the snapshot holds of a list that has been read, if a list that refers to it is being read.
///
/// # Errors
/// As [`ids::load`].
pub(super) async fn tell(run: &Run, list: ListName) -> Result<(), Stop> {
    let resource = endpoint(list).resource;
    let is_awaited = ListName::from(resource) == list && known(run).is_pending(resource);
    if is_awaited { load(run, resource).await } else { Ok(()) }
}

/// Makes known which rows of a list the snapshot holds.
pub(super) async fn load(run: &Run, resource: Resource) -> Result<(), Stop> {
    let ids = ids::load(run, endpoint(resource)).await?;
    change_known(run).expect(resource, ids);
    Ok(())
}

fn change_known(run: &Run) -> RwLockWriteGuard<'_, Known> {
    run.known.write().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of the lists that grants refer to.
pub(super) fn known(run: &Run) -> RwLockReadGuard<'_, Known> {
    run.known.read().unwrap_or_else(PoisonError::into_inner)
}

/// Memberships and other grants of a page that are left out because what they refer to is gone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dangling {
    /// For want of a user or a machine.
    pub principals: u64,
    /// For want of an organization or what a grant is of.
    pub resources: u64,
}

/// Fetches what a page's rows refer to and the snapshot does not hold yet; rows whose user or
/// organization is gone are marked as dangling and counted.
///
/// # Errors
/// [`Stop`].
pub(super) async fn close(run: &Run, page: &mut ReadPage) -> Result<Dangling, Stop> {
    let mut dangling = Dangling::default();
    for resource in REFERENCES.iter().flat_map(|(_, to)| to.iter().copied()) {
        let missing = missing(run, page, resource);
        if !missing.is_empty() {
            fetch_missing(run, resource, missing).await?;
        }
    }
    let known = known(run);
    let is_gone = |resource, id: &String| !known.has(resource, id);
    for row in &mut page.rows {
        let Some(unknown) = row.unknown.as_ref().filter(|_| row.kept) else { continue };
        let no_user = unknown.user.iter().any(|id| is_gone(Resource::Users, id));
        let no_organization =
            unknown.organization.iter().any(|id| is_gone(Resource::Organizations, id));
        let no_machine = unknown.machine.iter().any(|id| is_gone(Resource::Machines, id));
        row.dangling = no_user || no_organization || no_machine;
        let gone = |resource, ids: &[String]| -> Vec<usize> {
            let ids = ids.iter().enumerate().filter(|(_, id)| is_gone(resource, id));
            ids.map(|(index, _)| index).collect()
        };
        // A row has grants of one kind or the other.
        row.left_out = gone(Resource::OrganizationPermissions, &unknown.permissions);
        row.left_out.extend(gone(Resource::Machines, &unknown.machines));
        let resources = usize::from(no_organization) + row.left_out.len();
        dangling.principals += u64::from(no_user || no_machine);
        dangling.resources += resources as u64;
    }
    Ok(dangling)
}

fn missing(run: &Run, page: &ReadPage, resource: Resource) -> BTreeSet<String> {
    let known = known(run);
    page.kept_rows()
        .filter_map(|row| row.unknown.as_ref())
        .flat_map(|unknown| unknown.of(resource))
        .filter(|id| !known.has(resource, id))
        .cloned()
        .collect()
}

pub(super) fn is_known(run: &Run, resource: Resource, id: &str) -> bool {
    known(run).has(resource, id)
}

/// What was created during the run stands at the end of its list; what was created with an earlier
/// date is asked for by id and inserted at its place.
pub(super) fn fetch_missing(
    run: &Run,
    resource: Resource,
    ids: BTreeSet<String>,
) -> BoxFuture<'_, Result<(), Stop>> {
    async move {
        let endpoint = endpoint(resource);
        info!(
            clerk.path = endpoint.path,
            missing = ids.len(),
            "grants refer to rows that appeared during the run; fetching them"
        );
        walk_to_end(run, endpoint).await?;
        let still: Vec<String> =
            ids.into_iter().filter(|id| !is_known(run, resource, id)).collect();
        let Some(filter) = id_filter(resource) else { return Ok(()) };
        for ids in still.chunks(IDS_PER_REQUEST) {
            let page = page_by_id(run, endpoint, filter, ids).await?;
            insert(run, endpoint, &page).await?;
        }
        Ok(())
    }
    .boxed()
}

/// The parameter by which rows of a list are asked for by id, where it has one. Permissions and
/// machines have none, and need none: nobody can create one with an earlier date.
const fn id_filter(resource: Resource) -> Option<&'static str> {
    match resource {
        Resource::Users => Some("user_id"),
        Resource::Organizations => Some("organization_id"),
        _ => None,
    }
}

async fn page_by_id(
    run: &Run,
    endpoint: &'static Endpoint,
    filter: &'static str,
    ids: &[String],
) -> Result<ReadPage, Stop> {
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
    // A server that ignores the filter would answer any rows.
    for row in &mut page.rows {
        row.kept &= ids.contains(&row.key.id);
    }
    Ok(page)
}
