//! `clerk-access`: answers questions about the snapshots that clerk-sync writes.
//!
//! It reads below `SNAPSHOT_URL` and knows nothing of Clerk's API. In the order in which a question goes through:
//!
//! - [`environment`] is what the program takes from its process; [`program`] runs it, from arguments to exit status.
//! - [`cli`] is the command line; [`place`] says where the snapshots are, [`archive`] finds and reads them.
//! - [`commands`] has a file for each question, which works with a [`session`].
//! - [`people`], [`organizations`] and [`catalogue`] find what arguments name; [`memberships`] are what most questions
//!   are about.
//! - [`lines`] understands the lines of these datasets; [`names`] compares names, [`texts`] keeps many in little memory.
//! - [`rules`] says what findings are, [`findings`] looks for them; [`ranked`] picks rows in order in bounded memory.
//! - [`verify`] holds a snapshot against what was written, with the [`schemas`] of its lines.
//! - [`statistics`] counts; [`list_of_people`] reads a list from elsewhere; [`flat`] makes rows of records.
//! - [`envelope`] is what each answer says first: also what it lacks ([`incomplete`]), and what arguments name nothing
//!   ([`unmatched`]). [`output`] writes it in the formats that there are, and [`ocsf`] makes events of changes.
//! - [`mcp`] asks the same questions for agents.
//! - [`progress`] shows how far long work is; [`error`] is what can go wrong.

pub mod archive;
pub mod catalogue;
pub mod cli;
pub mod commands;
pub mod envelope;
pub mod environment;
pub mod error;
pub mod findings;
pub mod flat;
pub mod incomplete;
pub mod lines;
pub mod list_of_people;
pub mod mcp;
pub mod memberships;
pub mod names;
pub mod ocsf;
pub mod organizations;
pub mod output;
pub mod people;
pub mod place;
pub mod program;
pub mod progress;
pub mod ranked;
pub mod rules;
pub mod schemas;
pub mod session;
pub mod statistics;
pub mod texts;
pub mod unmatched;
pub mod verify;
