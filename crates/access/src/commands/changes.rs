//! What `diff` and `history` have in common: the envelope of a comparison, and where its records go.

use async_trait::async_trait;
use clerk_snapshot::compare::sink::SinkError;
use clerk_snapshot::compare::verdict::{DatasetResult, NOT_IN_RESOURCES, Verdict};
use clerk_snapshot::compare::{Change, Comparison, Sink, Summary};
use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;

use super::change_names::Names;
use super::change_row::ChangeRow;
use super::fold::{self, Folded};
use crate::error::Error;
use crate::incomplete::{BY_A_NEWER_VERSION, Incomplete, NOT_COMPARED, Named, PARTIAL};
use crate::ocsf::Event;
use crate::ocsf::record::Record;
use crate::output::{Output, OutputError};

/// What a comparison is asked about.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// Everything.
    Everything,
    /// These datasets, by name.
    Named(&'a [Dataset]),
    /// Those of these datasets that there are.
    Among(&'a [Dataset]),
}

impl Asked<'_> {
    fn has(self, dataset: Dataset) -> bool {
        match self {
            Self::Everything => true,
            Self::Named(datasets) | Self::Among(datasets) => datasets.contains(&dataset),
        }
    }
}

/// Which datasets a comparison does not say everything about.
#[must_use]
pub fn incomplete(from: &Snapshot, to: &Snapshot, asked: Asked<'_>) -> Vec<Incomplete> {
    let unknown = from.unknown_datasets().iter().chain(to.unknown_datasets());
    let unknown = unknown.filter(|_| matches!(asked, Asked::Everything)).map(|name| {
        let reason = Some(BY_A_NEWER_VERSION.to_owned());
        Incomplete::between(Named::Unknown(name.clone()), NOT_COMPARED, reason)
    });
    let (from, to) = (from.manifest(), to.manifest());
    let datasets = Dataset::ALL.iter().filter(|&&dataset| asked.has(dataset));
    let known = datasets.filter_map(|&dataset| {
        let is_there = [from, to].iter().any(|side| side.datasets.contains_key(&dataset));
        if !is_there {
            let reason = Some(NOT_IN_RESOURCES.to_owned());
            return matches!(asked, Asked::Named(_))
                .then(|| Incomplete::between(dataset, NOT_COMPARED, reason));
        }
        let Verdict { result, reason, .. } = Verdict::on(dataset, from, to);
        let status = match result {
            DatasetResult::NotCompared => NOT_COMPARED,
            DatasetResult::Partial => PARTIAL,
            DatasetResult::Compared | DatasetResult::Baseline => {
                let drifted = [from, to].into_iter().filter_map(|side| side.datasets.get(&dataset));
                let mut drifted = drifted.filter(|entry| entry.status == DatasetStatus::Drifted);
                drifted.next().map(|_| "drifted")?
            }
        };
        Some(Incomplete::between(dataset, status, reason))
    });
    known.chain(unknown).collect()
}

/// Writes the records that are wanted, as a person or as a program reads them.
pub struct Writer<'a, 'o> {
    output: &'a mut Output<'o>,
    is_wanted: &'a (dyn Fn(&Change<'_>) -> bool + Sync),
    /// For a table.
    folded: Option<Folded>,
    names: Option<Names<'a>>,
    /// For events: the Clerk instance.
    instance_id: &'a str,
    written: u64,
    failed: Option<OutputError>,
}

impl<'a, 'o> Writer<'a, 'o> {
    /// Writes to `output`, which has begun, what changed in the Clerk instance `instance_id`.
    pub fn new(
        output: &'a mut Output<'o>,
        is_wanted: &'a (dyn Fn(&Change<'_>) -> bool + Sync),
        instance_id: &'a str,
    ) -> Self {
        let folded = output.is_table().then(Folded::default);
        Self { output, is_wanted, folded, names: None, instance_id, written: 0, failed: None }
    }

    /// Shows names beside ids in a table.
    #[must_use]
    pub fn with_names(mut self, names: Names<'a>) -> Self {
        self.names = Some(names);
        self
    }

    /// Writes the records of a comparison.
    ///
    /// # Errors
    /// [`Error::Compare`], [`Error::Scan`] or [`Error::Output`].
    pub async fn run(&mut self, comparison: &Comparison<'_>) -> Result<Summary, Error> {
        let done = comparison.run(self).await;
        if let Some(failed) = self.failed.take() {
            return Err(failed.into());
        }
        let summary = done?;
        if let Some(folded) = &mut self.folded {
            let mut rows = folded.take();
            if let Some(names) = &self.names {
                names.fill(&mut rows, !self.output.is_narrow()).await?;
            }
            fold::write(rows, self.output)?;
        }
        Ok(summary)
    }

    /// How many records were written.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, change: &Change<'_>, line: &[u8]) -> Result<(), OutputError> {
        match &mut self.folded {
            Some(folded) => folded.add(change, self.output),
            None if self.output.is_events() => {
                let record = Record::of(change);
                self.output.row(&Event::of(change, &record, self.instance_id))
            }
            None => self.output.row(&ChangeRow::new(change, line)?),
        }
    }
}

#[async_trait]
impl Sink for Writer<'_, '_> {
    async fn change(&mut self, change: &Change<'_>, line: &[u8]) -> Result<(), SinkError> {
        if !(self.is_wanted)(change) {
            return Ok(());
        }
        self.written += 1;
        // The typed error is kept aside, and the comparison ends with any.
        self.write(change, line).map_err(|error| {
            self.failed = Some(error);
            SinkError::from("the answer cannot be written")
        })
    }
}

impl std::fmt::Debug for Writer<'_, '_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Writer").field("written", &self.written).finish_non_exhaustive()
    }
}
