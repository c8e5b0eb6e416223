//! `status`: shows the run in progress and the newest snapshot.

use clap::Args;

use super::place::Place;

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clerk-sync status --into ./snapshots")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) place: Place,
}
