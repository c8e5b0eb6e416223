//! Every grant's principal and resource is in the snapshot when its type is opted in: what appeared
//! during the run is fetched, and what is gone is counted and its grants left out.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::PoisonError;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tracing::info;

use crate::resource::Resource;
use crate::snapshot::part::Lines;

use super::checkpoint::{ListProgress, StoredPart, Stretch};
use super::copy::walk_to_end;
use super::endpoint::{Endpoint, ListName, endpoint};
use super::insert::insert;
use super::known::hash_of;
use super::list_error::ListError;
use super::page::ReadPage;
use super::run::{Run, Stop};
use super::stretch::{StretchBuilder, read_part};

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

/// Whether grants that are written already refer to the rows of a list: then no row may leave it
/// again.
pub(super) fn others_refer_to(run: &Run, list: ListName) -> bool {
    referring(run, list).any(|from| run.list(from, |list| list.stretches().next().is_some()))
}

/// Makes known what the snapshot holds of all that these lists refer to: from memory where this
/// invocation wrote it, from the stored parts otherwise.
///
/// # Errors
/// [`Stop::Store`] when a part cannot be read.
pub(super) async fn learn(run: &Run, lists: &[ListName]) -> Result<(), Stop> {
    let referred: BTreeSet<Resource> = REFERENCES
        .iter()
        .filter(|(from, _)| lists.contains(from))
        .flat_map(|(_, to)| to.iter().copied())
        .filter(|&to| referring(run, to).any(|from| lists.contains(&from)))
        .collect();
    for resource in referred {
        let opted_in = run.keeper.read(|checkpoint| checkpoint.resources.contains(&resource));
        if !opted_in || run.list(resource, ListProgress::is_left_out) {
            continue;
        }
        let parts: Vec<StoredPart> = run.list(resource, |list| {
            list.stretches().filter_map(|stretch| own_part(endpoint(resource), stretch)).collect()
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
        known.expect(resource, ids);
    }
    Ok(())
}

/// The part of a list's own dataset.
fn own_part(endpoint: &Endpoint, stretch: &Stretch) -> Option<StoredPart> {
    let own = endpoint.feeds.first()?;
    stretch.parts.get(&own.dataset).cloned()
}

/// The ids of a stretch's rows, by [`hash_of`]; `None` where they are not written.
///
/// # Errors
/// [`Stop::Store`] when a part cannot be read.
pub(super) async fn row_ids(
    run: &Run,
    endpoint: &Endpoint,
    stretch: &Stretch,
) -> Result<Option<Vec<u64>>, Stop> {
    match own_part(endpoint, stretch) {
        Some(part) => read_ids(run, &part).await.map(Some),
        None => Ok(None),
    }
}

async fn read_ids(run: &Run, stored: &StoredPart) -> Result<Vec<u64>, Stop> {
    let bytes = read_part(run, stored).await?;
    let mut lines = Lines::of(run.output.compression, &bytes, stored.part.records)?;
    let mut ids = Vec::new();
    let mut line = String::new();
    while lines.next_into(&mut line)? {
        ids.push(hash_of(&id_of(&line)?));
    }
    Ok(ids)
}

/// The id of the row that a record was made of. A resource's stands near the beginning: there it is
/// found without reading the rest, which a continued run would pay for with every user. A grant has its
/// source's, or its principal's where that says so itself.
fn id_of(line: &str) -> Result<Cow<'_, str>, Stop> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        source: Option<Object>,
        principal: Option<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        id: String,
    }
    let at_its_place = || {
        let (kind, rest) = line.strip_prefix(r#"{"kind":"resource","type":""#)?.split_once('"')?;
        let (id, _) = rest.strip_prefix(r#","id":""#)?.split_once('"')?;
        // An escape would have to be resolved.
        (!kind.contains('\\') && !id.contains('\\')).then_some(id)
    };
    match at_its_place() {
        Some(id) => Ok(Cow::Borrowed(id)),
        None => serde_json::from_str::<Line>(line)
            .map(|line| Cow::Owned(line.source.or(line.principal).map_or(line.id, |row| row.id)))
            .map_err(|error| Stop::Internal(format!("a stored record has no id: {error}"))),
    }
}

/// Rows have joined the snapshot: grants may refer to them from now on.
pub(super) fn note_stored(run: &Run, endpoint: &Endpoint, stretch: &Stretch) {
    let Some(part) = own_part(endpoint, stretch) else { return };
    let ids = run.ids_by_part.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(ids) = ids.get(&part.part.key) else { return };
    let mut known = run.known.write().unwrap_or_else(PoisonError::into_inner);
    known.add(endpoint.resource, ids);
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
    for resource in REFERENCES.iter().flat_map(|(_, to)| to.iter().copied()) {
        let missing = missing(run, page, resource);
        if !missing.is_empty() {
            fetch_missing(run, resource, missing).await?;
        }
    }
    let known = run.known.read().unwrap_or_else(PoisonError::into_inner);
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
        stretch.note_dangling(u64::from(no_user || no_machine), resources as u64);
    }
    Ok(())
}

fn missing(run: &Run, page: &ReadPage, resource: Resource) -> BTreeSet<String> {
    let known = run.known.read().unwrap_or_else(PoisonError::into_inner);
    page.kept_rows()
        .filter_map(|row| row.unknown.as_ref())
        .flat_map(|unknown| unknown.of(resource))
        .filter(|id| !known.has(resource, id))
        .cloned()
        .collect()
}

fn is_known(run: &Run, resource: Resource, id: &str) -> bool {
    run.known.read().unwrap_or_else(PoisonError::into_inner).has(resource, id)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// However a record is written, its own id is found, and none that stands elsewhere in it.
    #[test]
    fn the_id_of_a_record_is_its_own() {
        for (line, id) in [
            (
                r#"{"kind":"resource","type":"user","id":"user_1","display_name":"\"id\":\"x"}"#,
                "user_1",
            ),
            (r#"{"kind":"resource","type":"user","id":"a\"b\u0041","display_name":"x"}"#, "a\"bA"),
            (r#"{"kind":"resource","type":"us\"er","id":"user_2"}"#, "user_2"),
            (r#"{"id":"user_3","kind":"resource","type":"user"}"#, "user_3"),
            (
                r#"{"kind":"grant","id":"g","source":{"type":"organization_membership","id":"m"}}"#,
                "m",
            ),
            (
                r#"{"kind":"grant","id":"g","principal":{"type":"machine","id":"m"},"source":null}"#,
                "m",
            ),
            (r#"{"kind":"grant","id":"g","source":null}"#, "g"),
        ] {
            assert_eq!(id_of(line).unwrap(), id, "{line}");
        }
        for line in ["", "{}", r#"{"kind":"resource","type":"user","id":"cut"#] {
            assert!(id_of(line).is_err(), "{line}");
        }
    }
}
