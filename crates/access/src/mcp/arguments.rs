//! Describes what the tools take.

use clerk_snapshot::compare::Class;
use clerk_snapshot::resource::Dataset;
use serde_json::{Map, Value, json};

use crate::rules::Rule;

/// An argument of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Whether the tool needs it.
    pub is_required: bool,
    /// What it means, for an agent.
    pub description: &'static str,
}

/// What an argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A text.
    Text,
    /// Yes or no.
    Flag,
    /// A number of rows.
    Rows,
    /// A list of classes of changes.
    Classes,
    /// A list of datasets.
    Datasets,
    /// A list of rules.
    Rules,
}

/// Most characters of a text. Answers repeat what was asked, so it is bounded, far above every address, name and id.
pub const LONGEST_TEXT: usize = 1_000;
/// Rows of a page without `limit`.
pub const USUAL_LIMIT: u64 = 100;
/// Most rows of a page.
pub const HIGHEST_LIMIT: u64 = 1_000;

/// What every tool takes beside its own arguments.
pub const OF_EVERY_TOOL: [Argument; 2] = [
    optional("limit", Takes::Rows, "Most rows of this page."),
    optional(
        "cursor",
        Takes::Text,
        "`next_cursor` of the page before, to continue that answer: repeat its other arguments.",
    ),
];

/// An argument that may be left out.
#[must_use]
pub const fn optional(name: &'static str, takes: Takes, description: &'static str) -> Argument {
    Argument { name, takes, is_required: false, description }
}

/// A text that a tool needs.
#[must_use]
pub const fn required(name: &'static str, description: &'static str) -> Argument {
    Argument { name, takes: Takes::Text, is_required: true, description }
}

impl Takes {
    /// The words that a list may have; none if it takes no list.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Self::Classes => Class::ALL.iter().map(|class| class.name()).collect(),
            Self::Datasets => Dataset::ALL.iter().map(|dataset| dataset.name()).collect(),
            Self::Rules => Rule::ALL.iter().map(|rule| rule.name()).collect(),
            Self::Text | Self::Flag | Self::Rows => Vec::new(),
        }
    }

    /// Whether it takes this value, as the JSON Schema says.
    #[must_use]
    pub fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Text => value.as_str().is_some_and(|it| it.chars().count() <= LONGEST_TEXT),
            Self::Flag => value.is_boolean(),
            Self::Rows => rows(value).is_some(),
            Self::Classes | Self::Datasets | Self::Rules => {
                let words = self.words();
                let is_word = |it: &Value| it.as_str().is_some_and(|it| words.contains(&it));
                value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_word))
            }
        }
    }

    /// What it takes, in words for an error message.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::Text => format!("a text of at most {LONGEST_TEXT} characters"),
            Self::Flag => "true or false".to_owned(),
            Self::Rows => format!("a whole number from 1 to {HIGHEST_LIMIT}"),
            Self::Classes | Self::Datasets | Self::Rules => {
                format!("a list of one or more of {}", self.words().join(", "))
            }
        }
    }

    fn schema(self) -> Map<String, Value> {
        let schema = match self {
            Self::Text => json!({"type": "string", "maxLength": LONGEST_TEXT}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Rows => json!({
                "type": "integer", "minimum": 1, "maximum": HIGHEST_LIMIT, "default": USUAL_LIMIT,
            }),
            Self::Classes | Self::Datasets | Self::Rules => json!({
                "type": "array", "minItems": 1, "items": {"type": "string", "enum": self.words()},
            }),
        };
        match schema {
            Value::Object(schema) => schema,
            _ => Map::new(),
        }
    }
}

/// A number of rows. To JSON Schema, 100.0 is whole, too.
#[must_use]
pub fn rows(value: &Value) -> Option<u64> {
    let whole = |number: f64| (number.fract() == 0.0 && number >= 0.0).then_some(number as u64);
    let rows = value.as_u64().or_else(|| value.as_f64().and_then(whole))?;
    (1..=HIGHEST_LIMIT).contains(&rows).then_some(rows)
}

/// The JSON Schema of arguments.
#[must_use]
pub fn schema(arguments: &[&Argument]) -> Map<String, Value> {
    let property = |argument: &&Argument| {
        let mut schema = argument.takes.schema();
        schema.insert("description".to_owned(), argument.description.into());
        (argument.name.to_owned(), Value::Object(schema))
    };
    let required: Vec<&str> =
        arguments.iter().filter(|it| it.is_required).map(|it| it.name).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), Value::Object(arguments.iter().map(property).collect()));
    schema.insert("required".to_owned(), required.into());
    schema.insert("additionalProperties".to_owned(), false.into());
    schema
}
