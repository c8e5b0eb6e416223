//! clerk-sync copies who has access to what in a Clerk instance to S3 or a folder, as NDJSON with a
//! manifest.
//!
//! The modules stand in the order the data flows through them:
//!
//! - [`lambda`] and [`program`] are the two ways to start it; both end in [`handler::handle`].
//! - [`event`] and [`config`] say what is wanted, [`dependencies`] what it is done with.
//! - [`sync`] is the main job: it finds the run in progress or begins one, reads what is missing,
//!   checkpoints as it goes, and publishes. [`check`] looks whether it could; [`lookup`] reads one
//!   thing and writes nothing.
//! - [`secret_source`] reads the [`secret_key`]; [`clerk`] asks Clerk for pages, within
//!   [`work_limit`].
//! - [`redaction`] replaces personal data in rows, [`snapshot`] turns rows into records, records into
//!   parts, parts into a manifest.
//! - [`store`] keeps all of it in S3 or in a folder.
//! - [`buffers`] are memory for bodies and lines, which the next page uses again.
//! - [`response`] and [`error`] are what comes back; [`telemetry`], [`progress`] and
//!   [`invocation_metrics`] what is seen meanwhile.
//!
//! `docs/architecture.md` tells the same in prose, with the promises and where each is kept.

pub mod lambda;
pub mod program;

pub mod handler;

pub mod config;
pub mod dependencies;
pub mod event;
pub mod invocation;

pub mod check;
pub mod lookup;
pub mod sync;

pub mod lists;
pub mod paging;

pub mod clerk;
pub mod secret_key;
pub mod secret_source;
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
