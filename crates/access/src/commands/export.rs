//! `export`: datasets, flat, for sheets and other programs.

use std::io;
use std::path::Path;

use clap::{Args, ValueEnum};
use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;
use serde::Serialize;

use super::needs;
use crate::envelope::{Envelope, Need};
use crate::error::Error;
use crate::flat::{Flat, FlatRow};
use crate::memberships::membership::{Membership, Order};
use crate::memberships::selection::Selection;
use crate::output::{Cell, Column, Destination, Format, List, Output, OutputError, Row};
use crate::session::{Outcome, Session};

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clerk-access export users --format csv --out users.csv\n  \
    clerk-access export all --out snapshot.xlsx\n  \
    clerk-access export all --format csv --out ./sheets\n  \
    clerk-access export grants --format vanta --out access.csv")]
pub struct Arguments {
    /// A dataset, such as users or grants, or all: a file for each in the folder that --out names, or one workbook
    #[arg(value_name = "DATASET", value_parser = What::parse)]
    pub what: What,

    /// How to write it [default: as --out is called, else csv]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<ExportFormat>,
}

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Every dataset of the snapshot.
    All,
    /// One dataset.
    One(Dataset),
}

/// How datasets are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Comma-separated values with a line of column names
    Csv,
    /// A workbook of Excel; needs --out
    Xlsx,
    /// A flat JSON object a line, and the envelope in the last one
    Ndjson,
    /// Of grants: a membership a line, as an import of user access wants it (CSV)
    Vanta,
}

impl What {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        Dataset::from_name(text).map(Self::One).ok_or_else(|| {
            let names: Vec<_> = Dataset::ALL.iter().map(|dataset| dataset.name()).collect();
            format!("the datasets are {}; all is every one of them", names.join(", "))
        })
    }
}

impl ExportFormat {
    const fn of_output(self) -> Format {
        match self {
            Self::Csv | Self::Vanta => Format::Csv,
            Self::Xlsx => Format::Xlsx,
            Self::Ndjson => Format::Ndjson,
        }
    }
}

impl Arguments {
    /// The format of the answer. `asked` is what the option for every command asks for, `out` what `--out` names.
    #[must_use]
    pub fn answer_format(&self, asked: Option<Format>, out: Option<&Path>) -> Option<Format> {
        if self.writes_folder(out) { asked } else { Some(self.file_format(asked, out)) }
    }

    /// Whether `--out` names a folder for several files.
    #[must_use]
    pub fn writes_folder(&self, out: Option<&Path>) -> bool {
        self.what == What::All && self.file_format(None, out) != Format::Xlsx
    }

    /// The format of the exported data: what `--format` says, else what the option for every command says, else what
    /// the file is called, else CSV.
    fn file_format(&self, asked: Option<Format>, out: Option<&Path>) -> Format {
        let explicit = self.format.map(ExportFormat::of_output);
        let of_name = || out.and_then(Format::of_file);
        explicit.or(asked).or_else(of_name).unwrap_or(Format::Csv)
    }
}

/// Exports a dataset, or all of the snapshot.
///
/// # Errors
/// [`Error`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let snapshot = session.snapshot().await?;
    match (arguments.what, arguments.format) {
        (What::One(Dataset::Grants), Some(ExportFormat::Vanta)) => vanta(&snapshot, session).await,
        (_, Some(ExportFormat::Vanta)) => Err(Error::refused(
            "--format vanta is a list of memberships; use it with grants: clerk-access export \
             grants --format vanta",
        )),
        (What::One(dataset), _) => {
            let envelope = session.envelope(&snapshot, &[need(dataset)]);
            write(&[dataset], &snapshot, envelope, session).await
        }
        (What::All, _) => {
            let datasets: Vec<Dataset> = snapshot.manifest().datasets.keys().copied().collect();
            let needs: Vec<Need> = datasets.iter().copied().map(need).collect();
            let mut envelope = session.envelope(&snapshot, &needs);
            envelope.add_unknown(snapshot.unknown_datasets());
            let out = session.out.clone();
            if !arguments.writes_folder(out.as_deref()) {
                return write(&datasets, &snapshot, envelope, session).await;
            }
            let format = arguments.file_format(None, out.as_deref());
            let folder = out.ok_or_else(|| {
                Error::refused(
                    "export all writes a file for each dataset; name a folder with --out",
                )
            })?;
            write_files((&folder, format), &datasets, &snapshot, envelope, session).await
        }
    }
}

/// What makes an export of a dataset complete. Grants without those of memberships say nothing of members.
const fn need(dataset: Dataset) -> Need {
    match dataset {
        Dataset::Grants => Need::Memberships,
        other => Need::Dataset(other),
    }
}

/// Writes datasets into the answer: one, or in a workbook several, a sheet each.
async fn write(
    datasets: &[Dataset],
    snapshot: &Snapshot,
    envelope: Envelope,
    session: &mut Session<'_>,
) -> Result<Outcome, Error> {
    let (archive, progress) = (session.archive.clone(), session.progress);
    let output = &mut session.output;
    for (place, &dataset) in datasets.iter().enumerate() {
        let flat = Flat::of(dataset);
        if place == 0 {
            output.begin(&envelope, flat.list)?;
        } else {
            output.next_list(flat.list)?;
        }
        let take = |row: FlatRow| Ok::<_, Error>(output.row(&row)?);
        archive.stream(snapshot, dataset, &progress, |line| flat.row(line), take).await?;
    }
    output.end(&())?;
    Ok(envelope.into())
}

/// The files that were written.
const FILES: List = List {
    name: "files",
    columns: &[
        Column::shown("dataset", "Dataset"),
        Column::shown("file", "File"),
        Column::shown("records", "Records"),
    ],
};

/// A file that was written.
#[derive(Debug, Serialize)]
struct File {
    dataset: Dataset,
    file: String,
    records: u64,
}

impl Row for File {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![vec![self.dataset.name().into(), self.file.as_str().into(), self.records.into()]]
    }
}

/// Writes a file for each dataset into a folder, and lists the files. Each appears when it is complete.
async fn write_files(
    (folder, format): (&Path, Format),
    datasets: &[Dataset],
    snapshot: &Snapshot,
    envelope: Envelope,
    session: &mut Session<'_>,
) -> Result<Outcome, Error> {
    make_folder(folder)
        .map_err(|source| OutputError::File { path: folder.display().to_string(), source })?;
    let mut files = Vec::new();
    let extension = if format == Format::Ndjson { "ndjson" } else { "csv" };
    for &dataset in datasets {
        let path = folder.join(format!("{dataset}.{extension}"));
        let envelope = session.envelope(snapshot, &[need(dataset)]);
        let mut nowhere = io::sink();
        let mut output = Output::new(format, Destination::file(&mut nowhere, &path)?, None)?;
        let flat = Flat::of(dataset);
        output.begin(&envelope, flat.list)?;
        let mut records = 0;
        let take = |row: FlatRow| {
            records += 1;
            Ok::<_, Error>(output.row(&row)?)
        };
        let (archive, progress) = (session.archive.clone(), session.progress);
        archive.stream(snapshot, dataset, &progress, |line| flat.row(line), take).await?;
        output.end(&())?;
        files.push(File { dataset, file: path.display().to_string(), records });
    }
    session.output.begin(&envelope, &FILES)?;
    for file in &files {
        session.output.row(file)?;
    }
    session.output.end(&())?;
    Ok(envelope.into())
}

/// Makes a folder that only its owner may read, if there is none: the files hold personal data.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// What an import of user access wants of a membership.
const ACCOUNTS: List = List {
    name: "accounts",
    columns: &[
        Column::shown("Account name", "Account name"),
        Column::shown("Account owner", "Account owner"),
        Column::shown("Role", "Role"),
        Column::shown("Status", "Status"),
    ],
};

/// A membership as an account.
#[derive(Debug, Serialize)]
struct Account<'a> {
    #[serde(rename = "Account name")]
    name: &'a str,
    #[serde(rename = "Account owner")]
    owner: Option<&'a str>,
    #[serde(rename = "Role")]
    role: Option<String>,
    #[serde(rename = "Status")]
    status: Option<&'a str>,
}

impl Row for Account<'_> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![vec![
            self.name.into(),
            self.owner.into(),
            self.role.as_deref().into(),
            self.status.into(),
        ]]
    }
}

/// Writes a row for each membership, by the organization's name and then their id. Somebody without an address is named
/// by id.
async fn vanta(snapshot: &Snapshot, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let envelope = session.envelope(snapshot, needs::MEMBERS);
    let memberships = needs::memberships(session, snapshot).await?;
    let write = |membership: &Membership<'_>, output: &mut Output<'_>| {
        let roles: Vec<_> = membership.roles.iter().map(|held| held.role.key.as_str()).collect();
        Ok(output.row(&Account {
            name: membership.user.primary_email.unwrap_or(membership.user.id),
            owner: membership.user.display_name,
            role: Some(roles.join("; ")).filter(|roles| !roles.is_empty()),
            status: membership.user.status,
        })?)
    };
    let rows = (&ACCOUNTS, write);
    needs::list(&memberships, Selection::default(), Order::Membership, envelope, rows, session)
        .await
}
