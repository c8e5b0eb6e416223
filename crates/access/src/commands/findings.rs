//! `findings`: what a reviewer should look at first.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::envelope::{Envelope, SnapshotFacts};
use crate::error::{ArgumentError, Error};
use crate::findings::Search;
use crate::findings::finding::{Finding, LIST};
use crate::findings::needs::Needs;
use crate::output::{Destination, OutputError};
use crate::rules::{DEFAULTS, Language, Rule, Settings};
use crate::session::{Outcome, Session};

/// Arguments of `findings`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clerk-access findings\n  \
    clerk-access findings --rule disabled-with-access,dormant-with-access --exit-code\n  \
    clerk-access findings --print-rules > rules.yaml\n  \
    clerk-access findings --rules rules.yaml --out findings.xlsx")]
pub struct Arguments {
    /// What the rules ask for, from this YAML or TOML file; --print-rules writes one to start from
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,

    /// Only these rules, also if the rules file turns them off
    #[arg(long = "rule", value_name = "NAME", value_enum, value_delimiter = ',')]
    pub only: Vec<Rule>,

    /// Write the rules file that holds without one, and read no snapshot
    #[arg(long, conflicts_with_all = ["rules", "only"])]
    pub print_rules: bool,
}

impl Arguments {
    /// Writes the rules file that holds without one.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn print(mut destination: Destination<'_>) -> Result<(), OutputError> {
        destination.write(DEFAULTS.as_bytes())?;
        destination.finish()
    }
}

/// Lists the findings by severity, then rule, then name and id of their subject. The answer begins when everything that
/// the first of them need was read and checked.
///
/// # Errors
/// [`Error`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let settings = settings(arguments, session)?;
    let snapshot = session.snapshot().await?;
    let needs = Needs::of(&settings, snapshot.manifest());
    let incomplete = needs.incomplete();
    let envelope = Envelope {
        snapshot: Some(SnapshotFacts::of(&snapshot)),
        complete: incomplete.is_empty(),
        incomplete,
        ..Envelope::without_snapshot(&session.command)
    };
    let (archive, progress) = (session.archive.clone(), session.progress);
    let search = Search::new(settings, needs, archive, snapshot, progress).await?;
    let output = &mut session.output;
    let mut has_findings = false;
    let mut emit = |finding: &Finding<'_>| {
        if !std::mem::replace(&mut has_findings, true) {
            output.begin(&envelope, &LIST)?;
        }
        Ok(output.row(finding)?)
    };
    search.each(&mut emit).await?;
    if !has_findings {
        session.output.begin(&envelope, &LIST)?;
    }
    session.output.end(&())?;
    Ok(Outcome { has_findings, ..envelope.into() })
}

fn settings(arguments: &Arguments, session: &Session<'_>) -> Result<Settings, Error> {
    let mut settings = match &arguments.rules {
        None => Settings::defaults(),
        Some(path) => read(path, session)?,
    };
    if !arguments.only.is_empty() {
        settings.keep_only(&arguments.only);
    }
    Ok(settings)
}

fn read(path: &Path, session: &Session<'_>) -> Result<Settings, Error> {
    let failed = |problem: String| {
        Error::Argument(ArgumentError::File {
            what: "the rules file",
            path: path.display().to_string(),
            problem,
        })
    };
    let text = std::fs::read_to_string(session.folder.join(path)).map_err(|error| {
        failed(format!("cannot be read: {error}; `--print-rules` prints one to start from"))
    })?;
    Settings::parse(&text, Language::of_file(path)).map_err(|error| failed(error.to_string()))
}
