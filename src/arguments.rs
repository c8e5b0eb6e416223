//! Tells apart what the command line asks for: an event, a command, help or the version.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clerk_store::nearest::nearest;
use clerk_store::quoted::{Quoted, for_terminal, looks_like_a_key};

use crate::error::Error;
use crate::event::{Event, InvalidEvent};

/// The words that are commands. A file of such a name is given as `./check`.
pub const COMMANDS: [&str; 7] =
    ["sync", "check", "status", "lookup", "changes", "completions", "man"];

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Version,
    /// Handle the event from this source.
    Event(EventSource),
    /// Do what these words say: one of [`COMMANDS`] is among them, or a word that is neither a command nor a file.
    Command(Vec<OsString>),
}

/// Where the event comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EventSource {
    /// No argument: `{}`.
    Nothing,
    /// `-`.
    StandardInput,
    /// A file.
    File(OsString),
}

/// Parses the arguments after the program's name. `has_commands` is whether this build has commands.
///
/// # Errors
/// A wrong command line, as what is wrong with it.
pub(crate) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    has_commands: bool,
) -> Result<Request, String> {
    let arguments = with_help_behind(arguments.into_iter().collect());
    if let Some(command) = command_in(&arguments) {
        return if has_commands {
            Ok(Request::Command(arguments))
        } else {
            Err(format!(
                "this build has no commands; give the event of {command} as a file or on -"
            ))
        };
    }
    if has_commands && mistyped_command(&arguments).is_some() {
        return Ok(Request::Command(arguments));
    }
    let Some(first) = arguments.first() else { return Ok(Request::Event(EventSource::Nothing)) };
    if arguments.len() > 1 {
        return Err("at most one EVENT is handled".to_owned());
    }
    match first.to_str() {
        Some("-h" | "--help") => Ok(Request::Help),
        Some("-V" | "--version") => Ok(Request::Version),
        Some("-") => Ok(Request::Event(EventSource::StandardInput)),
        Some(option) if option.starts_with('-') => {
            Err(format!("the option {} is unknown", Quoted(option)))
        }
        _ => Ok(Request::Event(EventSource::File(first.clone()))),
    }
}

/// The help of a command that is asked for in front of it, `--help sync`, is asked for behind it.
fn with_help_behind(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let asks_for_help = arguments.first().is_some_and(|it| it == "--help" || it == "-h");
    if asks_for_help && command_in(&arguments[1..]).is_some() {
        arguments.rotate_left(1);
    }
    arguments
}

/// The command word: the first argument, or the first one behind `--json`.
fn command_in(arguments: &[OsString]) -> Option<&'static str> {
    let word = arguments.iter().find(|argument| *argument != "--json")?;
    COMMANDS.into_iter().find(|command| word == command)
}

/// The word in a command's place that is neither a command nor a file. A file is seldom called by a bare word, without
/// a folder and without an ending, so where there is none of that name a command was meant.
pub(crate) fn mistyped_command(arguments: &[OsString]) -> Option<&OsStr> {
    let is_for_any =
        |argument: &OsString| ["--json", "--help", "-h"].iter().any(|it| argument == it);
    let word = arguments.iter().find(|argument| !is_for_any(argument))?;
    let shown = word.to_string_lossy();
    let is_bare = !shown.is_empty() && !shown.starts_with('-') && !shown.contains(['/', '.']);
    let is_missing = || matches!(Path::new(word).try_exists(), Ok(false));
    (is_bare && command_in(arguments).is_none() && is_missing()).then_some(word)
}

impl EventSource {
    /// Reads and parses the event.
    ///
    /// # Errors
    /// [`Error::InvalidEvent`].
    pub(crate) fn event(&self) -> Result<Event, Error> {
        let bytes = match self {
            Self::Nothing => Ok(b"{}".to_vec()),
            Self::StandardInput => {
                let mut bytes = Vec::new();
                let mut stdin = std::io::stdin().lock();
                std::io::Read::read_to_end(&mut stdin, &mut bytes).map(|_| bytes)
            }
            Self::File(path) => std::fs::read(path),
        };
        let bytes = bytes.map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => self.command_meant().unwrap_or_default(),
                _ => String::new(),
            };
            InvalidEvent::unreadable(&self.place(), &error, &hint)
        })?;
        Ok(Event::from_json(&bytes)?)
    }

    fn place(&self) -> String {
        let Self::File(path) = self else { return "standard input".to_owned() };
        let path = path.to_string_lossy();
        if looks_like_a_key(&path) {
            return "a file, whose name is not shown: it looks like a Clerk key".to_owned();
        }
        format!("the file {}", for_terminal(&path))
    }

    /// Suggests the command that the name of a missing file was probably meant to be.
    fn command_meant(&self) -> Option<String> {
        let Self::File(path) = self else { return None };
        let command = nearest(path.to_str()?, COMMANDS)?;
        Some(format!("; did you mean the command {command}?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Result<Request, String> {
        read(arguments.iter().map(OsString::from), true)
    }

    fn file(name: &str) -> Result<Request, String> {
        Ok(Request::Event(EventSource::File(name.into())))
    }

    #[test]
    fn accepts_one_event_at_most() {
        assert_eq!(asked(&[]), Ok(Request::Event(EventSource::Nothing)));
        assert_eq!(asked(&["-"]), Ok(Request::Event(EventSource::StandardInput)));
        assert_eq!(asked(&["a.json"]), file("a.json"));
        assert_eq!(asked(&["--help"]), Ok(Request::Help));
        assert_eq!(asked(&["-V"]), Ok(Request::Version));
        assert!(asked(&["--verbose"]).is_err());
        assert!(asked(&["--json"]).is_err());
        assert!(asked(&["a.json", "b.json"]).is_err());
        assert!(asked(&["a.json", "check"]).is_err());
    }

    // Promise: a command is a word, and a file of that name is given with its folder.
    #[test]
    fn a_word_is_a_command_and_a_path_is_a_file() {
        for command in COMMANDS {
            for arguments in [&[command][..], &["--json", command], &[command, "--help"]] {
                let words = arguments.iter().map(OsString::from).collect();
                assert_eq!(asked(arguments), Ok(Request::Command(words)));
            }
            for help in ["--help", "-h"] {
                let words = [command, help].map(OsString::from).to_vec();
                assert_eq!(asked(&[help, command]), Ok(Request::Command(words)));
            }
            assert_eq!(asked(&[&format!("./{command}")]), file(&format!("./{command}")));
        }
        assert_eq!(asked(&["checks.json"]), file("checks.json"));
    }

    // A mistyped command is no missing file, whatever stands behind it.
    #[test]
    fn a_bare_word_without_a_file_is_taken_for_a_command() {
        for arguments in [
            &["snyc"][..],
            &["--json", "snyc"],
            &["--help", "snyc"],
            &["snyc", "--into", "./mine"],
            &["snyc", "a.json"],
        ] {
            let words = arguments.iter().map(OsString::from).collect();
            assert_eq!(asked(arguments), Ok(Request::Command(words)), "{arguments:?}");
        }
        assert!(asked(&["-", "snyc"]).is_err());
        assert_eq!(asked(&["src"]), file("src"));
        assert_eq!(asked(&["./snyc"]), file("./snyc"));
        assert_eq!(asked(&["snyc.json"]), file("snyc.json"));
        assert_eq!(read([OsString::from("snyc")], false), file("snyc"));
    }

    // The function is built without commands, and says so instead of looking for a file.
    #[test]
    fn a_build_without_commands_says_so() {
        for command in COMMANDS {
            let problem = read([OsString::from(command)], false).unwrap_err();
            assert!(problem.starts_with("this build has no commands; give the event"), "{problem}");
        }
        assert_eq!(read([OsString::from("./check")], false), file("./check"));
    }

    #[test]
    fn a_key_in_place_of_a_file_is_not_shown() {
        let key = format!("sk_{}_planted", "live");
        for argument in [format!("./{key}"), format!("--key={key}")] {
            let shown = match asked(&[&argument]) {
                Ok(Request::Event(source)) => source.event().unwrap_err().message(),
                Ok(other) => panic!("{other:?}"),
                Err(problem) => problem,
            };
            assert!(!shown.contains("planted"), "{shown}");
        }
    }
}
