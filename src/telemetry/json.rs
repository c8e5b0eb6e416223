//! Formats a log line as JSON, with the keys that Lambda and AWS Powertools expect.

use clerk_store::quoted::escaped_json;
use serde_json::{Map, Value};

use super::Line;

/// The line's own keys, in order. The names are those of AWS Powertools for Lambda. Lambda itself
/// filters by `timestamp` and `level`, which must be at the top level.
const OWN_KEYS: [&str; 8] = [
    "timestamp",
    "level",
    "message",
    "service",
    "function_request_id",
    "cold_start",
    "xray_trace_id",
    "target",
];

pub(super) const SERVICE: &str = "clerk-sync";

/// One JSON object and a newline. JSON escapes every newline within. A field with the name of one
/// of the line's own keys gets the prefix `field.`.
pub(super) fn line(line: Line) -> String {
    let [timestamp, level, message, service, request_id, cold_start, trace_id, target] = OWN_KEYS;
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);

    set(timestamp, line.time.to_string().into());
    set(level, line.level.as_str().into());
    set(message, line.fields.message.into());
    set(service, SERVICE.into());
    if let Some(invocation) = line.invocation {
        set(request_id, invocation.request_id.into());
        set(cold_start, invocation.cold_start.into());
        if let Some(id) = invocation.xray_trace_id {
            set(trace_id, id.into());
        }
    }
    if let Some(dependency) = line.dependency {
        set(target, dependency.into());
    }
    for (name, value) in line.fields.values {
        if OWN_KEYS.contains(&name.as_str()) {
            set(&format!("field.{name}"), value);
        } else {
            set(&name, value);
        }
    }

    format!("{}\n", escaped_json(Value::Object(object).to_string()))
}
