//! All integration tests of clerk-access, in one program. Each file shows what one command promises, through
//! [`clerk_access::program::run`]; a few start the program itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

mod support;
mod world;

// What every command does.
mod completeness;
mod damage;
mod formats;
mod program;
mod usage;

// The commands.
mod access;
mod can;
mod compare;
mod diff;
mod docs;
mod export;
mod findings;
mod holders;
mod mcp;
mod ocsf;
mod removal;
mod signature;
mod snapshots;
mod stats;
mod verify;
mod who;
