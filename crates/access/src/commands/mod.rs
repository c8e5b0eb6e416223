//! The commands, a file for each. To add a question, add its file and its variant to [`Question`] and [`answer`].

pub mod completions;
pub mod man;
pub mod snapshots;

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
}

/// Answers a question.
///
/// # Errors
/// Those of the question.
pub async fn answer(question: &Question, session: &mut Session<'_>) -> Result<Outcome, Error> {
    match question {
        Question::Snapshots(arguments) => snapshots::run(arguments, session).await,
    }
}
