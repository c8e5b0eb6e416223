//! The context of one `sync`: its dependencies, settings and options, and what is known so far.
//!
//! The methods of [`SyncInvocation`] are beside what they do: `mod.rs` (run, read, finish), `decide.rs` (`load_state`,
//! `decide`), `answer.rs` (answers), `outcome.rs` (`conclude`), `feed.rs`, `athena.rs` and `old_snapshots.rs` (what
//! follows publishing).

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use clerk_snapshot::manifest::RunStats;
use tokio::time::Instant;
use tracing::warn;

use crate::clerk::client::Client;
use crate::config::Config;
use crate::dependencies::Dependencies;
use crate::event::SyncOptions;
use crate::invocation::Invocation;
use crate::sync::checkpoint::lease::LeasedCheckpoint;
use crate::sync::error::Pause;
use crate::sync::publish::PublishOutcome;
use crate::sync::run::stats;
use crate::sync::run::warnings::Warnings;

/// One invocation that handles a `sync`, from the event to the answer.
pub(crate) struct SyncInvocation<'a> {
    pub dependencies: &'a Dependencies,
    pub config: &'a Config,
    pub options: &'a SyncOptions,
    pub invocation: &'a Invocation,
    pub started: Instant,
    /// Set once there is a client for Clerk.
    pub client_use: Mutex<Option<ClientUse>>,
    /// Why the run in progress was abandoned, if it was.
    pub abandoned: OnceLock<&'static str>,
    /// Warnings that become part of the answer.
    pub warnings: Arc<Warnings>,
}

/// The client, which counts the requests of this invocation, and what the run had spent before.
pub(crate) struct ClientUse {
    pub client: Arc<Client>,
    pub before: RunStats,
}

/// How far an invocation got, if nothing failed.
pub(crate) enum Step {
    /// Nothing is left to read: the snapshot is published, or held back by the shrink guard.
    Finished(PublishOutcome),
    /// The next invocation continues.
    Paused(Pause),
}

impl SyncInvocation<'_> {
    /// Logs that the run in progress is abandoned, and remembers why for the answer.
    pub(crate) fn abandon(&self, reason: &'static str) {
        warn!("abandoning the run in progress: {reason}");
        self.abandoned.get_or_init(|| reason);
    }

    pub(crate) fn note_client(&self, client: &Arc<Client>, before: RunStats) {
        *self.client_use.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(ClientUse { client: Arc::clone(client), before });
    }

    /// What the run has spent, including this invocation.
    pub(crate) fn stats(&self, leased: &LeasedCheckpoint) -> RunStats {
        let client_use = self.client_use.lock().unwrap_or_else(PoisonError::into_inner);
        match &*client_use {
            Some(client_use) => stats(&client_use.client, client_use.before, self.started),
            None => {
                let before = leased.with_checkpoint(|checkpoint| checkpoint.stats);
                RunStats {
                    invocations: before.invocations + 1,
                    elapsed_seconds: before.elapsed_seconds + self.started.elapsed().as_secs_f64(),
                    ..before
                }
            }
        }
    }
}
