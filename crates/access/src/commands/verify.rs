//! `verify`: whether a snapshot is what was written, and whole.

use std::path::PathBuf;

use clap::Args;
use clerk_snapshot::reader::{Damage, ReadError, Snapshot};
use p256::ecdsa::VerifyingKey;

use crate::archive::{Archive, ChooseError, ScanError, Which};
use crate::envelope::{Envelope, SnapshotFacts};
use crate::error::Error;
use crate::progress::Progress;
use crate::session::{Outcome, Session};
use crate::verify::check::{Check, LIST, Problems};
use crate::verify::targets::Target;
use crate::verify::{content, manifest, public_key, signature, targets};

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clerk-access verify\n  clerk-access verify 2026-09-30\n  \
    clerk-access --url s3://acme-audit/clerk verify --all -o csv\n  \
    clerk-access verify --public-key signing-key.pem")]
pub struct Arguments {
    /// Which snapshot, as --snapshot takes it [default: that of --snapshot]
    // Not the id of the option of every command, which clap would set as well.
    #[arg(id = "snap", value_name = "SNAP", allow_hyphen_values = true, conflicts_with = "all")]
    pub snapshot: Option<Which>,

    /// All snapshots that are published or have a manifest, newest first
    #[arg(long)]
    pub all: bool,

    /// Check the signature of the manifest with this public key, in PEM or DER; more than one after a change of key
    #[arg(long, value_name = "FILE")]
    pub public_key: Vec<PathBuf>,

    /// With `all`: not those that are newer than the one of this id.
    #[arg(skip)]
    pub until: Option<String>,
}

/// Lists the checks, newest snapshot first. What is wrong with a snapshot is a check that is not ok, and exit status 6.
///
/// # Errors
/// [`Error`] if there is no such snapshot, if a public key cannot be used, or if something gives no answer.
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let keys = arguments.public_key.iter().map(|path| public_key::read(path, &session.folder));
    let keys: Vec<VerifyingKey> = keys.collect::<Result<_, _>>()?;
    let which = arguments.snapshot.as_ref().unwrap_or(&session.which);
    let (archive, progress) = (session.archive.clone(), session.progress);
    let mut targets = targets::find(&archive, which, arguments.all, session.now).await?;
    if let Some(until) = &arguments.until {
        let place = targets.iter().position(|target| target.id == *until);
        let place = place.ok_or_else(|| ChooseError::NotFound {
            wanted: format!("with the id {until}"),
            url: archive.url().to_owned(),
        })?;
        targets.drain(..place);
    }
    let mut envelope = Envelope::without_snapshot(&session.command);
    envelope.add_unknown(targets.iter().flat_map(|target| &target.unknown));
    let (mut is_damaged, mut has_begun) = (false, false);
    for target in targets {
        let (snapshot, checks) = match check(&target, &keys, &archive, &progress).await {
            Err(error) if arguments.all && error.is_removal() => (None, vec![removal(&target)]),
            checked => checked?,
        };
        if !std::mem::replace(&mut has_begun, true) {
            envelope.unopened = Some(target.id.clone()).filter(|_| snapshot.is_none());
            envelope.add_unknown(snapshot.iter().flat_map(Snapshot::unknown_datasets));
            envelope.snapshot = snapshot.as_ref().map(SnapshotFacts::of);
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

/// All checks of a snapshot, and the snapshot; `None` if it cannot be opened.
async fn check(
    target: &Target,
    keys: &[VerifyingKey],
    archive: &Archive,
    progress: &Progress,
) -> Result<(Option<Snapshot>, Vec<Check>), Error> {
    let opened = manifest::check(archive, target).await.map_err(ChooseError::from)?;
    let (first, snapshot) = opened;
    let mut checks = vec![first];
    if !keys.is_empty() {
        let sha256 = snapshot.as_ref().map(|snapshot| snapshot.manifest_sha256());
        let signed = signature::check(archive, target, sha256, keys).await;
        checks.push(signed.map_err(ChooseError::from)?);
    }
    if let Some(snapshot) = &snapshot {
        let chain = manifest::check_previous(archive, snapshot).await;
        checks.push(chain.map_err(ChooseError::from)?);
        match content::check(archive, snapshot, progress).await {
            Err(ScanError::Read(ReadError::Removed { url }))
                if target.is_latest(archive).await.map_err(ChooseError::from)? =>
            {
                // Nobody removes what latest.json names, whatever a file says.
                let mut missing = Problems::default();
                missing.add(|| format!("{url}: {}", Damage::Missing));
                checks.push(missing.into_check(&target.id, "parts", String::new()));
            }
            content => checks.extend(content?),
        }
    }
    Ok((snapshot, checks))
}

/// What is said of one snapshot among all of them that is being removed.
fn removal(target: &Target) -> Check {
    let detail = "It is being removed, so that files of it are missing.".to_owned();
    Problems::default().into_check(&target.id, "removal", detail)
}
