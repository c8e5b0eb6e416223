//! `changes`: writes the changes that are owed, or sums up what changed between two snapshots.

use clap::Args;
use serde_json::{Value, json};

use super::place::Place;

/// Arguments of `changes`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clerk-sync changes --from 20261120T035200Z-3f9a1c --to 20261121T040348Z-e4072d"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) place: Place,

    /// The id of the snapshot that changes are counted from
    #[arg(long, value_name = "SNAPSHOT", requires = "to")]
    from: Option<String>,

    /// The id of the snapshot that they lead to
    #[arg(long, value_name = "SNAPSHOT", requires = "from")]
    to: Option<String>,
}

impl Arguments {
    /// The event.
    pub(super) fn event(&self) -> Value {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => json!({"action": "changes", "from": from, "to": to}),
            _ => json!({"action": "changes"}),
        }
    }
}
