//! Every promise of clerk-sync, a file each, most of them through the handler.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

mod support;

mod config;
mod events;
mod fuzz;
mod properties;
mod records;
mod store;

mod activity;
mod answers;
mod by_owner;
mod certificates;
mod chaos;
mod charged;
mod closure;
mod conditions;
mod distance;
mod drift;
mod endless;
mod equality;
mod errors;
mod finished;
mod forecast;
mod guard;
mod hostile;
mod ids;
mod key_changes;
mod lambda;
mod lease;
mod limiter;
mod limits;
mod lists;
mod lookup;
mod meaning;
mod panics;
mod program;
mod progress;
mod redaction;
mod refused;
mod resume;
mod secrecy;
mod settle;
mod snapshot;
mod start;
mod store_faults;
mod succession;
mod values;
mod who_must_act;
mod windows;
mod wire;
