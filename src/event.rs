//! What an invocation is asked to do.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::config::{LONGEST_TIME_BUDGET, resource_names};
use crate::quoted::Quoted;
use crate::resource::Resource;

/// One request to this program (contract, section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Continue the run in progress, or start one.
    Sync(SyncOptions),
    /// Try the settings, the key, Clerk and the store.
    Check,
    /// Tell the run in progress and the last published snapshot.
    Status,
}

/// What a `sync` event may ask for; the default is a plain sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncOptions {
    /// `resources`: copied instead of `RESOURCES`; never empty.
    pub resources: Option<BTreeSet<Resource>>,
    /// `time_budget_seconds`: counts instead of `TIME_BUDGET_SECONDS`.
    pub time_budget: Option<Duration>,
    /// `force`: sync even if the newest snapshot is fresh enough.
    pub force: bool,
    /// `restart`: abandon the run in progress.
    pub restart: bool,
    /// `accept_shrink`: publish past the shrink guard.
    pub accept_shrink: bool,
}

impl Event {
    /// The event in a JSON document.
    ///
    /// # Errors
    /// If it is not a JSON object, or as for [`Event::from_value`]; and for a field that is given
    /// twice.
    pub fn from_json(document: &[u8]) -> Result<Self, InvalidEvent> {
        // Two steps, so that the parser's own message, which may quote the document, is not used.
        serde_json::from_slice::<serde::de::IgnoredAny>(document)
            .map_err(|_| InvalidEvent::whole("is not JSON"))?;
        let Fields(fields) =
            serde_json::from_slice(document).map_err(|_| InvalidEvent::not_an_object())?;
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, value)).collect();
        event(&fields)
    }

    /// The event in a JSON value.
    ///
    /// # Errors
    /// If it is not an object, or holds an action, a field or a value that is not known: all of
    /// them at once, each named. What an EventBridge rule or EventBridge Scheduler sends is never
    /// refused.
    pub fn from_value(value: &Value) -> Result<Self, InvalidEvent> {
        let fields = value.as_object().ok_or_else(InvalidEvent::not_an_object)?;
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, value)).collect();
        event(&fields)
    }
}

impl SyncOptions {
    /// Whether nothing but a snapshot is asked for, so that a fresh one is enough. How long it may
    /// take makes no difference.
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
            Self::Check | Self::Status => None,
        }
    }
}

/// Everything that is wrong with an event.
#[derive(Debug, thiserror::Error)]
pub struct InvalidEvent {
    problems: Vec<String>,
}

/// Problems told of one event: it may hold any number of fields, and the message ends up in logs.
const MOST_PROBLEMS_TOLD: usize = 10;

impl InvalidEvent {
    /// What is wrong, a sentence each; never empty.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The event could not be read from `place` at all.
    #[must_use]
    pub fn unreadable(place: &str, error: &std::io::Error) -> Self {
        Self { problems: vec![format!("the event cannot be read from {place}: {error}")] }
    }

    fn whole(what: &str) -> Self {
        Self { problems: vec![format!("the event {what} (accepted: a JSON object such as {{}})")] }
    }

    fn not_an_object() -> Self {
        Self::whole("is not a JSON object")
    }
}

impl fmt::Display for InvalidEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.problems.len().min(MOST_PROBLEMS_TOLD);
        formatter.write_str(&self.problems[..told].join("; "))?;
        match self.problems.len() - told {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}

/// An object's fields in their order, with those that are given twice.
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
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

const ACTIONS: &str = "sync, check, status";
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
        Some("sync") => Event::Sync(sync_options(fields, &mut problems)),
        Some("check") => without_fields(Event::Check, fields, &mut problems),
        Some("status") => without_fields(Event::Status, fields, &mut problems),
        Some(unknown) => {
            problems.push(format!("action {} is unknown (accepted: {ACTIONS})", Quoted(unknown)));
            // So that unknown fields are told as well.
            Event::Sync(sync_options(fields, &mut problems))
        }
        None => {
            problems.push(format!("action is not a string (accepted: {ACTIONS})"));
            Event::Sync(sync_options(fields, &mut problems))
        }
    };

    if problems.is_empty() { Ok(event) } else { Err(InvalidEvent { problems }) }
}

/// The `source` of the events that an EventBridge rule's schedule and EventBridge Scheduler send.
const SCHEDULERS: [&str; 2] = ["aws.events", "aws.scheduler"];

fn is_scheduled(fields: &[(&str, &Value)]) -> bool {
    fields.iter().any(|(name, value)| {
        *name == "source" && value.as_str().is_some_and(|text| SCHEDULERS.contains(&text))
    })
}

fn duplicates(fields: &[(&str, &Value)]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut told = BTreeSet::new();
    fields
        .iter()
        .filter(|(name, _)| !seen.insert(*name) && told.insert(*name))
        .map(|(name, _)| format!("field {} is given more than once", Quoted(name)))
        .collect()
}

fn sync_options(fields: &[(&str, &Value)], problems: &mut Vec<String>) -> SyncOptions {
    let mut options = SyncOptions::default();
    for &(name, value) in fields {
        match name {
            "action" => {}
            "resources" => options.resources = noted(resources(value), problems),
            "time_budget_seconds" => options.time_budget = noted(time_budget(value), problems),
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

fn noted<T>(result: Result<T, String>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// An array of names, or the same text as in `RESOURCES`.
fn resources(value: &Value) -> Result<BTreeSet<Resource>, String> {
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
        .take(MOST_PROBLEMS_TOLD)
        .map(|name| Quoted(name).to_string())
        .collect();
    if !unknown.is_empty() {
        return Err(wrong(&format!("names unknown {}", unknown.join(", "))));
    }
    Ok(names.into_iter().filter_map(Resource::from_name).collect())
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
