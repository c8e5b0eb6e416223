//! `--into`: where the snapshots are, for the commands that need no other setting.

use std::path::Path;

use clap::Args;
use clerk_store::SnapshotUrl;

use crate::config::Environment;

/// The option `--into`.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Where the snapshots are, or are to be, instead of SNAPSHOT_URL: s3://bucket[/prefix] or a folder, which need not
    /// exist
    #[arg(long, value_name = "URL-or-folder", value_hint = clap::ValueHint::DirPath)]
    into: Option<String>,
}

impl Place {
    /// The settings, in which the option replaces `SNAPSHOT_URL`, whatever that holds. `current` is the folder that a
    /// relative one is in.
    ///
    /// # Errors
    /// What is wrong with the option.
    pub(super) fn settings(
        &self,
        environment: Environment,
        current: &Path,
    ) -> Result<Environment, String> {
        let Some(into) = &self.into else { return Ok(environment) };
        let url = SnapshotUrl::of_argument(into, current)
            .map_err(|reason| format!("--into {reason}, or name a folder on this machine"))?;
        Ok(environment.with("SNAPSHOT_URL", &url.to_string()))
    }
}
