//! Parses the event: what an invocation is asked to do.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use clerk_snapshot::layout::is_snapshot_id;
use clerk_snapshot::resource::Resource;
use clerk_store::nearest::{nearest, quoted_with_suggestion};
use clerk_store::quoted::{Quoted, looks_like_a_key};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config::{LONGEST_TIME_BUDGET, resource_names};
use crate::lists::endpoint::Endpoint;
use crate::lists::row_request::{PATH_SAFE, RowRequest, is_path_safe};
use crate::lists::table::{ENDPOINTS, endpoint};

/// One request to this program (docs/reference.md, Events).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Continue the run in progress, or start one.
    Sync(SyncOptions),
    /// Test the settings, the key, Clerk and the store.
    Check,
    /// Report the run in progress and the last published snapshot.
    Status,
    /// Read one resource, as a snapshot would have it.
    Lookup(LookupOptions),
    /// Write the changes that are owed, or compare two snapshots.
    Changes(ChangesOptions),
}

/// The options of a `sync` event. The default is a plain sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncOptions {
    /// `resources`: replaces `RESOURCES`; never empty.
    pub resources: Option<BTreeSet<Resource>>,
    /// `time_budget_seconds`: replaces `TIME_BUDGET_SECONDS`.
    pub time_budget: Option<Duration>,
    /// `force`: sync even if the newest snapshot is fresh enough.
    pub force: bool,
    /// `restart`: abandon the run in progress.
    pub restart: bool,
    /// `accept_shrink`: publish past the shrink guard.
    pub accept_shrink: bool,
}

/// The options of a `changes` event. The default makes what is owed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangesOptions {
    /// `from` and `to`: the ids of the snapshots to compare.
    pub between: Option<(String, String)>,
}

/// The options of a `lookup` event.
#[derive(Clone, PartialEq, Eq)]
pub struct LookupOptions {
    /// `resource`: the type of the resource.
    pub resource: Resource,
    /// The requests to try, in turn, until one finds it. All of them take the same fields.
    pub row_requests: Vec<&'static RowRequest>,
    /// The fields that identify it, with their values.
    pub values: Vec<(&'static str, String)>,
    /// `grants`: whether to add its grants.
    pub grants: bool,
}

/// Does not show the values, which may be personal data.
impl fmt::Debug for LookupOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, row_requests, values: _, grants } = self;
        let paths: Vec<&str> = row_requests.iter().map(|row_request| row_request.path).collect();
        write!(formatter, "LookupOptions({resource}, {paths:?}, {grants})")
    }
}

impl Event {
    /// Parses the event from a JSON document.
    ///
    /// # Errors
    /// If it is not a JSON object, or has a field twice, or as for [`Event::from_value`].
    pub fn from_json(document: &[u8]) -> Result<Self, InvalidEvent> {
        // Two steps, so that the parser's own message, which may quote the document, is not used.
        serde_json::from_slice::<serde::de::IgnoredAny>(document)
            .map_err(|_| InvalidEvent::whole("is not JSON"))?;
        let Fields(fields) =
            serde_json::from_slice(document).map_err(|_| InvalidEvent::not_an_object())?;
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, value)).collect();
        event(&fields)
    }

    /// Parses the event from a JSON value.
    ///
    /// # Errors
    /// If it is not an object, or has an unknown action, field or value; all problems at once, each
    /// with its name. The events of an EventBridge rule and of EventBridge Scheduler are always
    /// accepted.
    pub fn from_value(value: &Value) -> Result<Self, InvalidEvent> {
        let fields = value.as_object().ok_or_else(InvalidEvent::not_an_object)?;
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, value)).collect();
        event(&fields)
    }
}

impl SyncOptions {
    /// Whether the event asks for nothing special, so that a fresh snapshot is enough. A time
    /// budget is nothing special.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self { time_budget: self.time_budget, ..Self::default() }
    }
}

impl Event {
    /// The time budget that the event asks for.
    #[must_use]
    pub fn time_budget(&self) -> Option<Duration> {
        match self {
            Self::Sync(options) => options.time_budget,
            Self::Check | Self::Status | Self::Lookup(_) | Self::Changes(_) => None,
        }
    }
}

/// Everything that is wrong with an event, or with the command that it was to be made from.
#[derive(Debug, thiserror::Error)]
pub struct InvalidEvent {
    problems: Vec<String>,
    to_correct: ToCorrect,
}

/// What has to be corrected.
#[derive(Debug)]
enum ToCorrect {
    /// The event.
    Event,
    /// This command, such as `clerk-sync lookup`, which the event was to be made from.
    Command(String),
    /// The word in a command's place.
    CommandsName,
}

/// Problems that the message names: an event may have any number of fields, and the message is
/// logged.
const MAX_PROBLEMS_SHOWN: usize = 10;

impl InvalidEvent {
    /// The problems, a sentence each; never empty.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The event could not be read from `place`. `hint` says what else may have been meant.
    #[must_use]
    pub fn unreadable(place: &str, error: &std::io::Error, hint: &str) -> Self {
        Self::one(format!("the event cannot be read from {place}: {error}{hint}"))
    }

    /// What is wrong with a command, such as `clerk-sync lookup`.
    #[must_use]
    pub fn of_command(command: &str, problem: impl Into<String>) -> Self {
        Self::one(problem).on_command_line(command)
    }

    /// The same problems, to be corrected in the command that the event was made from.
    #[must_use]
    pub fn on_command_line(self, command: &str) -> Self {
        Self { to_correct: ToCorrect::Command(command.to_owned()), ..self }
    }

    /// A `word` in a command's place that is neither one of the `commands` nor a file.
    #[must_use]
    pub fn no_such_command(word: &str, commands: &[&str]) -> Self {
        let meant = nearest(word, commands.iter().copied());
        let hint = meant.map(|command| format!("; did you mean {command}?")).unwrap_or_default();
        let problem = format!("there is no command or file {}{hint}", Quoted(word));
        Self { to_correct: ToCorrect::CommandsName, ..Self::one(problem) }
    }

    /// What to do about it, a sentence.
    #[must_use]
    pub fn advice(&self) -> Cow<'static, str> {
        match &self.to_correct {
            ToCorrect::Event => "Correct the event; nothing was written.".into(),
            ToCorrect::Command(command) => {
                format!("Correct the command, see {command} --help; nothing was done.").into()
            }
            ToCorrect::CommandsName => {
                "clerk-sync --help lists the commands; nothing was done.".into()
            }
        }
    }

    fn one(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()], to_correct: ToCorrect::Event }
    }

    /// The answer to the event would be too large.
    pub(crate) fn too_much_asked() -> Self {
        let problem = "the grants do not fit into one answer (accepted: a lookup without grants, \
                       or a sync of organization_memberships)";
        Self::one(problem)
    }

    /// `changes` without `from` and `to`, while no changes are to be written.
    pub(crate) fn changes_are_off() -> Self {
        let problem = "action changes writes what is owed, and CHANGES is off (accepted: CHANGES set to \
                       access or all, or an event with from and to)";
        Self::one(problem)
    }

    /// A comparison that does not fit into the time budget.
    pub(crate) fn too_long_to_compare() -> Self {
        let problem = "the comparison does not fit into the time budget (accepted: snapshots that \
                       clerk-access diff compares, or a larger budget)";
        Self::one(problem)
    }

    /// Two snapshots that cannot be compared.
    pub(crate) fn incomparable(why: &dyn std::error::Error) -> Self {
        Self::one(why.to_string())
    }

    /// A field that should name a snapshot, and none is there.
    pub(crate) fn no_snapshot(field: &str, url: &str) -> Self {
        let accepted = "the id of a snapshot below SNAPSHOT_URL, such as 20261120T120000Z-3f9a1c";
        Self::one(format!("{field} names no snapshot: {url} does not exist (accepted: {accepted})"))
    }

    fn whole(what: &str) -> Self {
        Self::one(format!("the event {what} (accepted: a JSON object such as {{}})"))
    }

    fn not_an_object() -> Self {
        Self::whole("is not a JSON object")
    }
}

impl fmt::Display for InvalidEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.problems.len().min(MAX_PROBLEMS_SHOWN);
        formatter.write_str(&self.problems[..shown].join("; "))?;
        match self.problems.len() - shown {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}

/// The fields of an object in their order, including those that occur twice. A value that [`Value`] cannot hold (half of
/// a surrogate pair, a number out of range, more than 128 levels) counts as `null`, which no field of an event may be.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    fields.push((name, serde_json::from_str(value.get()).unwrap_or_default()));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

const ACTIONS: &str = "sync, check, status, lookup, changes";
const SYNC_FIELDS: &str = "action, resources, time_budget_seconds, force, restart, accept_shrink";

fn event(fields: &[(&str, &Value)]) -> Result<Event, InvalidEvent> {
    if is_scheduled(fields) {
        return Ok(Event::Sync(SyncOptions::default()));
    }

    let mut problems = duplicates(fields);
    let action = match fields.iter().find(|(name, _)| *name == "action") {
        None => Some("sync"),
        Some((_, Value::String(action))) => Some(&**action),
        Some(_) => None,
    };
    let event = match action {
        Some("sync") => Some(Event::Sync(sync_options(fields, &mut problems))),
        Some("check") => Some(without_fields(Event::Check, fields, &mut problems)),
        Some("status") => Some(without_fields(Event::Status, fields, &mut problems)),
        Some("changes") => changes_options(fields, &mut problems).map(Event::Changes),
        Some("lookup") => lookup_options(fields, &mut problems).map(Event::Lookup),
        unknown => {
            problems.push(match unknown {
                Some(unknown) => {
                    format!("action {} is unknown (accepted: {ACTIONS})", Quoted(unknown))
                }
                None => format!("action is not a string (accepted: {ACTIONS})"),
            });
            // Reports unknown fields as well.
            sync_options(fields, &mut problems);
            None
        }
    };

    match event {
        Some(event) if problems.is_empty() => Ok(event),
        _ => Err(InvalidEvent { problems, to_correct: ToCorrect::Event }),
    }
}

/// The `source` of the events of EventBridge rules with a schedule, and of EventBridge Scheduler.
const SCHEDULERS: [&str; 2] = ["aws.events", "aws.scheduler"];

fn is_scheduled(fields: &[(&str, &Value)]) -> bool {
    fields.iter().any(|(name, value)| {
        *name == "source" && value.as_str().is_some_and(|text| SCHEDULERS.contains(&text))
    })
}

fn duplicates(fields: &[(&str, &Value)]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut reported = BTreeSet::new();
    fields
        .iter()
        .filter(|(name, _)| !seen.insert(*name) && reported.insert(*name))
        .map(|(name, _)| format!("field {} is given more than once", Quoted(name)))
        .collect()
}

fn sync_options(fields: &[(&str, &Value)], problems: &mut Vec<String>) -> SyncOptions {
    let mut options = SyncOptions::default();
    for &(name, value) in fields {
        match name {
            "action" => {}
            "resources" => options.resources = ok_or_note(resources(value), problems),
            "time_budget_seconds" => options.time_budget = ok_or_note(time_budget(value), problems),
            "force" => options.force = flag(name, value, problems),
            "restart" => options.restart = flag(name, value, problems),
            "accept_shrink" => options.accept_shrink = flag(name, value, problems),
            unknown => problems
                .push(format!("field {} is unknown (accepted: {SYNC_FIELDS})", Quoted(unknown))),
        }
    }
    options
}

fn without_fields(event: Event, fields: &[(&str, &Value)], problems: &mut Vec<String>) -> Event {
    for (name, _) in fields {
        if *name != "action" {
            problems.push(format!(
                "field {} is unknown for this action (accepted: action)",
                Quoted(name)
            ));
        }
    }
    event
}

/// The options of a `changes` event; `None` if there was a problem, which is added to `problems`.
fn changes_options(
    fields: &[(&str, &Value)],
    problems: &mut Vec<String>,
) -> Option<ChangesOptions> {
    let (mut from, mut to) = (None, None);
    for &(name, value) in fields {
        match name {
            "action" => {}
            "from" => from = ok_or_note(snapshot_id(name, value), problems),
            "to" => to = ok_or_note(snapshot_id(name, value), problems),
            unknown => problems.push(format!(
                "field {} is unknown for this action (accepted: action, from, to)",
                Quoted(unknown)
            )),
        }
    }
    let is_given = |field: &str| fields.iter().any(|(name, _)| *name == field);
    match (is_given("from"), is_given("to")) {
        (false, false) => Some(ChangesOptions::default()),
        (true, true) => Some(ChangesOptions { between: Some((from?, to?)) }),
        (true, false) | (false, true) => {
            problems.push("from and to go together (accepted: both, or neither)".to_owned());
            None
        }
    }
}

fn snapshot_id(field: &str, value: &Value) -> Result<String, String> {
    let id = value.as_str().filter(|id| is_snapshot_id(id));
    id.map(str::to_owned).ok_or_else(|| {
        format!("{field} is not a snapshot's id (accepted: an id such as 20261120T120000Z-3f9a1c)")
    })
}

/// The fields of every lookup, whatever the resource.
const LOOKUP_FIELDS: [&str; 3] = ["action", "resource", "grants"];

/// The options of a lookup; `None` if there was a problem, which is added to `problems`.
fn lookup_options(fields: &[(&str, &Value)], problems: &mut Vec<String>) -> Option<LookupOptions> {
    let endpoint = ok_or_note(looked_up(fields), problems)?;
    let accepted = || {
        let ways =
            endpoint.row_requests.iter().map(|it| it.fields().collect::<Vec<_>>().join(" with "));
        let mut ways: Vec<String> = ways.collect();
        ways.dedup();
        ways.join(", or ")
    };
    let known: BTreeSet<&'static str> =
        endpoint.row_requests.iter().flat_map(|row_request| row_request.fields()).collect();
    let mut given: BTreeMap<&'static str, &Value> = BTreeMap::new();
    let mut grants = false;
    for &(name, value) in fields {
        match name {
            "action" | "resource" => {}
            "grants" => grants = flag(name, value, problems),
            _ => match known.get(name) {
                Some(&name) => {
                    given.insert(name, value);
                }
                None => problems.push(format!(
                    "field {} is unknown for a lookup of {} (accepted: {}; {})",
                    Quoted(name),
                    endpoint.resource,
                    LOOKUP_FIELDS.join(", "),
                    accepted(),
                )),
            },
        }
    }
    if grants && !endpoint.has_grants() {
        problems.push(format!(
            "grants is true, and a lookup of {} has no grants besides the records (accepted: false)",
            endpoint.resource
        ));
    }
    let named = |row_request: &&'static RowRequest| {
        row_request.fields().count() == given.len()
            && row_request.fields().all(|it| given.contains_key(it))
    };
    let row_requests: Vec<_> = endpoint.row_requests.iter().filter(named).collect();
    let Some(row_request) = row_requests.first() else {
        problems.push(format!(
            "a lookup of {} needs exactly one identifier (accepted: {})",
            endpoint.resource,
            accepted(),
        ));
        return None;
    };
    let mut values = Vec::new();
    for (field, value) in given {
        let value = ok_or_note(named_value(row_request, field, value), problems);
        values.extend(value.map(|value| (field, value)));
    }
    Some(LookupOptions { resource: endpoint.resource, row_requests, values, grants })
}

/// The list that `resource` names.
fn looked_up(fields: &[(&str, &Value)]) -> Result<&'static Endpoint, String> {
    let wrong = |what: &str| {
        let known = ENDPOINTS.iter().filter(|endpoint| !endpoint.row_requests.is_empty());
        let names: Vec<&str> = known.map(|endpoint| endpoint.resource.name()).collect();
        format!("resource {what} (accepted: one of {})", names.join(", "))
    };
    let Some((_, value)) = fields.iter().find(|(name, _)| *name == "resource") else {
        return Err(wrong("is missing"));
    };
    let name = value.as_str().ok_or_else(|| wrong("is not a string"))?;
    let resource = Resource::from_name(name).ok_or_else(|| {
        wrong(&format!("names unknown {}", quoted_with_suggestion(name, known_resources())))
    })?;
    let endpoint = endpoint(resource);
    if endpoint.row_requests.is_empty() {
        return Err(wrong(&format!("is {resource}, which Clerk does not return one by one")));
    }
    Ok(endpoint)
}

/// Most bytes of a value to look something up by: longer than any e-mail address, and short enough
/// for a URL.
const LONGEST_NAME: usize = 512;

/// A value to look something up by. Messages do not show it: it may be personal data, or a key that
/// was pasted by mistake.
fn named_value(row_request: &RowRequest, field: &str, value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| format!("{field} is not a string"))?;
    if text.trim().is_empty() || text.len() > LONGEST_NAME || looks_like_a_key(text) {
        let accepted = format!("a text of at most {LONGEST_NAME} bytes that is no key");
        return Err(format!("{field} is not usable (accepted: {accepted})"));
    }
    if row_request.puts_into_path(field) && !is_path_safe(text) {
        return Err(format!("{field} is not usable (accepted: {PATH_SAFE})"));
    }
    Ok(text.to_owned())
}

/// The value, or `None` after adding the problem to `problems`.
fn ok_or_note<T>(result: Result<T, String>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// An array of names, or the same text as in `RESOURCES`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn resources(value: &Value) -> Result<BTreeSet<Resource>, String> {
    let wrong = |what: &str| {
        format!("resources {what} (accepted: an array of names, or {})", resource_names())
    };
    let names: Vec<&str> = match value {
        Value::String(text) => {
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
        }
        Value::Array(items) => items
            .iter()
            .map(Value::as_str)
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("holds something that is not a string"))?,
        _ => return Err(wrong("is neither an array nor a string")),
    };
    if names.is_empty() {
        return Err(wrong("names nothing"));
    }
    let unknown: Vec<String> = names
        .iter()
        .filter(|name| Resource::from_name(name).is_none())
        .take(MAX_PROBLEMS_SHOWN)
        .map(|name| quoted_with_suggestion(name, known_resources()))
        .collect();
    if !unknown.is_empty() {
        return Err(wrong(&format!("names unknown {}", unknown.join(", "))));
    }
    Ok(names.into_iter().filter_map(Resource::from_name).collect())
}

fn known_resources() -> impl Iterator<Item = &'static str> + Clone {
    Resource::ALL.iter().map(|resource| resource.name())
}

fn time_budget(value: &Value) -> Result<Duration, String> {
    value
        .as_f64()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|budget| *budget <= LONGEST_TIME_BUDGET)
        .ok_or_else(|| {
            format!(
                "time_budget_seconds is not usable (accepted: a number from 0 to {})",
                LONGEST_TIME_BUDGET.as_secs()
            )
        })
}

fn flag(name: &str, value: &Value, problems: &mut Vec<String>) -> bool {
    value.as_bool().unwrap_or_else(|| {
        problems.push(format!("{name} is not a boolean (accepted: true, false)"));
        false
    })
}
