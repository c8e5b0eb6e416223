//! The comparison of two snapshots, from beginning to end.

use std::collections::{BTreeMap, BTreeSet};

use super::causes::{CAUSES, Causes};
use super::class::Classes;
use super::differences::Differences;
use super::draft::Drafts;
use super::error::CompareError;
use super::field_table::classes_of;
use super::find::{self, Sides};
use super::hash::Hashes;
use super::limits::Limits;
use super::report::Report;
use super::sink::Sink;
use super::summary::{CHANGES_FORMAT, Compared, DatasetSummary, Summary, Tally};
use super::verdict::{DatasetResult, Verdict};
use crate::manifest::DatasetStatus;
use crate::reader::Snapshot;
use crate::resource::Dataset;

/// Compares two snapshots of one instance.
///
/// - Records come by dataset in the manifest's order, and within one by the hash of their id: the same two snapshots
///   give the same bytes.
/// - Parts that both sides have are not read. Others are read once, and again if something in them differs.
/// - Memory is bounded by [`Limits`], whatever the size of the snapshots.
#[derive(Debug)]
pub struct Comparison<'a> {
    from: &'a Snapshot,
    to: &'a Snapshot,
    classes: Classes,
    only: Option<BTreeSet<Dataset>>,
    limits: Limits,
    hashes: Hashes,
}

/// A comparison in progress.
struct Progress {
    verdicts: BTreeMap<Dataset, Verdict>,
    /// What differs in datasets that had to be read before their turn.
    found: BTreeMap<Dataset, Differences>,
    causes: Causes,
    /// The datasets whose additions and removals are in `causes`.
    noted: BTreeSet<Dataset>,
    tally: Tally,
}

impl<'a> Comparison<'a> {
    /// Compares `from` with `to`, for changes of [`Classes::DEFAULT`] in all datasets.
    ///
    /// # Errors
    /// [`CompareError::DifferentInstances`].
    pub fn new(from: &'a Snapshot, to: &'a Snapshot) -> Result<Self, CompareError> {
        if from.manifest().instance.id != to.manifest().instance.id {
            let (from, to) = (from.id().to_owned(), to.id().to_owned());
            return Err(CompareError::DifferentInstances { from, to });
        }
        let (classes, limits, hashes) = (Classes::DEFAULT, Limits::default(), Hashes::new());
        Ok(Self { from, to, classes, only: None, limits, hashes })
    }

    /// Asks for these classes.
    #[must_use]
    pub const fn classes(mut self, classes: Classes) -> Self {
        self.classes = classes;
        self
    }

    /// Asks for these datasets alone. Their records are the same as without it.
    #[must_use]
    pub fn only(mut self, datasets: impl IntoIterator<Item = Dataset>) -> Self {
        self.only = Some(datasets.into_iter().collect());
        self
    }

    /// Bounds the memory.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets ids collide: only the first `bits` of their hashes count.
    #[cfg(test)]
    pub(super) const fn id_bits(mut self, bits: u32) -> Self {
        self.hashes.id_bits = bits;
        self
    }

    /// Hands every record to `sink`, and returns what they add up to.
    ///
    /// # Errors
    /// [`CompareError::Read`] if a part is missing, damaged or cannot be read, also if records were handed out before;
    /// [`CompareError::TemporaryFile`], [`CompareError::Sink`] and [`CompareError::Stopped`].
    pub async fn run(&self, sink: &mut dyn Sink) -> Result<Summary, CompareError> {
        let mut progress = self.begin();
        self.find_causes(&mut progress, sink).await?;
        let datasets: Vec<_> = progress.verdicts.keys().copied().collect();
        for dataset in datasets {
            if self.is_asked_for(dataset) {
                self.report(dataset, self.classes, &mut progress, sink).await?;
            }
        }
        Ok(self.summary(progress))
    }

    fn begin(&self) -> Progress {
        let (from, to) = (self.from.manifest(), self.to.manifest());
        let datasets: BTreeSet<_> =
            from.datasets.keys().chain(to.datasets.keys()).copied().collect();
        let verdict = |dataset| (dataset, Verdict::on(dataset, from, to));
        let verdicts: BTreeMap<_, _> = datasets.into_iter().map(verdict).collect();
        let entry = |(&dataset, verdict)| (dataset, DatasetSummary::new(dataset, verdict, to));
        let tally = Tally::of(verdicts.iter().map(entry).collect());
        let causes = Causes::new(self.limits.entries / 8, self.limits.temporary_folder.clone());
        Progress { verdicts, found: BTreeMap::new(), causes, noted: BTreeSet::new(), tally }
    }

    /// Whether the dataset can have a record that was asked for.
    fn is_asked_for(&self, dataset: Dataset) -> bool {
        self.is_among_datasets(dataset) && classes_of(dataset).intersects(self.classes)
    }

    fn is_among_datasets(&self, dataset: Dataset) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&dataset))
    }

    /// If a grant or an entitlement may have come or gone with something else, finds out what else did, as far as its
    /// own turn is too late or never comes.
    async fn find_causes(
        &self,
        progress: &mut Progress,
        sink: &mut dyn Sink,
    ) -> Result<(), CompareError> {
        let mut is_needed = false;
        for dataset in [Dataset::Entitlements, Dataset::Grants] {
            if self.is_asked_for(dataset) {
                self.find(dataset, progress, sink).await?;
                let found = progress.found.get(&dataset);
                is_needed |= found.is_some_and(Differences::may_add_or_remove);
            }
        }
        for (_, dataset) in CAUSES.into_iter().filter(|_| is_needed) {
            if !self.is_asked_for(dataset) || dataset > Dataset::Entitlements {
                self.report(dataset, Classes::NONE, progress, sink).await?;
            }
        }
        Ok(())
    }

    /// Finds what differs in a dataset, unless that is known or nothing may be said.
    async fn find(
        &self,
        dataset: Dataset,
        progress: &mut Progress,
        sink: &mut dyn Sink,
    ) -> Result<(), CompareError> {
        let verdict = progress.verdicts.get(&dataset).filter(|verdict| verdict.has_records());
        let Some(verdict) = verdict.filter(|_| !progress.found.contains_key(&dataset)) else {
            return Ok(());
        };
        let found = find::differences(self.sides(), dataset, verdict, sink).await?;
        progress.found.insert(dataset, found);
        Ok(())
    }

    /// Hands out the records of a dataset.
    async fn report(
        &self,
        dataset: Dataset,
        classes: Classes,
        progress: &mut Progress,
        sink: &mut dyn Sink,
    ) -> Result<(), CompareError> {
        self.find(dataset, progress, sink).await?;
        let Progress { verdicts, found, causes, noted, tally } = progress;
        let notes_causes = noted.insert(dataset);
        let (Some(verdict), Some(mut differences)) =
            (verdicts.get(&dataset), found.remove(&dataset))
        else {
            return Ok(());
        };
        let (from, to) = (self.from.manifest(), self.to.manifest());
        let drafts = Drafts { from, to, dataset, verdict };
        let report = Report { sides: self.sides(), drafts, classes, causes, notes_causes, tally };
        report.run(&mut differences, sink).await?;
        // Its turn for the records may come later.
        if classes == Classes::NONE && self.is_asked_for(dataset) {
            found.insert(dataset, differences);
        }
        Ok(())
    }

    const fn sides(&self) -> Sides<'_> {
        Sides { from: self.from, to: self.to, limits: &self.limits, hashes: &self.hashes }
    }

    fn summary(&self, progress: Progress) -> Summary {
        // Of a dataset that is asked for by name and that neither side has, nothing can be said.
        let mut named = self.only.iter().flatten();
        let are_named_there = named.all(|dataset| progress.verdicts.contains_key(dataset));
        let are_complete = progress.verdicts.iter().all(|(&dataset, verdict)| {
            !self.is_among_datasets(dataset) || self.is_complete(dataset, verdict)
        });
        let complete = are_named_there && are_complete;
        let Tally { datasets, events, privileged_granted, highlights } = progress.tally;
        Summary {
            format: CHANGES_FORMAT.to_owned(),
            from: Compared::of(self.from),
            to: Compared::of(self.to),
            classes: self.classes.iter().collect(),
            complete,
            datasets,
            events,
            privileged_granted,
            highlights: highlights.into_iter().map(|(_, record)| record).collect(),
            parts: Vec::new(),
        }
    }

    fn is_complete(&self, dataset: Dataset, verdict: &Verdict) -> bool {
        let drifted = [self.from, self.to].iter().any(|side| {
            let entry = side.manifest().datasets.get(&dataset);
            entry.is_some_and(|entry| entry.status == DatasetStatus::Drifted)
        });
        !drifted && matches!(verdict.result, DatasetResult::Compared | DatasetResult::Baseline)
    }
}
