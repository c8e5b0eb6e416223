//! The commands, a file for each. To add a question, add its file and its variant to [`Question`] and [`answer`].

pub mod access;
pub mod can;
pub mod change_row;
pub mod changes;
pub mod completions;
pub mod diff;
pub mod fold;
pub mod history;
pub mod holder;
pub mod holders;
pub mod man;
pub mod needs;
pub mod snapshots;
pub mod who;

use clap::Subcommand;

use crate::error::Error;
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
        Question::Diff(arguments) => diff::run(arguments, session).await,
        Question::History(arguments) => history::run(arguments, session).await,
    }
}
