//! What every answer says first: the snapshot that was taken, and whether the answer is complete.

use clerk_snapshot::compare::verdict::NOT_IN_RESOURCES;
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::manifest::{DatasetStatus, Instance, Manifest};
use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_snapshot::timestamp::Timestamp;
use serde::Serialize;

use crate::incomplete::{self, BY_A_NEWER_VERSION, Incomplete, NOT_IN_SNAPSHOT, Named, PARTIAL};
use crate::unmatched::Unmatched;

/// What every answer says first.
#[derive(Debug, Clone, Serialize)]
pub struct Envelope {
    /// The snapshot that was taken; `None` if nothing is published.
    pub snapshot: Option<SnapshotFacts>,
    /// The older one, if two are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SnapshotFacts>,
    /// Whether every dataset that the answer needs is there and verified.
    pub complete: bool,
    /// Those that are not.
    pub incomplete: Vec<Incomplete>,
    /// The arguments of the command line.
    pub command: Vec<String>,
    /// Arguments that nothing in the snapshot matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<Unmatched>,
    /// The snapshot that was asked for, if it could not be opened: there is one, and the answer says what is wrong.
    #[serde(skip)]
    pub unopened: Option<String>,
    /// Further sentences for a person.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// Which snapshot was taken.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotFacts {
    /// Its id.
    pub snapshot_id: String,
    /// When its run started.
    pub started_at: Timestamp,
    /// When its last dataset was complete.
    pub completed_at: Timestamp,
    /// Whether no dataset drifted or failed.
    pub verified: bool,
    /// SHA-256 of its manifest.
    pub manifest_sha256: Sha256Hex,
    /// The Clerk instance.
    pub instance: Instance,
}

/// Something that an answer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A dataset.
    Dataset(Dataset),
    /// Who is a member of which organization: the grants that come from memberships.
    Memberships,
}

impl Envelope {
    /// The envelope of an answer about one snapshot.
    #[must_use]
    pub fn new(snapshot: &Snapshot, needs: &[Need], command: &[String]) -> Self {
        let incomplete = incomplete(snapshot.manifest(), needs);
        Self {
            snapshot: Some(SnapshotFacts::of(snapshot)),
            from: None,
            complete: incomplete.is_empty(),
            incomplete,
            command: command.to_vec(),
            unmatched: Vec::new(),
            unopened: None,
            notes: Vec::new(),
        }
    }

    /// The envelope of an answer that is about no snapshot in particular, or about one that is not known yet.
    #[must_use]
    pub fn without_snapshot(command: &[String]) -> Self {
        Self {
            snapshot: None,
            from: None,
            complete: true,
            incomplete: Vec::new(),
            command: command.to_vec(),
            unmatched: Vec::new(),
            unopened: None,
            notes: Vec::new(),
        }
    }

    /// Adds the datasets of these names, which this version does not know, to an answer that needs everything.
    pub fn add_unknown<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        self.add_incomplete(names.into_iter().map(|name| {
            let reason = Some(BY_A_NEWER_VERSION.to_owned());
            Incomplete::new(Named::Unknown(name.clone()), "unknown", reason)
        }));
    }

    /// Adds what is missing, each thing once, however many snapshots lack it.
    pub fn add_incomplete(&mut self, incomplete: impl IntoIterator<Item = Incomplete>) {
        for missing in incomplete {
            if !self.incomplete.iter().any(|known| known.reads_as(&missing)) {
                self.incomplete.push(missing);
                self.complete = false;
            }
        }
    }

    /// Whether a dataset that the answer needs is not whole.
    #[must_use]
    pub fn lacks(&self, dataset: Dataset) -> bool {
        self.incomplete.iter().any(|missing| missing.dataset == Named::Known(dataset))
    }

    /// Sentences for a person: which snapshot was taken, then what is missing.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        match (&self.from, &self.snapshot) {
            (Some(from), Some(to)) => sentences.push(format!("From {from} to {to}.")),
            (None, Some(snapshot)) => sentences.push(format!("Snapshot {snapshot}.")),
            (_, None) => sentences.push(match &self.unopened {
                Some(id) => format!("Snapshot {id} cannot be opened."),
                None => "Nothing is published.".to_owned(),
            }),
        }
        sentences.extend(self.warnings());
        sentences
    }

    /// Sentences about what is missing; none if the answer is complete.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if !self.complete {
            let missing = incomplete::sentences(&self.incomplete).join(" ");
            sentences.push(format!(
                "NOT COMPLETE: {missing} What is not listed here may exist all the same."
            ));
        }
        sentences.extend(self.unmatched.iter().map(Unmatched::sentence));
        sentences.extend(self.notes.iter().cloned());
        sentences
    }
}

impl SnapshotFacts {
    /// The facts of a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let manifest = snapshot.manifest();
        Self {
            snapshot_id: manifest.snapshot_id.clone(),
            started_at: manifest.started_at,
            completed_at: manifest.completed_at,
            verified: manifest.verified,
            manifest_sha256: *snapshot.manifest_sha256(),
            instance: manifest.instance.clone(),
        }
    }
}

impl std::fmt::Display for SnapshotFacts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verified = if self.verified { "verified" } else { "not verified" };
        write!(formatter, "{} (completed {}, {verified})", self.snapshot_id, self.completed_at)
    }
}

/// Which of the needed datasets are not whole.
#[must_use]
pub fn incomplete(manifest: &Manifest, needs: &[Need]) -> Vec<Incomplete> {
    needs.iter().filter_map(|need| incomplete_need(manifest, *need)).collect()
}

fn incomplete_need(manifest: &Manifest, need: Need) -> Option<Incomplete> {
    let dataset = match need {
        Need::Dataset(dataset) => dataset,
        Need::Memberships => Dataset::Grants,
    };
    let (status, reason) = match manifest.datasets.get(&dataset) {
        None => (NOT_IN_SNAPSHOT, Some(NOT_IN_RESOURCES.to_owned())),
        Some(entry) => match entry.status {
            DatasetStatus::Skipped
            | DatasetStatus::Failed
            | DatasetStatus::Drifted
            | DatasetStatus::Unknown => (entry.status.name(), entry.reason.clone()),
            DatasetStatus::Verified => {
                // Roles and machines give grants, too: those alone say nothing of members.
                let memberships = Resource::OrganizationMemberships;
                let says_nothing =
                    need == Need::Memberships && !manifest.resources.contains(&memberships);
                let reason = Some(memberships.name().to_owned());
                return says_nothing.then(|| Incomplete::new(dataset, PARTIAL, reason));
            }
        },
    };
    Some(Incomplete::new(dataset, status, reason))
}
