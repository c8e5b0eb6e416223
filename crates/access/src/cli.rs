//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser};

use crate::archive::Which;
use crate::commands::Command;
use crate::output::Format;

/// Answers questions about who has access to what, from the snapshots that clerk-sync writes.
///
/// Reads below SNAPSHOT_URL and nothing else, and needs no key of Clerk's. Each answer says which snapshot it was taken
/// from, and whether that snapshot has everything that the answer needs.
#[derive(Debug, Parser)]
#[command(
    name = "clerk-access",
    version,
    arg_required_else_help = true,
    after_help = EXIT_STATUSES,
    after_long_help = EXIT_STATUSES,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub options: Options,
    /// The question.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_STATUSES: &str = "\
Exit status:
  0  answered, also with nothing found
  1  error
  2  the command line, the snapshot or the instance is wrong
  4  with --exit-code: there are changes, findings or undecided rows
  5  answered, but the snapshot lacks something that the answer needs
  6  what is stored is not what was written

Example:
  clerk-access --url ./out who ada@example.com";

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Options {
    /// Where the snapshots are: s3://bucket/prefix, or a folder [default: SNAPSHOT_URL, then ./out]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,

    /// Which snapshot: latest, previous, an id or its beginning, a date (2026-09-30), an age (-7d, -12h) [default: latest]
    #[arg(long, global = true, value_name = "SNAP", allow_hyphen_values = true)]
    pub snapshot: Option<Which>,

    /// How to write the answer [default: table on a terminal, else json]
    #[arg(short, long, global = true, value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,

    /// Write the answer to this file, which appears only when it is complete
    #[arg(long, global = true, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Exit with 4 if there are changes, findings or undecided rows
    #[arg(long, global = true)]
    pub exit_code: bool,

    /// Exit with 0 or 4 instead of 5 if the snapshot lacks something that the answer needs
    #[arg(long, global = true)]
    pub allow_incomplete: bool,
}
