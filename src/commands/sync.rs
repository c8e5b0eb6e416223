//! `sync`: continues the run in progress, or starts one.

use std::path::Path;

use clap::Args;
use serde_json::{Map, Number, Value};

use super::chosen::Chosen;
use super::place::Place;
use crate::config::Environment;

/// Arguments of `sync`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clerk-sync sync --into ./snapshots --resources users,organizations"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    chosen: Chosen,

    /// How long to work before pausing, instead of TIME_BUDGET_SECONDS; decimals are accepted
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    time_budget: Option<Number>,

    /// Copy even if the newest snapshot is fresh enough
    #[arg(long)]
    force: bool,

    /// Abandon the run in progress and start a new one
    #[arg(long)]
    restart: bool,

    /// Publish a snapshot that the shrink guard holds
    #[arg(long)]
    accept_shrink: bool,
}

impl Arguments {
    /// The event, with a field for each option that is given.
    pub(super) fn event(&self) -> Value {
        let mut event = Map::from_iter([("action".to_owned(), "sync".into())]);
        if let Some(names) = self.chosen.field() {
            event.insert("resources".to_owned(), names);
        }
        if let Some(seconds) = &self.time_budget {
            event.insert("time_budget_seconds".to_owned(), seconds.clone().into());
        }
        for (field, is_given) in [
            ("force", self.force),
            ("restart", self.restart),
            ("accept_shrink", self.accept_shrink),
        ] {
            if is_given {
                event.insert(field.to_owned(), true.into());
            }
        }
        Value::Object(event)
    }

    /// The settings, in which the options replace those of the same meaning, whatever these hold.
    /// `current` is the folder that a relative one is in.
    ///
    /// # Errors
    /// What is wrong with `--into`.
    pub(super) fn settings(
        &self,
        environment: Environment,
        current: &Path,
    ) -> Result<Environment, String> {
        let mut environment = self.chosen.settings(self.place.settings(environment, current)?);
        if let Some(seconds) = &self.time_budget {
            environment = environment.with("TIME_BUDGET_SECONDS", &seconds.to_string());
        }
        Ok(environment)
    }
}

/// A number as it is written in an event: whole where it is given as a whole number.
fn seconds(text: &str) -> Result<Number, String> {
    let whole = text.parse::<u64>().ok().map(Number::from);
    let decimal = || text.parse::<f64>().ok().and_then(Number::from_f64);
    whole.or_else(decimal).ok_or_else(|| "a number of seconds is needed".to_owned())
}
