//! Makes the question of a command from what an agent gave.

use std::path::PathBuf;

use super::given::Given;
use crate::archive::Which;
use crate::commands::history::Span;
use crate::commands::who::KeyFile;
use crate::commands::{
    Question, access, can, diff, findings, history, holders, snapshots, stats, verify, who,
};
use crate::error::Error;

/// Makes the question of a tool. The texts are the ids of the snapshots that the answer began with, if this asks for a
/// further page of it.
pub type Asking = fn(&Given, &[String], &Settings) -> Result<Asked, Error>;

/// What the person who started the server has set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which snapshot is taken if an agent names none.
    pub which: Which,
    /// The file with the key of hashes.
    pub key: Option<PathBuf>,
}

/// A question, and how a person would ask it.
#[derive(Debug)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// Which snapshot it is about, if it is about one.
    pub which: Which,
    /// The arguments of the same question on the command line.
    pub command: Vec<String>,
}

/// `who`.
///
/// # Errors
/// [`Error::Argument`], as of all functions here: a text that names no snapshot.
pub fn who(given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    let person = given.needed("person");
    let question = Question::Who(who::Arguments { person: person.clone(), key: key(settings) });
    asked(question, words("who", [person]), given, pins, settings)
}

/// `can`.
///
/// # Errors
/// [`Error::Argument`].
pub fn can(given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    let (permission, organization) = (given.needed("permission"), given.text("in"));
    let question = Question::Can(can::Arguments {
        permission: permission.clone(),
        organization: organization.map(str::to_owned),
    });
    let command = with_options(words("can", [permission]), given, &["in"]);
    asked(question, command, given, pins, settings)
}

/// `holders`.
///
/// # Errors
/// [`Error::Argument`].
pub fn holders(given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    let question = Question::Holders(holders::Arguments {
        role: given.text("role").map(str::to_owned),
        organization: given.text("in").map(str::to_owned),
    });
    let command = with_options(words("holders", []), given, &["role", "in"]);
    asked(question, command, given, pins, settings)
}

/// `access`.
///
/// # Errors
/// [`Error::Argument`].
pub fn access(given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    let question = Question::Access(access::Arguments {
        organization: given.text("in").map(str::to_owned),
        user: given.text("user").map(str::to_owned),
        key: key(settings),
    });
    let command = with_options(words("access", []), given, &["in", "user"]);
    asked(question, command, given, pins, settings)
}

/// `diff`.
///
/// # Errors
/// [`Error::Argument`].
pub fn diff(given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    let (mut from, mut to) = (
        given.snapshot("from")?.unwrap_or(Which::Previous),
        given.snapshot("to")?.unwrap_or(Which::Latest),
    );
    if let [oldest, newest] = pins {
        (from, to) = (Which::Id(oldest.clone()), Which::Id(newest.clone()));
    }
    let mut class = given.classes("class");
    if class.is_empty() {
        class = diff::usual_classes();
    }
    let arguments =
        diff::Arguments { from, to, class, only: given.datasets("only"), summary: false };
    let mut command = words("diff", []);
    if given.text("from").is_some() || given.text("to").is_some() {
        command.push(given.text("from").unwrap_or("previous").to_owned());
        command.extend(given.text("to").map(str::to_owned));
    }
    let command = with_options(command, given, &["class", "only"]);
    Ok(Asked { question: Question::Diff(arguments), which: settings.which.clone(), command })
}

/// `history`.
///
/// # Errors
/// None.
pub fn history(given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    let id = given.needed("id");
    let span = match pins {
        [oldest, newest] => Some(Span { oldest: oldest.clone(), newest: newest.clone() }),
        _ => None,
    };
    let question =
        Question::History(history::Arguments { id: id.clone(), key: key(settings), span });
    Ok(Asked { question, which: settings.which.clone(), command: words("history", [id]) })
}

/// `findings`.
///
/// # Errors
/// [`Error::Argument`].
pub fn findings(given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    let arguments =
        findings::Arguments { rules: None, only: given.rules("rule"), print_rules: false };
    let command = with_options(words("findings", []), given, &["rule"]);
    asked(Question::Findings(arguments), command, given, pins, settings)
}

/// `stats`.
///
/// # Errors
/// [`Error::Argument`].
pub fn stats(given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    asked(Question::Stats(stats::Arguments {}), words("stats", []), given, pins, settings)
}

/// `verify`.
///
/// # Errors
/// [`Error::Argument`], also of one snapshot and all at once.
pub fn verify(given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    let (snapshot, all) = (given.snapshot("snapshot")?, given.flag("all"));
    if snapshot.is_some() && all {
        return Err(Error::refused(
            "verify takes either `snapshot` or `all`, not both; leave out one of them",
        ));
    }
    let pinned = pins.first().cloned();
    let (until, snapshot) = match all {
        true => (pinned, None),
        false => (None, pinned.map(Which::Id).or(snapshot)),
    };
    let arguments = verify::Arguments { snapshot, all, public_key: Vec::new(), until };
    let mut command = words("verify", given.text("snapshot").map(str::to_owned));
    command.extend(all.then(|| "--all".to_owned()));
    Ok(Asked { question: Question::Verify(arguments), which: settings.which.clone(), command })
}

/// `snapshots`.
///
/// # Errors
/// None.
pub fn snapshots(_given: &Given, pins: &[String], settings: &Settings) -> Result<Asked, Error> {
    let question = Question::Snapshots(snapshots::Arguments { until: pins.first().cloned() });
    Ok(Asked { question, which: settings.which.clone(), command: words("snapshots", []) })
}

/// A question about the one snapshot that the agent, else the person who started the server names.
fn asked(
    question: Question,
    mut command: Vec<String>,
    given: &Given,
    pins: &[String],
    settings: &Settings,
) -> Result<Asked, Error> {
    let named = given.snapshot("snapshot")?;
    let pinned = pins.first().cloned().map(Which::Id);
    let which = pinned.or(named).unwrap_or_else(|| settings.which.clone());
    if let Some(text) = given.text("snapshot") {
        command.extend(["--snapshot".to_owned(), text.to_owned()]);
    }
    Ok(Asked { question, which, command })
}

fn key(settings: &Settings) -> KeyFile {
    KeyFile { redaction_key_file: settings.key.clone() }
}

fn words(command: &str, arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(command.to_owned()).chain(arguments).collect()
}

/// Adds the options of these names that are given: texts, and lists with commas between their words.
fn with_options(mut command: Vec<String>, given: &Given, names: &[&str]) -> Vec<String> {
    for name in names {
        let list: Vec<&str> = given.words(name).collect();
        let value = match given.text(name) {
            Some(text) => text.to_owned(),
            None if !list.is_empty() => list.join(","),
            None => continue,
        };
        command.extend([format!("--{name}"), value]);
    }
    command
}
