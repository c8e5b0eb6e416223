//! Every promise of clerk-sync, a file each, most of them through the handler.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

mod support;

mod config;
mod events;
mod records;
mod store;

mod snapshot;
