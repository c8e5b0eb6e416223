//! The commands for people, as the command line makes them and as a terminal shows their answers.

mod check;
mod completions;
mod events;
mod misuse;
mod samples;
mod terminal;

use std::ffi::OsString;

use clerk_sync::commands::{self, Asked, Command};
use clerk_sync::config::Environment;

/// The event that a command stands for, under these settings.
fn asked(words: &[&str], settings: &[(&str, &str)]) -> Asked {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let environment = Environment::from_pairs(settings.iter().copied());
    match commands::read(&words, environment) {
        Ok(Command::Handle(asked)) => *asked,
        Ok(Command::Print(text)) => panic!("{words:?}: {}", String::from_utf8_lossy(&text)),
        Err(misuse) => panic!("{words:?}: {misuse:?}"),
    }
}
