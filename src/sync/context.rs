//! One `sync` and what it works with.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use clerk_snapshot::manifest::RunFacts;
use tokio::time::Instant;
use tracing::warn;

use crate::clerk::client::Client;
use crate::config::Config;
use crate::dependencies::Dependencies;
use crate::error::Error;
use crate::event::SyncOptions;
use crate::invocation::Invocation;
use crate::sync::checkpoint::lease::Keeper;
use crate::sync::error::Stop;
use crate::sync::run::facts;
use crate::sync::run::warnings::Warnings;

/// One `sync` and what it works with.
pub(crate) struct Sync<'a> {
    pub dependencies: &'a Dependencies,
    pub config: &'a Config,
    pub options: &'a SyncOptions,
    pub invocation: &'a Invocation,
    pub started: Instant,
    /// Set while Clerk is read.
    pub reading: Mutex<Option<Reading>>,
    /// Why the run in progress was given up, if it was.
    pub gave_up: OnceLock<&'static str>,
    /// What is to be said beside how it ended.
    pub warnings: Arc<Warnings>,
}

/// Who counts the requests of this invocation, and what the run had taken before it.
pub(crate) struct Reading {
    pub client: Arc<Client>,
    pub before: RunFacts,
}

/// How the work ended that did not end well.
pub(crate) enum Failed {
    Stop(Stop),
    Error(Error),
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl Sync<'_> {
    pub(crate) fn give_up(&self, reason: &'static str) {
        warn!("abandoning the run in progress: {reason}");
        self.gave_up.get_or_init(|| reason);
    }

    pub(crate) fn note_reading(&self, client: &Arc<Client>, before: RunFacts) {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Reading { client: Arc::clone(client), before });
    }

    /// What the run has taken, this invocation included.
    pub(crate) fn facts(&self, keeper: &Keeper) -> RunFacts {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match &*reading {
            Some(reading) => facts(&reading.client, reading.before, self.started),
            None => {
                let before = keeper.read(|checkpoint| checkpoint.run);
                RunFacts {
                    invocations: before.invocations + 1,
                    elapsed_seconds: before.elapsed_seconds + self.started.elapsed().as_secs_f64(),
                    ..before
                }
            }
        }
    }
}
