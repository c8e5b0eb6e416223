//! `lookup`: reads one resource, and its grants on request, as the records of a snapshot. Writes
//! nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use clerk_snapshot::buffers::Buffers;
use clerk_snapshot::resource::{Dataset, Resource};
use serde_json::value::RawValue;

use crate::clerk::client::Client;
use crate::clerk::error::{ClerkError, Unreadable};
use crate::clerk::wire;
use crate::clock::Clock;
use crate::config::Config;
use crate::dependencies::Dependencies;
use crate::error::{Error, Failure};
use crate::error::{clerk_error, internal};
use crate::event::{InvalidEvent, LookupOptions};
use crate::invocation::Invocation;
use crate::lists::endpoint::{Endpoint, Paging};
use crate::lists::list_error::ListError;
use crate::lists::page::{PageContext, ReadPage};
use crate::lists::row_request::{Answered, RowRequest, filled};
use crate::lists::table::endpoint;
use crate::paging::created_range::CreatedRange;
use crate::paging::pager::{Pager, PagerStart, PagerStop};
use crate::paging::position::{PagingMode, Position};
use crate::paging::reader::Reader;
use crate::redaction::Redaction;
use crate::response::LookupAnswer;
use crate::translate::{RoleCatalogue, Translation};
use crate::work_limit::WorkLimit;

/// Most rows to request by a filter that leaves at most one.
const MAX_ROWS_FOUND: u64 = 100;
/// Most bytes of lines in one answer: AWS Lambda returns at most 6 MB (AWS documentation, "Lambda
/// quotas").
const MAX_BYTES_ANSWERED: usize = 5_000_000;
/// How deep a row is searched for the values that it is looked up by. Clerk's rows nest four levels
/// deep.
const DEEPEST: usize = 6;

/// Handles one `lookup` event.
///
/// # Errors
/// [`Error`]. A refusal of Clerk's is an error, and never an empty answer.
pub async fn lookup(
    dependencies: &Dependencies,
    config: &Config,
    options: &LookupOptions,
    invocation: &Invocation,
) -> Result<LookupAnswer, Error> {
    let work_limit = Arc::clone(&invocation.work_limit);
    let (client, redaction) = dependencies.client(config, work_limit).await?;
    let search = Search {
        client: Arc::new(client),
        clock: dependencies.clock.clone(),
        work_limit: Arc::clone(&invocation.work_limit),
        endpoint: endpoint(options.resource),
        options,
        config,
        redaction,
    };
    let (mut found, mut grants) = search.find_all().await?;
    if search.client.key_changes().await > 0 {
        // The old key may have belonged to another instance.
        (found, grants) = search.find_all().await?;
    }
    let grants = options.grants.then_some(grants.lines);
    Ok(LookupAnswer {
        resource: options.resource,
        message: message(options, found.lines.len(), grants.as_ref().map(Vec::len)),
        records: found.lines,
        grants,
    })
}

fn message(options: &LookupOptions, records: usize, grants: Option<usize>) -> String {
    let resource = options.resource;
    if records == 0 {
        let fields: Vec<&str> = options.values.iter().map(|(field, _)| *field).collect();
        return format!("Found no record of {resource} with this {}.", fields.join(" and "));
    }
    let plural = |count| if count == 1 { "" } else { "s" };
    let with = grants.map(|count| format!(", with {count} grant{}", plural(count)));
    format!("Found {records} record{} of {resource}{}.", plural(records), with.unwrap_or_default())
}

/// How the reading of a list ended.
enum Walked {
    ToTheEnd,
    /// Clerk answered 404: the owner of the list does not exist.
    Absent,
    Refused(ClerkError),
}

/// One lookup and what it works with.
struct Search<'a> {
    client: Arc<Client>,
    clock: Clock,
    work_limit: Arc<WorkLimit>,
    endpoint: &'static Endpoint,
    options: &'a LookupOptions,
    config: &'a Config,
    redaction: Option<Redaction>,
}

impl Search<'_> {
    /// The lines of the resource and of its grants; none if it does not exist.
    async fn find_all(&self) -> Result<(Lines, Lines), Error> {
        let (mut found, mut grants) = (Lines::default(), Lines::default());
        let is_there = self.find(&mut found, &mut grants).await?;
        Ok(if is_there { (found, grants) } else { (Lines::default(), Lines::default()) })
    }

    /// Adds the lines of the resource and of its grants. Returns whether it exists.
    async fn find(&self, found: &mut Lines, grants: &mut Lines) -> Result<bool, Error> {
        let Some(own) = self.endpoint.destinations.first() else { return Ok(false) };
        let memberships = self.endpoint.memberships.filter(|_| self.options.grants);
        let names_roles = memberships.is_some()
            || own.needs == Some(Resource::OrganizationRoles)
            || self.endpoint.resource == Resource::OrganizationInvitations;
        let roles = if names_roles { self.roles().await? } else { RoleCatalogue::default() };

        let destinations = self.endpoint.destinations.iter().map(|destination| destination.dataset);
        let wanted = |&dataset: &Dataset| {
            dataset == own.dataset || (dataset == Dataset::Grants && self.options.grants)
        };
        let context = self.context(destinations.filter(wanted).collect(), roles);
        let Some(page) = self.row(&context).await? else { return Ok(false) };
        for (position, &dataset) in context.datasets.iter().enumerate() {
            let lines = if dataset == own.dataset { &mut *found } else { &mut *grants };
            lines.add(&page.kept_lines(position, dataset))?;
        }
        let Some(memberships) = memberships else { return Ok(true) };

        let context = Arc::new(self.context(vec![Dataset::Grants], context.translation.roles));
        for row in page.kept_rows() {
            let path = memberships(&row.key.id);
            // Clerk documents no order for the memberships of a user (Clerk OpenAPI 2026-05-12, GET
            // /users/{user_id}/organization_memberships).
            let ordered = self.endpoint.resource != Resource::Users;
            let listed =
                self.walk(Resource::OrganizationMemberships, path, ordered, &context, |page| {
                    grants.add(&page.kept_lines(0, Dataset::Grants))
                });
            match listed.await? {
                Walked::ToTheEnd => {}
                // It may have been deleted since the previous request.
                Walked::Absent => return Ok(false),
                Walked::Refused(error) => return Err(refusal(error)),
            }
        }
        Ok(true)
    }

    fn context(&self, datasets: Vec<Dataset>, roles: RoleCatalogue) -> PageContext {
        let translation = Translation {
            metadata: self.config.metadata,
            include_raw: self.config.include_raw,
            redaction: self.redaction.clone(),
            roles,
        };
        PageContext { translation, datasets, id_index: Arc::default(), buffers: Buffers::default() }
    }

    /// All roles, to resolve the keys in memberships.
    async fn roles(&self) -> Result<RoleCatalogue, Error> {
        let list = Resource::OrganizationRoles;
        let path = endpoint(list).path.to_owned();
        let context = Arc::new(self.context(Vec::new(), RoleCatalogue::default()));
        let mut roles = RoleCatalogue::default();
        let listed = self.walk(list, path.clone(), true, &context, |page| {
            page.kept_rows()
                .filter_map(|row| row.role.as_deref().cloned())
                .for_each(|role| roles.push(role));
            Ok(())
        });
        match listed.await? {
            Walked::ToTheEnd => Ok(roles),
            // The role id of an invitation is then null, as in a snapshot.
            Walked::Refused(_) if self.endpoint.resource == Resource::OrganizationInvitations => {
                Ok(RoleCatalogue::default())
            }
            Walked::Refused(error) => Err(refusal(error)),
            Walked::Absent => {
                let what = format!("Clerk answered 404 at {path}, so no role key can be resolved");
                Err(Error::ClerkProtocol(Failure::new(what)))
            }
        }
    }

    /// The page with the resource; `None` if Clerk says that it does not exist.
    async fn row(&self, context: &PageContext) -> Result<Option<ReadPage>, Error> {
        for row_request in &self.options.row_requests {
            if let Some(page) = self.named(row_request, context).await? {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// The page that one of the ways to request the resource returns.
    async fn named(
        &self,
        row_request: &RowRequest,
        context: &PageContext,
    ) -> Result<Option<ReadPage>, Error> {
        let values = &self.options.values;
        let path = filled(row_request.path, values);
        if matches!(self.endpoint.paging, Paging::Cursor { count_path } if count_path == path) {
            // The path is that of a count endpoint, so no row has it.
            return Ok(None);
        }
        let limit = match row_request.answer {
            Answered::Row => None,
            _ if self.endpoint.paging == Paging::SinglePage => None,
            Answered::Page => Some(MAX_ROWS_FOUND),
            Answered::Among => Some(self.endpoint.page_rows),
        };
        let limit_text = limit.map(|limit| limit.to_string());
        let parameters: Vec<(&str, String)> =
            row_request.query.iter().map(|(name, value)| (*name, filled(value, values))).collect();
        let mut query: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        query.extend(limit_text.as_deref().map(|limit| ("limit", limit)));
        let read = |body: bytes::Bytes| match row_request.answer {
            Answered::Row => self.read_row(&body, context),
            Answered::Page | Answered::Among => self.read_page(&body, limit, context),
        };
        let page = match self.client.get(&path, &query, read).await {
            Ok(page) => page,
            // A 404 for the list itself is an error, and does not mean that the row is missing.
            Err(error) if error.says_absent() && path != self.endpoint.path => return Ok(None),
            Err(error) => return Err(refusal(error)),
        };
        // From here on the time budget counts: only the first request may exceed it.
        self.work_limit.note_progress();
        let is_there = page.rows.iter().any(|row| row.kept);
        Ok(is_there.then_some(page))
    }

    /// Parses a response that is a single row.
    fn read_row(&self, body: &[u8], context: &PageContext) -> Result<ReadPage, Unreadable> {
        let row: &RawValue = wire::decode(body)?;
        if !self.is_sought(row) {
            return Err(Unreadable("it is another row than was asked for".to_owned()));
        }
        let mut page = self.endpoint.read(&[&b"["[..], body, b"]"].concat(), context)?;
        self.keep_sought(&mut page, &[row]);
        Ok(page)
    }

    /// Parses a page of a filtered list. Rows that the filter should have excluded are ignored, and
    /// a page that is not the whole list does not prove that there is no such row.
    fn read_page(
        &self,
        body: &[u8],
        limit: Option<u64>,
        context: &PageContext,
    ) -> Result<ReadPage, Unreadable> {
        let rows: wire::Page<&RawValue> = wire::decode_page(body)?;
        let listed = rows.rows.len() as u64;
        if limit.is_some_and(|limit| listed >= limit)
            || rows.total_count.is_some_and(|total| total > listed)
        {
            return Err(Unreadable("it lists more rows than were asked for".to_owned()));
        }
        let mut page = self.endpoint.read(body, context)?;
        self.keep_sought(&mut page, &rows.rows);
        Ok(page)
    }

    fn keep_sought(&self, page: &mut ReadPage, rows: &[&RawValue]) {
        let by_id = self.options.values.iter().find(|(field, _)| *field == "id");
        for (row, json) in page.rows.iter_mut().zip(rows) {
            row.kept &= self.is_sought(json) && by_id.is_none_or(|(_, id)| *id == row.key.id);
        }
    }

    /// Whether a row contains every value that it was requested by.
    fn is_sought(&self, row: &RawValue) -> bool {
        self.options
            .values
            .iter()
            .all(|(_, value)| holds(row.get(), &value.to_lowercase(), DEEPEST))
    }

    /// Reads a list to its end.
    async fn walk(
        &self,
        list: Resource,
        path: String,
        ordered: bool,
        context: &Arc<PageContext>,
        mut take: impl FnMut(&ReadPage) -> Result<(), Error>,
    ) -> Result<Walked, Error> {
        let reader = Reader {
            client: Arc::clone(&self.client),
            endpoint: endpoint(list),
            path: Cow::Owned(path.clone()),
            ordered,
            filters: Vec::new(),
            context: Arc::clone(context),
            clock: self.clock.clone(),
            work_limit: Arc::clone(&self.work_limit),
        };
        let start = PagerStart {
            range: CreatedRange::default(),
            mode: PagingMode::Offset,
            position: Position::default(),
            rows: 0,
            expected: None,
            ties: None,
        };
        let mut walk = Pager::new(reader, start);
        loop {
            match walk.next().await {
                Ok(Some(batch)) => {
                    self.work_limit.note_progress();
                    take(&batch.page)?;
                    walk.stored(1);
                }
                Ok(None) => return Ok(Walked::ToTheEnd),
                Err(PagerStop::Clerk(failure)) if failure.error.says_absent() => {
                    return Ok(Walked::Absent);
                }
                Err(PagerStop::Clerk(ListError {
                    error: error @ ClerkError::Refused { .. },
                    ..
                })) => {
                    return Ok(Walked::Refused(error));
                }
                Err(stop) => {
                    return Err(refusal(match stop.into_list_error() {
                        Ok(failure) => failure.error,
                        Err(why) => ClerkError::OutOfTime { endpoint: path, why },
                    }));
                }
            }
        }
    }
}

/// Lines, up to the size limit of an answer.
#[derive(Default)]
struct Lines {
    lines: Vec<Box<RawValue>>,
    bytes: usize,
}

impl Lines {
    fn add(&mut self, ndjson: &[u8]) -> Result<(), Error> {
        self.bytes += ndjson.len();
        if self.bytes > MAX_BYTES_ANSWERED {
            return Err(InvalidEvent::too_much_asked().into());
        }
        for line in ndjson.split_inclusive(|&byte| byte == b'\n') {
            self.lines.push(serde_json::from_slice(line).map_err(|error| internal(&error))?);
        }
        Ok(())
    }
}

/// Whether a JSON value contains a string equal to `text`, which is in lower case. Ignores case.
fn holds(json: &str, text: &str, depth_left: usize) -> bool {
    let Some(deeper) = depth_left.checked_sub(1) else { return false };
    match json.as_bytes().first() {
        Some(b'"') => {
            serde_json::from_str::<String>(json).is_ok_and(|it| it.to_lowercase() == text)
        }
        Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(json)
            .is_ok_and(|items| items.iter().any(|it| holds(it.get(), text, deeper))),
        Some(b'{') => serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(json)
            .is_ok_and(|fields| fields.values().any(|it| holds(it.get(), text, deeper))),
        _ => false,
    }
}

fn refusal(error: ClerkError) -> Error {
    match error {
        error @ ClerkError::Refused { .. } => {
            Error::ClerkProtocol(Failure::new("Clerk refuses this lookup").caused_by(error))
        }
        error => clerk_error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // docs/reference.md: the grants in one answer take at most 5 MB.
    #[test]
    fn an_answer_holds_five_megabytes_and_no_more() {
        let line = |bytes: usize| format!("\"{}\"\n", "x".repeat(bytes - 3));
        let mut lines = Lines::default();
        lines.add(line(4_000_000).as_bytes()).expect("four megabytes fit");
        lines.add(line(1_000_000).as_bytes()).expect("five megabytes fit");
        let error = lines.add(b"1\n").unwrap_err();
        assert_eq!(error.name(), "InvalidEvent");
        assert_eq!(lines.lines.len(), 2);
    }
}
