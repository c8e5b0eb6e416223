//! clerk-sync copies a Clerk instance's access data (who has access to what) to S3 or a folder, as NDJSON with a
//! manifest.
//!
//! The modules, in the order in which data flows through them:
//!
//! - [`lambda`] and [`program`] are the two ways to start. Both pass one event to
//!   [`handler::handle`].
//! - On the program's command line, [`arguments`] tells an event from a command, and `commands` makes the event that
//!   a command stands for; `answer_text` words the answer for a terminal.
//! - [`config`] parses the settings and [`event`] the request. [`dependencies`] holds the store,
//!   the secret, the connection to Clerk and the clock; an [`invocation`] has the request id and
//!   how long the work may take.
//! - [`sync`] is the main job: it continues the run in progress or starts one, reads Clerk's lists,
//!   checkpoints as it goes, and publishes the snapshot. [`check`] tests whether a sync would work;
//!   [`lookup`] reads one resource and writes nothing. [`changes`] writes what changed with each
//!   published snapshot, and [`athena`] writes lists of its files.
//! - [`lists`] is the table of Clerk's lists, and [`paging`] reads one of them page by page.
//! - [`clerk`] sends the requests, all of them GET, with the [`secret_key`] that [`secret_source`]
//!   reads. [`signing`] signs manifests. [`work_limit`] and [`time_limit`] stop the work in time.
//! - [`translate`] turns Clerk's rows into records; [`redaction`] replaces personal data in them
//!   before they become lines.
//! - The crate [`clerk_snapshot`] defines records, parts and the manifest; the crate
//!   [`clerk_store`] keeps them in S3 or in a folder.
//! - [`response`] and [`error`] are what the caller gets; [`telemetry`], [`progress`] and
//!   [`invocation_metrics`] show what happens meanwhile.
//! - All of them use [`clock`], [`time_budget`] and [`panics`].
//!
//! Two crates beside this one use no code of it: `clerk-access` queries snapshots, and
//! `clerk-sandbox` is the synthetic Clerk of the tests.
//!
//! To see how a row gets from Clerk into a part, read [`sync`] and then `src/sync/read/list.rs`.
//! `docs/architecture.md` describes the same in prose, with the promises and where the code keeps
//! each of them.

pub mod lambda;
pub mod program;

#[cfg(feature = "cli")]
mod answer_text;
pub mod arguments;
#[cfg(feature = "cli")]
pub mod commands;

pub mod handler;

pub mod config;
pub mod dependencies;
pub mod event;
pub mod invocation;

pub mod athena;
pub mod changes;
pub mod check;
pub mod lookup;
pub mod sync;

pub mod lists;
pub mod paging;

pub mod clerk;
pub mod secret_key;
pub mod secret_source;
pub mod signing;
pub mod time_limit;
pub mod work_limit;

pub mod translate;

pub mod error;
pub mod invocation_metrics;
pub mod progress;
pub mod response;
pub mod telemetry;

pub mod clock;
pub mod panics;
pub mod redaction;
pub mod time_budget;
