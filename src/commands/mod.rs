//! The commands: each makes the event that it stands for from its options (docs/reference.md,
//! Commands). A file for each.

mod changes;
mod check;
mod chosen;
mod completions;
mod lookup;
mod man;
mod place;
mod status;
mod sync;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use clerk_store::quoted::looks_like_a_key;
use serde_json::{Value, json};

use crate::arguments::{COMMANDS, mistyped_command};
use crate::config::Environment;
use crate::event::{Event, InvalidEvent};

/// What a command asks for.
#[derive(Debug)]
pub enum Command {
    /// Print this text: help, completions or the manual page.
    Print(Vec<u8>),
    /// Handle an event.
    Handle(Box<Asked>),
}

/// The event that a command stands for.
#[derive(Debug)]
pub struct Asked {
    /// The event as a caller of the function would send it.
    pub document: Value,
    /// The same, parsed.
    pub event: Event,
    /// The settings, in which options have replaced those of the same meaning.
    pub environment: Environment,
    /// Whether the answer is asked for as JSON, also on a terminal.
    pub json: bool,
}

/// A wrong command, and whether its error is asked for as JSON, also on a terminal.
#[derive(Debug)]
pub struct Misuse {
    /// What is wrong.
    pub invalid: InvalidEvent,
    /// Whether `--json` is given.
    pub json: bool,
}

/// Parses the words of a command, which follow the program's name.
///
/// # Errors
/// [`Misuse`], which never shows a key.
pub fn read(words: &[OsString], environment: Environment) -> Result<Command, Box<Misuse>> {
    let json = words.iter().any(|word| word == "--json");
    let misuse = |invalid| Box::new(Misuse { invalid, json });
    if words.iter().any(|word| looks_like_a_key(&word.to_string_lossy())) {
        return Err(misuse(InvalidEvent::of_command("clerk-sync", KEY_AS_ARGUMENT)));
    }
    if let Some(word) = mistyped_command(words) {
        return Err(misuse(InvalidEvent::no_such_command(&word.to_string_lossy(), &COMMANDS)));
    }
    let name = OsString::from("clerk-sync");
    let command = match CommandLine::try_parse_from(std::iter::once(&name).chain(words)) {
        Ok(parsed) => parsed.command,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return Ok(Command::Print(error.render().to_string().into_bytes()));
        }
        Err(error) => {
            let text = error.render().to_string();
            return Err(misuse(InvalidEvent::of_command(&named(words), problem_in(&text))));
        }
    };
    let current = std::env::current_dir().unwrap_or_default();
    let placed = |settings: Result<Environment, String>| {
        settings.map_err(|problem| misuse(of(words, &problem)))
    };
    let (document, environment) = match command {
        Word::Completions(arguments) => {
            return Ok(Command::Print(arguments.script(CommandLine::command())));
        }
        Word::Man(arguments) => return Ok(Command::Print(arguments.page(CommandLine::command()))),
        Word::Sync(arguments) => {
            (arguments.event(), placed(arguments.settings(environment, &current))?)
        }
        Word::Check(arguments) => {
            (json!({"action": "check"}), placed(arguments.settings(environment, &current))?)
        }
        Word::Status(arguments) => {
            let environment = placed(arguments.place.settings(environment, &current))?;
            (json!({"action": "status"}), environment)
        }
        Word::Lookup(arguments) => {
            let event = arguments.event().map_err(|problem| of(words, &problem));
            (event.map_err(misuse)?, environment)
        }
        Word::Changes(arguments) => {
            (arguments.event(), placed(arguments.place.settings(environment, &current))?)
        }
    };
    let event = Event::from_value(&document);
    let event = event.map_err(|invalid| misuse(invalid.on_command_line(&named(words))))?;
    Ok(Command::Handle(Box::new(Asked { document, event, environment, json })))
}

const KEY_AS_ARGUMENT: &str = "an argument looks like a Clerk key, and other users of this machine can see \
                               arguments: put the key into CLERK_SECRET_KEY, and replace it in Clerk's \
                               dashboard, because shells keep what was typed";

fn of(words: &[OsString], problem: &str) -> InvalidEvent {
    InvalidEvent::of_command(&named(words), problem)
}

/// The command as a person would name it, such as `clerk-sync lookup`.
fn named(words: &[OsString]) -> String {
    let word = words.iter().find(|word| *word != "--json");
    format!("clerk-sync {}", word.unwrap_or(&OsString::new()).to_string_lossy())
}

/// What clap says is wrong, and its tips, on one line: without the usage, which `--help` shows, and without addresses,
/// because the sentence is logged.
fn problem_in(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| {
        !paragraph.is_empty()
            && !paragraph.starts_with("Usage:")
            && !paragraph.starts_with("For more information")
    });
    let sentences: Vec<String> = paragraphs
        .map(|it| it.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let words = sentences.join("; ");
    let is_address = |word: &str| word.contains('@');
    let shown = words.split(' ').map(|word| if is_address(word) { "(an address)" } else { word });
    shown.collect::<Vec<_>>().join(" ")
}

/// Copies who has access to what in a Clerk instance to S3 or a folder. Only ever reads from Clerk.
///
/// Each command stands for an event. Settings are environment variables; clerk-sync --help lists them.
#[derive(Debug, Parser)]
#[command(name = "clerk-sync", version, disable_help_subcommand = true)]
struct CommandLine {
    /// Write the answer as JSON, also on a terminal
    #[arg(long, global = true, display_order = 900)]
    json: bool,

    #[command(subcommand)]
    command: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Continue the run in progress, or start one
    Sync(sync::Arguments),
    /// Test the settings, the key, Clerk and the store; copies nothing
    Check(check::Arguments),
    /// Show the run in progress and the newest snapshot, from the store alone
    Status(status::Arguments),
    /// Show one thing as a snapshot would hold it; writes nothing
    Lookup(lookup::Arguments),
    /// Write the changes that are owed, or sum up what changed between two snapshots
    Changes(changes::Arguments),
    /// Write the completions of a shell to standard output
    Completions(completions::Arguments),
    /// Write the manual page to standard output
    Man(man::Arguments),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_that_are_recognised() {
        let command = CommandLine::command();
        let words: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(words, COMMANDS);
        command.debug_assert();
    }

    #[test]
    fn a_problem_is_one_line_without_the_usage() {
        let text = "error: unexpected argument '--forse' found\n\n  tip: a similar argument exists: \
                    '--force'\n\nUsage: clerk-sync sync [OPTIONS]\n\nFor more information, try '--help'.\n";
        assert_eq!(
            problem_in(text),
            "unexpected argument '--forse' found; tip: a similar argument exists: '--force'"
        );
    }
}
