//! `--resources`: what is copied, for the commands that ask Clerk for lists.

use clap::Args;
use serde_json::Value;

use crate::config::Environment;
use crate::event::resources;

/// The option `--resources`.
#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// What to copy, instead of RESOURCES: names separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    resources: Option<Vec<String>>,
}

impl Chosen {
    /// The settings, in which the option replaces `RESOURCES`, whatever that holds.
    pub(super) fn settings(&self, environment: Environment) -> Environment {
        match self.names() {
            Some(names) => environment.with("RESOURCES", &names.join(",")),
            None => environment,
        }
    }

    /// The event's field `resources`.
    pub(super) fn field(&self) -> Option<Value> {
        self.names().map(Value::from)
    }

    /// Finds a name that is unknown.
    ///
    /// # Errors
    /// What is wrong with the option.
    pub(super) fn judge(&self) -> Result<(), String> {
        self.field().map_or(Ok(()), |names| resources(&names).map(drop))
    }

    /// The items of the option. As in the setting, an empty item does not count.
    fn names(&self) -> Option<Vec<String>> {
        let items = self.resources.as_ref()?.iter().map(|name| name.trim());
        Some(items.filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}
