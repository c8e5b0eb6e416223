//! `check`: tests what a sync needs.

use std::path::Path;

use clap::Args;

use super::chosen::Chosen;
use super::place::Place;
use crate::config::Environment;

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clerk-sync check --into ./snapshots --resources users,organizations"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    chosen: Chosen,
}

impl Arguments {
    /// The settings, in which the options replace those of the same meaning, whatever these hold. `current` is the
    /// folder that a relative one is in.
    ///
    /// # Errors
    /// What is wrong with an option. The event of a check has no field that would be looked at later.
    pub(super) fn settings(
        &self,
        environment: Environment,
        current: &Path,
    ) -> Result<Environment, String> {
        self.chosen.judge()?;
        Ok(self.chosen.settings(self.place.settings(environment, current)?))
    }
}
