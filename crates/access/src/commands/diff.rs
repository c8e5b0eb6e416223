//! `diff`: what changed between two snapshots.

use std::collections::BTreeMap;

use clap::Args;
use clerk_snapshot::compare::summary::DatasetSummary;
use clerk_snapshot::compare::{Class, Classes, Comparison, Summary};
use clerk_snapshot::resource::Dataset;
use serde::Serialize;

use super::change_names::Names;
use super::{change_row, changes};
use crate::archive::Which;
use crate::envelope::{Envelope, SnapshotFacts};
use crate::error::Error;
use crate::output::{Cell, Column, List, Row};
use crate::session::{Outcome, Session};

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  clerk-access diff\n  clerk-access diff 2026-09-30 --class access --exit-code\n  \
    clerk-access diff -o ocsf"
)]
pub struct Arguments {
    /// The older snapshot, named as for --snapshot
    #[arg(value_name = "FROM", default_value = "previous", allow_hyphen_values = true)]
    pub from: Which,

    /// The newer snapshot, named as for --snapshot
    #[arg(value_name = "TO", default_value = "latest", allow_hyphen_values = true)]
    pub to: Which,

    /// Only changes of these classes: access, security, identity, activity
    #[arg(long, value_name = "CLASS", value_delimiter = ',', default_value = "access,security", value_parser = class)]
    pub class: Vec<Class>,

    /// Only changes in these datasets
    #[arg(long, value_name = "DATASET", value_delimiter = ',', value_parser = dataset)]
    pub only: Vec<Dataset>,

    /// How many changes there are, instead of each
    #[arg(long)]
    pub summary: bool,
}

/// The counts of a comparison, by dataset.
pub const SUMMARY: List = List {
    name: "datasets",
    columns: &[
        Column::shown("dataset", "Dataset"),
        Column::shown("result", "Result"),
        Column::shown("reason", "Reason"),
        Column::shown("added", "Added"),
        Column::shown("removed", "Removed"),
        Column::shown("changed", "Changed"),
        Column::shown("records", "Baseline"),
    ],
};

/// The classes that are compared if none are named, as the default of `--class` says.
#[must_use]
pub fn usual_classes() -> Vec<Class> {
    Classes::DEFAULT.iter().collect()
}

fn class(text: &str) -> Result<Class, String> {
    let names: Vec<_> = Class::ALL.iter().map(|class| class.name()).collect();
    Class::from_name(text).ok_or_else(|| format!("a class is {}", names.join(", ")))
}

fn dataset(text: &str) -> Result<Dataset, String> {
    Dataset::from_name(text)
        .ok_or_else(|| "it is not the name of a dataset, such as users or grants".to_owned())
}

/// What is written beside the changes.
#[derive(Debug, Serialize)]
struct Counts {
    datasets: BTreeMap<Dataset, DatasetSummary>,
    events: BTreeMap<String, u64>,
}

/// Lists the changes in the order of the comparison; in a table, by what happened and to whom, with names.
///
/// # Errors
/// [`Error`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    if arguments.summary && session.output.is_events() {
        return Err(Error::refused(
            "-o ocsf writes an event for each change; leave out --summary, or choose another format with -o",
        ));
    }
    let from = session.choose(&arguments.from).await?;
    let to = session.choose(&arguments.to).await?;
    let only = Some(arguments.only.as_slice()).filter(|only| !only.is_empty());
    let mut comparison =
        Comparison::new(&from, &to)?.classes(arguments.class.iter().copied().collect::<Classes>());
    if let Some(only) = only {
        comparison = comparison.only(only.iter().copied());
    }
    let mut envelope = Envelope {
        snapshot: Some(SnapshotFacts::of(&to)),
        from: Some(SnapshotFacts::of(&from)),
        ..Envelope::without_snapshot(&session.command)
    };
    let asked = only.map_or(changes::Asked::Everything, changes::Asked::Named);
    envelope.add_incomplete(changes::incomplete(&from, &to, asked));
    let instance_id = &to.manifest().instance.id;
    let summary = if arguments.summary {
        let mut writer = changes::Writer::new(&mut session.output, &|_| false, instance_id);
        let summary = writer.run(&comparison).await?;
        let rows: Vec<_> =
            summary.datasets.iter().map(|(dataset, counts)| SummaryRow(*dataset, counts)).collect();
        session.output.document(&envelope, &SUMMARY, &counts(&summary), rows)?;
        summary
    } else {
        session.output.begin(&envelope, &change_row::DIFF)?;
        let (archive, progress) = (session.archive.clone(), session.progress);
        let names = Names { archive, progress, snapshots: [&to, &from] };
        let writer = changes::Writer::new(&mut session.output, &|_| true, instance_id);
        let summary = writer.with_names(names).run(&comparison).await?;
        session.output.end(&counts(&summary))?;
        summary
    };
    let found = summary
        .datasets
        .values()
        .map(|counts| counts.added + counts.removed + counts.changed)
        .sum::<u64>();
    Ok(Outcome { has_findings: found > 0, ..envelope.into() })
}

fn counts(summary: &Summary) -> Counts {
    Counts { datasets: summary.datasets.clone(), events: summary.events.clone() }
}

/// A dataset's counts.
#[derive(Debug, Serialize)]
struct SummaryRow<'a>(Dataset, &'a DatasetSummary);

impl Row for SummaryRow<'_> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let Self(dataset, counts) = self;
        let result = serde_json::to_value(counts.result)
            .ok()
            .and_then(|result| Some(result.as_str()?.to_owned()));
        vec![vec![
            dataset.name().into(),
            result.into(),
            counts.reason.as_deref().into(),
            counts.added.into(),
            counts.removed.into(),
            counts.changed.into(),
            counts.records.into(),
        ]]
    }
}
