//! The commands, a file for each. To add a question, add its file and its variant to [`Question`] and [`answer`].

pub mod access;
pub mod can;
pub mod change_names;
pub mod change_row;
pub mod changes;
pub mod compare;
pub mod completions;
pub mod diff;
pub mod export;
pub mod findings;
pub mod fold;
pub mod history;
pub mod holder;
pub mod holders;
pub mod man;
pub mod mcp;
pub mod needs;
pub mod snapshots;
pub mod stats;
pub mod subject;
pub mod verify;
pub mod who;

use std::path::Path;

use clap::Subcommand;

use crate::error::Error;
use crate::output::Format;
use crate::session::{Outcome, Session};

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A question about the snapshots.
    #[command(flatten)]
    Ask(Question),
    /// Write the completions of a shell to standard output
    Completions(completions::Arguments),
    /// Write the manual page to standard output
    Man(man::Arguments),
    /// Answer questions of agents over the Model Context Protocol, on standard input and output
    Mcp(mcp::Arguments),
}

/// A question about the snapshots.
#[derive(Debug, Subcommand)]
pub enum Question {
    /// Which snapshots there are, newest first, and which of them are published
    Snapshots(snapshots::Arguments),
    /// What a person can do, and where
    Who(who::Arguments),
    /// Who has a permission, where, and through which role
    Can(can::Arguments),
    /// Who holds a role, or anything, in an organization or everywhere
    Holders(holders::Arguments),
    /// Every membership with its permissions, a row each, for sheets and other programs
    Access(access::Arguments),
    /// What changed between two snapshots
    Diff(diff::Arguments),
    /// When what happened to a user, organization, role or membership, over all published snapshots
    History(history::Arguments),
    /// What a reviewer should look at first, by rules that a file can set
    Findings(findings::Arguments),
    /// How many of what, by role, by organization and by status, and growth since the snapshot before
    Stats(stats::Arguments),
    /// A list of people from elsewhere, such as HR, against the users
    Compare(compare::Arguments),
    /// A dataset, flat, for sheets and other programs
    Export(export::Arguments),
    /// Whether a snapshot is what was written, and whole
    Verify(verify::Arguments),
}

impl Question {
    /// The format of the answer, if it is asked for: by the question itself, or by the option for every command,
    /// `asked`. `out` is what `--out` names.
    #[must_use]
    pub fn format(&self, asked: Option<Format>, out: Option<&Path>) -> Option<Format> {
        match self {
            Self::Export(arguments) => arguments.answer_format(asked, out),
            _ => asked,
        }
    }

    /// Whether `--out` names a folder for several files.
    #[must_use]
    pub fn writes_folder(&self, out: Option<&Path>) -> bool {
        matches!(self, Self::Export(arguments) if arguments.writes_folder(out))
    }

    /// Whether the answer lists changes, which can be written as events.
    #[must_use]
    pub const fn gives_changes(&self) -> bool {
        matches!(self, Self::Diff(_) | Self::History(_))
    }

    /// What to do instead of naming a snapshot with `--snapshot`, if the question is not about the one that it names.
    #[must_use]
    pub const fn names_snapshots_itself(&self) -> Option<&'static str> {
        match self {
            Self::Diff(_) => Some(
                "name the two snapshots as FROM and TO, as in clerk-access diff previous latest",
            ),
            Self::History(_) => Some("history is about all published snapshots; leave it out"),
            Self::Snapshots(_) => Some("snapshots lists all that there are; leave it out"),
            Self::Verify(verify::Arguments { all: true, .. }) => {
                Some("--all is about all snapshots; leave out one of the two")
            }
            Self::Verify(verify::Arguments { snapshot: Some(_), .. }) => {
                Some("verify SNAP names the snapshot; leave out one of the two")
            }
            _ => None,
        }
    }

    /// Whether it asks for the rules file instead of a snapshot.
    #[must_use]
    pub const fn prints_rules(&self) -> bool {
        matches!(self, Self::Findings(arguments) if arguments.print_rules)
    }
}

/// Answers a question.
///
/// # Errors
/// Those of the question.
pub async fn answer(question: &Question, session: &mut Session<'_>) -> Result<Outcome, Error> {
    match question {
        Question::Snapshots(arguments) => snapshots::run(arguments, session).await,
        Question::Who(arguments) => who::run(arguments, session).await,
        Question::Can(arguments) => can::run(arguments, session).await,
        Question::Holders(arguments) => holders::run(arguments, session).await,
        Question::Access(arguments) => access::run(arguments, session).await,
        Question::Findings(arguments) => findings::run(arguments, session).await,
        Question::Stats(arguments) => stats::run(arguments, session).await,
        Question::Compare(arguments) => compare::run(arguments, session).await,
        Question::Export(arguments) => export::run(arguments, session).await,
        Question::Verify(arguments) => verify::run(arguments, session).await,
        Question::Diff(arguments) => diff::run(arguments, session).await,
        Question::History(arguments) => history::run(arguments, session).await,
    }
}
