//! Selects the rows for a request: filters, order, cursor, offset, limit.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::data::Data;
use crate::lists::{Filter, List, ORGANIZATION_MEMBERSHIPS};
use crate::refusal::Refusal;
use crate::rows::Row;

/// A decoded query string, in which `+` means a space, as on any server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The first non-empty value.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.first(name) == Some("true")
    }

    /// The query without these parameters.
    pub(crate) fn without(&self, names: &[String]) -> Self {
        Self(self.0.iter().filter(|(name, _)| !names.contains(name)).cloned().collect())
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, value)| {
                (key == name || key.strip_suffix("[]") == Some(name)) && !value.is_empty()
            })
            .map(|(_, value)| value.as_str())
    }
}

/// Choices that Clerk's documentation leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether `created_at_before=t` includes rows created exactly at `t`.
    pub before_includes: bool,
    /// Whether `created_at_after=t` includes rows created exactly at `t`.
    pub after_includes: bool,
    /// How `starting_after` is answered if its user has been deleted.
    pub deleted_cursor: DeletedCursor,
    /// Whether `/sessions` requires `user_id` or `client_id`.
    pub sessions_need_user: bool,
    /// Whether a `limit` above the maximum is answered with 422 rather than silently with the default page of 10.
    pub refuse_large_limit: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            before_includes: false,
            after_includes: false,
            deleted_cursor: DeletedCursor::Refused,
            sessions_need_user: false,
            refuse_large_limit: false,
        }
    }
}

/// How `starting_after` is answered if its user has been deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletedCursor {
    /// With 422, as for an id that never existed.
    Refused,
    /// With the rows after the deleted row's place.
    Continues,
    /// With an empty page, which looks like the end of the list.
    EmptyPage,
    /// With the first page again.
    FirstPage,
}

/// The rows of one page, and the number of all matching rows.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) rows: Vec<Arc<Row>>,
    pub(crate) total: usize,
}

/// A search for rows.
pub(crate) struct Search<'a> {
    pub(crate) data: &'a Data,
    pub(crate) list: &'static List,
    pub(crate) filters: &'a [Filter],
    /// All candidate rows, in order.
    pub(crate) base: &'a [Arc<Row>],
    pub(crate) query: &'a Query,
    pub(crate) rules: Rules,
    /// Most rows per page, whatever the request's limit.
    pub(crate) truncate: Option<usize>,
}

/// The default page size (Clerk OpenAPI 2026-05-12, parameter `LimitParameter`).
const DEFAULT_LIMIT: usize = 10;
/// Most values of one filter parameter (Clerk OpenAPI 2026-05-12, `GET /users`).
const MAX_VALUES: usize = 100;

impl<'a> Search<'a> {
    /// Selects one page.
    pub(crate) fn page(&self) -> Result<Selection, Refusal> {
        let order = self.order()?;
        let limit = self.limit()?.min(self.truncate.unwrap_or(usize::MAX));
        let offset = self.number("offset")?.unwrap_or(0);
        let offset = usize::try_from(offset)
            .map_err(|_| Refusal::parameter("offset", "must be at least 0"))?;
        let cursor = self.query.first("starting_after").filter(|_| self.list.cursor);
        if cursor.is_some() && order.path != "created_at" {
            return Err(Refusal::parameter("starting_after", "requires ordering by created_at"));
        }
        if cursor.is_some() && offset != 0 {
            return Err(Refusal::parameter(
                "starting_after",
                "cannot be combined with a non-zero offset",
            ));
        }
        let rows = self.matching()?;
        let total = rows.len();
        if !self.list.paged {
            return Ok(Selection {
                rows: in_order(&rows, order.descending).cloned().collect(),
                total,
            });
        }
        let skipped = match cursor {
            Some(id) => match self.rows_up_to(&rows, id, order.descending)? {
                Some(skipped) => skipped,
                None => {
                    return Ok(Selection { rows: Vec::new(), total });
                }
            },
            None => offset,
        };
        let rows = if order.path == "created_at" {
            rows
        } else {
            Cow::Owned(self.sorted(&rows, order.path))
        };
        let rows = in_order(&rows, order.descending).skip(skipped).take(limit).cloned().collect();
        Ok(Selection { rows, total })
    }

    /// Number of matching rows.
    pub(crate) fn count(&self) -> Result<usize, Refusal> {
        Ok(self.matching()?.len())
    }

    /// The matching rows, in ascending order.
    fn matching(&self) -> Result<Cow<'a, [Arc<Row>]>, Refusal> {
        let mut rows = match self.candidates()? {
            Some(rows) => Cow::Owned(rows),
            None => Cow::Borrowed(self.created_within(self.base)?),
        };
        let tests = self.tests()?;
        if !tests.is_empty() {
            let kept = rows.iter().filter(|row| {
                // Parsed at most once, and only if a filter needs it.
                let mut value = None;
                tests.iter().all(|test| test.accepts(row, &mut value))
            });
            rows = Cow::Owned(kept.cloned().collect());
        }
        Ok(rows)
    }

    /// Finds rows by id or owner if a filter names those, instead of scanning the list.
    fn candidates(&self) -> Result<Option<Vec<Arc<Row>>>, Refusal> {
        let table = self.data.table(self.list.name);
        for filter in self.filters {
            let found = match *filter {
                Filter::Id(name) => {
                    self.signed(name)?.wanted.map(|ids| ids.into_iter().collect::<Vec<_>>())
                }
                Filter::MembersOf(name) => self.signed(name)?.wanted.map(|ids| {
                    let memberships = self.data.table(ORGANIZATION_MEMBERSHIPS);
                    let members = ids.iter().flat_map(|id| memberships.of_organization(id));
                    members.filter_map(|row| row.owner_id.as_deref().map(str::to_owned)).collect()
                }),
                Filter::WithMember(name) => self.signed(name)?.wanted.map(|ids| {
                    let memberships = self.data.table(ORGANIZATION_MEMBERSHIPS);
                    let organizations = ids.iter().flat_map(|id| memberships.of_owner(id));
                    organizations
                        .filter_map(|row| row.organization_id.as_deref().map(str::to_owned))
                        .collect()
                }),
                Filter::Owner(name) => self.signed(name)?.wanted.map(|owners| {
                    let theirs = owners.iter().flat_map(|owner| table.of_owner(owner));
                    // The base may contain only the rows of one organization.
                    let in_question = |row: &&Arc<Row>| {
                        self.base.binary_search_by_key(&row.place, |row| row.place).is_ok()
                    };
                    theirs.filter(in_question).map(|row| row.id.as_ref().to_owned()).collect()
                }),
                _ => None,
            };
            if let Some(ids) = found {
                let mut rows: Vec<_> =
                    ids.iter().filter_map(|id| table.get(id)).map(Arc::clone).collect();
                rows.sort_by_key(|row| row.place);
                rows.dedup_by_key(|row| row.place);
                return Ok(Some(self.created_within(&rows)?.to_vec()));
            }
        }
        Ok(None)
    }

    /// The subrange of ordered rows between `created_at_after` and `created_at_before`.
    fn created_within<'r>(&self, rows: &'r [Arc<Row>]) -> Result<&'r [Arc<Row>], Refusal> {
        let mut rows = rows;
        for filter in self.filters {
            match *filter {
                Filter::CreatedBefore(name) => {
                    if let Some(before) = self.number(name)? {
                        let within = |row: &Arc<Row>| {
                            row.place.0 < before
                                || (self.rules.before_includes && row.place.0 == before)
                        };
                        rows = &rows[..rows.partition_point(within)];
                    }
                }
                Filter::CreatedAfter(name) => {
                    if let Some(after) = self.number(name)? {
                        let outside = |row: &Arc<Row>| {
                            row.place.0 < after
                                || (!self.rules.after_includes && row.place.0 == after)
                        };
                        rows = &rows[rows.partition_point(outside)..];
                    }
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    /// The conditions to test row by row.
    fn tests(&self) -> Result<Vec<Test>, Refusal> {
        let mut tests = Vec::new();
        for filter in self.filters {
            match *filter {
                // Applied when the candidates were found.
                Filter::CreatedBefore(_) | Filter::CreatedAfter(_) => {}
                Filter::Id(name) => tests.extend(self.signed(name)?.test(|row| Some(&row.id))),
                Filter::Owner(name) => {
                    tests.extend(self.signed(name)?.test(|row| row.owner_id.as_ref()))
                }
                Filter::Organization(name) => {
                    tests.extend(self.signed(name)?.test(|row| row.organization_id.as_ref()));
                }
                Filter::MembersOf(name) => {
                    let memberships = self.data.table(ORGANIZATION_MEMBERSHIPS);
                    let people = |ids: HashSet<String>| {
                        let rows = ids
                            .iter()
                            .flat_map(|id| memberships.of_organization(id))
                            .collect::<Vec<_>>();
                        rows.iter()
                            .filter_map(|row| row.owner_id.as_deref().map(str::to_owned))
                            .collect()
                    };
                    tests.extend(self.signed(name)?.map(people).test(|row| Some(&row.id)));
                }
                Filter::WithMember(name) => {
                    let memberships = self.data.table(ORGANIZATION_MEMBERSHIPS);
                    let joined = |ids: HashSet<String>| {
                        let rows =
                            ids.iter().flat_map(|id| memberships.of_owner(id)).collect::<Vec<_>>();
                        rows.iter()
                            .filter_map(|row| row.organization_id.as_deref().map(str::to_owned))
                            .collect()
                    };
                    tests.extend(self.signed(name)?.map(joined).test(|row| Some(&row.id)));
                }
                Filter::ActiveBefore(name) => {
                    tests.extend(
                        self.number(name)?
                            .map(|at| Test::Before(|row| row.stats.last_active_at, at)),
                    );
                }
                Filter::ActiveAfter(name) => {
                    tests.extend(
                        self.number(name)?.map(|at| Test::From(|row| row.stats.last_active_at, at)),
                    );
                }
                Filter::SignedInBefore(name) => {
                    tests.extend(
                        self.number(name)?
                            .map(|at| Test::Before(|row| row.stats.last_sign_in_at, at)),
                    );
                }
                Filter::SignedInAfter(name) => {
                    tests.extend(
                        self.number(name)?
                            .map(|at| Test::From(|row| row.stats.last_sign_in_at, at)),
                    );
                }
                Filter::Banned(name) => tests.extend(self.boolean(name)?.map(Test::Banned)),
                Filter::Flag(name, path) => {
                    tests.extend(self.boolean(name)?.map(|wanted| Test::Flag(path, wanted)))
                }
                Filter::Text("status", paths) if self.query.first("status").is_none() => {
                    if !self.list.default_statuses.is_empty() {
                        let wanted = self
                            .list
                            .default_statuses
                            .iter()
                            .map(|&status| status.to_owned())
                            .collect();
                        tests.push(Test::Text {
                            paths,
                            wanted: Some(wanted),
                            unwanted: HashSet::new(),
                        });
                    }
                }
                Filter::Text(name, paths) => {
                    let Signed { wanted, unwanted } = self.signed(name)?;
                    if wanted.is_some() || !unwanted.is_empty() {
                        tests.push(Test::Text { paths, wanted, unwanted });
                    }
                }
                Filter::Hides(name, paths, hidden) => {
                    if !self.query.flag(name) {
                        tests.push(Test::Without(paths, hidden));
                    }
                }
                Filter::Part(name, paths) => {
                    tests.extend(
                        self.query.first(name).map(|part| Test::Part(paths, part.to_lowercase())),
                    );
                }
            }
        }
        Ok(tests)
    }

    /// Number of rows up to and including the cursor's row, in reading direction. `None` means an empty page.
    fn rows_up_to(
        &self,
        rows: &[Arc<Row>],
        id: &str,
        descending: bool,
    ) -> Result<Option<usize>, Refusal> {
        let unknown = || Refusal::parameter("starting_after", "is not the id of a known user");
        let place = match self.data.table(self.list.name).get(id) {
            Some(row) => row.place,
            None => match (self.data.place_of_deleted(id), self.rules.deleted_cursor) {
                (Some(place), DeletedCursor::Continues) => place,
                (Some(_), DeletedCursor::EmptyPage) => return Ok(None),
                (Some(_), DeletedCursor::FirstPage) => return Ok(Some(0)),
                _ => return Err(unknown()),
            },
        };
        Ok(Some(if descending {
            rows.len() - rows.partition_point(|row| row.place < place)
        } else {
            rows.partition_point(|row| row.place <= place)
        }))
    }

    /// Rows sorted by a field; ties keep their usual order.
    fn sorted(&self, rows: &[Arc<Row>], path: &str) -> Vec<Arc<Row>> {
        let mut keyed: Vec<_> = rows
            .iter()
            .map(|row| {
                let value = self.data.full_value(self.list.name, row);
                let number = fields(&value, path).first().and_then(|field| field.as_i64());
                let text = fields(&value, path)
                    .first()
                    .and_then(|field| field.as_str().map(str::to_lowercase));
                ((number, text, row.place), row)
            })
            .collect();
        keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
        keyed.into_iter().map(|(_, row)| Arc::clone(row)).collect()
    }

    fn order(&self) -> Result<Order, Refusal> {
        let text = match self.query.first("order_by") {
            // Lists without an order ignore the parameter.
            Some(text) if !self.list.orders.is_empty() => text,
            _ => self.list.default_order,
        };
        // An unescaped `+` arrives as a space.
        let (descending, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text.strip_prefix(['+', ' ']).unwrap_or(text)),
        };
        let path = match self.list.orders.iter().find(|(accepted, _)| *accepted == name) {
            Some((_, path)) => path,
            None if self.list.orders.is_empty() => "created_at",
            None => {
                return Err(Refusal::parameter("order_by", "is not an order of this list"));
            }
        };
        Ok(Order { path, descending })
    }

    fn limit(&self) -> Result<usize, Refusal> {
        match self.number("limit")? {
            None => Ok(DEFAULT_LIMIT),
            Some(limit) if limit < 1 => Err(Refusal::parameter("limit", "must be at least 1")),
            Some(limit) if limit as usize > self.list.largest_page => {
                if self.rules.refuse_large_limit {
                    return Err(Refusal::parameter("limit", "is larger than the largest page"));
                }
                // Seen in the field: ten rows without any notice.
                Ok(DEFAULT_LIMIT)
            }
            Some(limit) => Ok(limit as usize),
        }
    }

    fn number(&self, name: &'static str) -> Result<Option<i64>, Refusal> {
        self.query
            .first(name)
            .map(|text| text.parse().map_err(|_| Refusal::parameter(name, "must be an integer")))
            .transpose()
    }

    fn boolean(&self, name: &'static str) -> Result<Option<bool>, Refusal> {
        self.query
            .first(name)
            .map(|text| text.parse().map_err(|_| Refusal::parameter(name, "must be true or false")))
            .transpose()
    }

    fn signed(&self, name: &'static str) -> Result<Signed, Refusal> {
        let mut signed = Signed { wanted: None, unwanted: HashSet::new() };
        for (number, text) in self.query.all(name).enumerate() {
            if number >= MAX_VALUES {
                return Err(Refusal::parameter(name, "accepts up to 100 values"));
            }
            match text.strip_prefix('-') {
                Some(text) => {
                    signed.unwanted.insert(text.to_owned());
                }
                None => {
                    let text = text
                        .strip_prefix(['+', ' '])
                        .filter(|_| !name.contains("phone"))
                        .unwrap_or(text);
                    signed.wanted.get_or_insert_default().insert(text.to_owned());
                }
            }
        }
        Ok(signed)
    }
}

struct Order {
    path: &'static str,
    descending: bool,
}

/// The values of a repeated parameter, where a `-` prefix excludes.
struct Signed {
    wanted: Option<HashSet<String>>,
    unwanted: HashSet<String>,
}

impl Signed {
    fn map(self, change: impl Fn(HashSet<String>) -> HashSet<String>) -> Self {
        Self { wanted: self.wanted.map(&change), unwanted: change(self.unwanted) }
    }

    fn test(self, field: fn(&Row) -> Option<&Arc<str>>) -> Option<Test> {
        (self.wanted.is_some() || !self.unwanted.is_empty()).then_some(Test::Id {
            field,
            wanted: self.wanted,
            unwanted: self.unwanted,
        })
    }
}

/// A condition on a row.
enum Test {
    Id {
        field: fn(&Row) -> Option<&Arc<str>>,
        wanted: Option<HashSet<String>>,
        unwanted: HashSet<String>,
    },
    Before(fn(&Row) -> Option<i64>, i64),
    From(fn(&Row) -> Option<i64>, i64),
    Banned(bool),
    Flag(&'static str, bool),
    Without(&'static [&'static str], bool),
    Text {
        paths: &'static [&'static str],
        wanted: Option<HashSet<String>>,
        unwanted: HashSet<String>,
    },
    Part(&'static [&'static str], String),
}

impl Test {
    fn accepts(&self, row: &Row, value: &mut Option<Value>) -> bool {
        match self {
            Self::Id { field, wanted, unwanted } => match field(row) {
                Some(id) => {
                    wanted.as_ref().is_none_or(|ids| ids.contains(&**id))
                        && !unwanted.contains(&**id)
                }
                None => wanted.is_none(),
            },
            Self::Before(field, at) => field(row).is_some_and(|moment| moment < *at),
            // "Had session activity since": days are whole, so the given day is included.
            Self::From(field, at) => field(row).is_some_and(|moment| moment >= *at),
            Self::Banned(wanted) => row.stats.banned == *wanted,
            Self::Flag(path, wanted) => {
                let value = value.get_or_insert_with(|| row.value());
                fields(value, path).iter().any(|field| field.as_bool() == Some(*wanted))
            }
            Self::Without(paths, hidden) => {
                let value = value.get_or_insert_with(|| row.value());
                let mut flags = paths.iter().flat_map(|path| fields(value, path));
                !flags.any(|flag| flag.as_bool() == Some(*hidden))
            }
            Self::Text { paths, wanted, unwanted } => {
                let value = value.get_or_insert_with(|| row.value());
                let mut texts =
                    paths.iter().flat_map(|path| fields(value, path)).filter_map(Value::as_str);
                match wanted {
                    Some(wanted) => {
                        texts.any(|text| wanted.contains(text) && !unwanted.contains(text))
                    }
                    None => !texts.any(|text| unwanted.contains(text)),
                }
            }
            Self::Part(paths, part) => {
                let value = value.get_or_insert_with(|| row.value());
                let mut texts =
                    paths.iter().flat_map(|path| fields(value, path)).filter_map(Value::as_str);
                texts.any(|text| text.to_lowercase().contains(part))
            }
        }
    }
}

/// The values at a path such as `email_addresses.*.email_address`.
fn fields<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    path.split('.').fold(vec![value], |values, name| {
        if name == "*" {
            values.into_iter().filter_map(Value::as_array).flatten().collect()
        } else {
            values.into_iter().filter_map(|value| value.get(name)).collect()
        }
    })
}

fn in_order<'r>(
    rows: &'r [Arc<Row>],
    descending: bool,
) -> Box<dyn Iterator<Item = &'r Arc<Row>> + 'r> {
    if descending { Box::new(rows.iter().rev()) } else { Box::new(rows.iter()) }
}
