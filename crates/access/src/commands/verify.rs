//! `verify`: whether a snapshot is what was written, and whole.

use clap::Args;

use crate::archive::{ChooseError, Which};
use crate::envelope::{Envelope, SnapshotFacts};
use crate::error::Error;
use crate::session::{Outcome, Session};
use crate::verify::check::{Check, LIST};
use crate::verify::{content, manifest, targets};

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clerk-access verify\n  clerk-access verify 2026-09-30\n  \
    clerk-access --url s3://acme-audit/clerk verify --all -o csv")]
pub struct Arguments {
    /// Which snapshot, as --snapshot takes it [default: that of --snapshot]
    #[arg(value_name = "SNAP", allow_hyphen_values = true, conflicts_with = "all")]
    pub snapshot: Option<Which>,

    /// All snapshots that are published or have a manifest, newest first
    #[arg(long)]
    pub all: bool,
}

/// Lists the checks, newest snapshot first. What is wrong with a snapshot is a check that is not ok, and exit status 6.
///
/// # Errors
/// [`Error`] if there is no such snapshot, or if something gives no answer.
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let which = arguments.snapshot.as_ref().unwrap_or(&session.which);
    let archive = session.archive.clone();
    let targets = targets::find(&archive, which, arguments.all, session.now).await?;
    let mut envelope = Envelope::without_snapshot(&session.command);
    let (mut is_damaged, mut has_begun) = (false, false);
    for target in targets {
        let opened = manifest::check(&archive, &target).await.map_err(ChooseError::from)?;
        let (first, snapshot) = opened;
        let mut checks: Vec<Check> = vec![first];
        if let Some(snapshot) = &snapshot {
            let chain = manifest::check_previous(&archive, snapshot).await;
            checks.push(chain.map_err(ChooseError::from)?);
            checks.extend(content::check(&archive, snapshot, &session.progress).await?);
        }
        if !std::mem::replace(&mut has_begun, true) {
            envelope.snapshot = snapshot.as_ref().map(SnapshotFacts::of);
            envelope.unopened = Some(target.id.clone()).filter(|_| snapshot.is_none());
            session.output.begin(&envelope, &LIST)?;
        }
        for check in &checks {
            is_damaged |= !check.ok;
            session.output.row(check)?;
        }
    }
    session.output.end(&())?;
    Ok(Outcome { is_damaged, ..envelope.into() })
}
