//! Records the fields of an event or span as JSON values.

use std::error::Error;
use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};

use crate::error::with_causes;

/// The name under which tracing passes an event's message.
const MESSAGE: &str = "message";

/// Fields in the order in which they were recorded. A field that is recorded again replaces its
/// value.
#[derive(Default)]
pub(super) struct Fields {
    /// The message; empty if there is none.
    pub(super) message: String,
    pub(super) values: Map<String, Value>,
}

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            (MESSAGE, Value::String(text)) => self.message = text,
            (MESSAGE, other) => self.message = other.to_string(),
            // The name of a field that is a keyword is a raw identifier.
            (name, value) => {
                let name = name.strip_prefix("r#").unwrap_or(name);
                self.values.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    /// JSON has no infinities and no NaN: they become `null`.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    /// The error and its causes, outermost first.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, with_causes(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into());
    }
}
