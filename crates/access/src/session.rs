//! What a command works with, and what it ends with.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::timestamp::Timestamp;

use crate::archive::{Archive, Which};
use crate::envelope::{Envelope, Need};
use crate::error::Error;
use crate::output::Output;
use crate::progress::Progress;

/// What a command works with.
pub struct Session<'a> {
    /// The snapshots.
    pub archive: Archive,
    /// Which of them is asked for.
    pub which: Which,
    /// The time from which ages are counted.
    pub now: Timestamp,
    /// The arguments of the command line, for the envelope.
    pub command: Vec<String>,
    /// Where the answer goes.
    pub output: Output<'a>,
    /// What `--out` names.
    pub out: Option<PathBuf>,
    /// The working folder, to which relative paths are added.
    pub folder: PathBuf,
    /// Shows how far long work is.
    pub progress: Progress,
    /// Standard input.
    pub input: Box<dyn Read + Send>,
}

impl Session<'_> {
    /// The snapshot that `--snapshot` asks for.
    ///
    /// # Errors
    /// [`Error::Choose`].
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        self.choose(&self.which).await
    }

    /// Any snapshot.
    ///
    /// # Errors
    /// [`Error::Choose`].
    pub async fn choose(&self, which: &Which) -> Result<Snapshot, Error> {
        Ok(self.archive.choose(which, self.now).await?)
    }

    /// The envelope of an answer about one snapshot that needs these datasets.
    #[must_use]
    pub fn envelope(&self, snapshot: &Snapshot, needs: &[Need]) -> Envelope {
        Envelope::new(snapshot, needs, &self.command)
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("archive", &self.archive).finish_non_exhaustive()
    }
}

/// What a command ends with; the exit status follows from it.
#[derive(Debug)]
pub struct Outcome {
    /// The envelope of the answer.
    pub envelope: Envelope,
    /// Whether there is what `--exit-code` reports: changes, findings or undecided rows.
    pub has_findings: bool,
    /// Whether what is stored is not what was written.
    pub is_damaged: bool,
}

impl From<Envelope> for Outcome {
    /// An answer without anything that `--exit-code` reports.
    fn from(envelope: Envelope) -> Self {
        Self { envelope, has_findings: false, is_damaged: false }
    }
}

impl Outcome {
    /// The exit status: 6 if what is stored is not what was written; 5 if the answer is not complete, also where it
    /// would be 4 otherwise.
    #[must_use]
    pub fn exit_status(&self, exit_code: bool, allow_incomplete: bool) -> u8 {
        if self.is_damaged {
            6
        } else if !self.envelope.complete && !allow_incomplete {
            5
        } else if exit_code && self.has_findings {
            4
        } else {
            0
        }
    }
}
