//! Checks what an agent gave to a tool.

use clerk_snapshot::compare::Class;
use clerk_snapshot::resource::Dataset;
use clerk_store::quoted::{Quoted, looks_like_a_key};
use serde_json::{Map, Value};

use super::arguments::{Argument, USUAL_LIMIT, rows};
use crate::archive::Which;
use crate::error::Error;
use crate::rules::Rule;

/// Arguments that the tool takes, each with a value that it takes.
#[derive(Debug)]
pub struct Given {
    tool: &'static str,
    values: Map<String, Value>,
}

impl Given {
    /// Checks values against the arguments of the tool of that name.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the argument and says what is accepted.
    pub fn check(
        tool: &'static str,
        arguments: &[&Argument],
        values: Map<String, Value>,
    ) -> Result<Self, Error> {
        let names: Vec<&str> = arguments.iter().map(|argument| argument.name).collect();
        if let Some(name) = values.keys().find(|name| !names.contains(&name.as_str())) {
            return Err(Error::refused(format!(
                "{tool} has no argument {}; it takes {}",
                Quoted(name),
                names.join(", ")
            )));
        }
        for argument in arguments {
            check_value(tool, argument, values.get(argument.name))?;
        }
        Ok(Self { tool, values })
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_str()
    }

    /// A text that the tool needs; it is there.
    #[must_use]
    pub fn needed(&self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_owned()
    }

    /// Whether a flag is given and true.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.values.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A snapshot.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the argument.
    pub fn snapshot(&self, name: &str) -> Result<Option<Which>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let which = text.parse::<Which>();
        which.map(Some).map_err(|error| {
            Error::refused(format!("the argument `{name}` of {}: {error}", self.tool))
        })
    }

    /// Classes of changes.
    #[must_use]
    pub fn classes(&self, name: &str) -> Vec<Class> {
        self.words(name).filter_map(Class::from_name).collect()
    }

    /// Datasets.
    #[must_use]
    pub fn datasets(&self, name: &str) -> Vec<Dataset> {
        self.words(name).filter_map(Dataset::from_name).collect()
    }

    /// Rules.
    #[must_use]
    pub fn rules(&self, name: &str) -> Vec<Rule> {
        self.words(name).filter_map(Rule::from_name).collect()
    }

    /// The words of a list; none if it is not given.
    pub fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    /// Most rows of the page.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.values.get("limit").and_then(rows).unwrap_or(USUAL_LIMIT)
    }

    /// The cursor.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.text("cursor")
    }

    /// The question without where its page begins and how long it is: the same text for the same question, in whatever
    /// order the arguments were given.
    #[must_use]
    pub fn question(&self) -> String {
        let mut own: Vec<_> = self
            .values
            .iter()
            .filter(|(name, _)| !["limit", "cursor"].contains(&name.as_str()))
            .collect();
        own.sort_by_key(|(name, _)| *name);
        let own: Vec<String> = own.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}\n{}", self.tool, own.join("\n"))
    }
}

fn check_value(tool: &str, argument: &Argument, value: Option<&Value>) -> Result<(), Error> {
    let (name, takes) = (argument.name, argument.takes);
    let accepted = takes.in_words();
    let refused = |problem: String| Err(Error::refused(problem));
    match value {
        None if argument.is_required => {
            refused(format!("{tool} needs the argument `{name}`: {accepted}"))
        }
        None => Ok(()),
        Some(value) if !takes.accepts(value) => {
            refused(format!("the argument `{name}` of {tool} must be {accepted}"))
        }
        Some(value) if value.as_str().is_some_and(looks_like_a_key) => refused(format!(
            "the argument `{name}` of {tool} looks like a key of Clerk's; clerk-access needs none"
        )),
        Some(_) => Ok(()),
    }
}
