//! Runs the program: from the arguments to the exit status.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use clerk_store::quoted::looks_like_a_key;

use crate::archive::Archive;
use crate::cli::{Cli, Options};
use crate::commands::{self, Command, Question};
use crate::environment::Environment;
use crate::error::{Error, ErrorDocument};
use crate::mcp;
use crate::output::{Destination, Format, Output, OutputError, escape};
use crate::place;
use crate::progress::Progress;
use crate::session::{Outcome, Session};

/// Exit status of a wrong command line.
const USAGE: u8 = 2;

/// Runs `clerk-access` with these arguments, without the program's name, and returns the exit status.
///
/// The answer goes to `stdout`, or to the file of `--out`. An error goes to `stdout` as JSON if the answer would be
/// JSON, and in any case as a sentence to `stderr`.
pub async fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let name = OsString::from("clerk-access");
    let cli = match Cli::try_parse_from(std::iter::once(&name).chain(&arguments)) {
        Ok(cli) => cli,
        Err(error) => return answer_parse_error(&error, &arguments, &environment, stdout, stderr),
    };
    let command: Vec<String> =
        arguments.iter().map(|it| it.to_string_lossy().into_owned()).collect();
    if command.iter().any(|argument| looks_like_a_key(argument)) {
        return refuse_key(&arguments, &environment, stdout, stderr);
    }
    match cli.command {
        Command::Completions(arguments) => print(&arguments.script(Cli::command()), stdout, stderr),
        Command::Man(arguments) => match arguments.page(Cli::command()) {
            Some(page) => print(&page, stdout, stderr),
            None => {
                write_line(
                    "clerk-access: there is no such command; see clerk-access --help",
                    stderr,
                );
                USAGE
            }
        },
        Command::Mcp(arguments) => serve(&arguments, &cli.options, &environment, stderr).await,
        Command::Ask(question) => {
            ask(&question, &cli.options, command, environment, stdout, stderr).await
        }
    }
}

async fn ask(
    question: &Question,
    options: &Options,
    command: Vec<String>,
    environment: Environment,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> u8 {
    let out = options.out.as_deref().map(|path| environment.folder.join(path));
    // What writes several files says on standard output which.
    let path = out.clone().filter(|out| !question.writes_folder(Some(out)));
    let asked = question.format(options.output, out.as_deref());
    let format = Format::choose(asked, path.as_deref(), environment.terminal.is_some());
    if format == Format::Ocsf && !question.gives_changes() {
        let refused = "-o ocsf is for changes: clerk-access diff -o ocsf, or history; choose another format with -o";
        return report(&Error::refused(refused), format, stdout, stderr);
    }
    if let Some(instead) = question.names_snapshots_itself().filter(|_| options.snapshot.is_some())
    {
        let refused = format!("--snapshot has no meaning here: {instead}");
        return report(&Error::refused(refused), format, stdout, stderr);
    }
    if question.prints_rules() {
        return print_rules(path.as_deref(), format, stdout, stderr);
    }
    let opened = async {
        let url = place::choose(options.url.as_deref(), &environment)?;
        let owner = place::expected_owner(&environment)?;
        Ok::<_, Error>(Archive::open(&url, owner).await)
    };
    let archive = match opened.await {
        Ok(archive) => archive,
        Err(error) => return report(&error, format, stdout, stderr),
    };
    let destination = match &path {
        None => Ok(Destination::standard(&mut *stdout)),
        Some(path) => Destination::file(&mut *stdout, path),
    };
    let width = environment.terminal.filter(|_| path.is_none());
    let output = match destination.and_then(|destination| Output::new(format, destination, width)) {
        Ok(output) => output,
        Err(error) => return report(&error.into(), format, stdout, stderr),
    };
    let mut session = Session {
        archive,
        which: options.snapshot.clone().unwrap_or_default(),
        now: environment.now,
        command,
        output,
        out,
        folder: environment.folder,
        progress: Progress::new(environment.shows_progress),
        input: environment.input,
    };
    match commands::answer(question, &mut session).await {
        Ok(outcome) => {
            tell(&outcome, format, path.is_some(), stderr);
            outcome.exit_status(options.exit_code, options.allow_incomplete)
        }
        Err(error) if error.is_broken_pipe() => 0,
        Err(error) => {
            // If standard output is broken, too, the sentence on standard error is all that can be said.
            let _ = session.output.fail(&ErrorDocument::of(&error));
            complain(&error, stderr)
        }
    }
}

/// Serves agents until standard input closes. Standard output carries the protocol alone, so that errors are told on
/// standard error.
async fn serve(
    arguments: &commands::mcp::Arguments,
    options: &Options,
    environment: &Environment,
    stderr: &mut (dyn Write + Send),
) -> u8 {
    let served = async {
        if options.out.is_some() || options.output.is_some() {
            return Err(Error::refused(
                "mcp writes no file and answers in JSON alone; leave out --out and -o",
            ));
        }
        let key = arguments.key(&environment.folder)?;
        let url = place::choose(options.url.as_deref(), environment)?;
        let archive = Archive::open(&url, place::expected_owner(environment)?).await;
        let which = options.snapshot.clone().unwrap_or_default();
        mcp::serve(archive, which, key, rmcp::transport::stdio()).await
    };
    match served.await {
        Ok(()) => 0,
        Err(error) => complain(&error, stderr),
    }
}

/// Writes the rules file, which needs no snapshot.
fn print_rules(
    path: Option<&Path>,
    format: Format,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> u8 {
    let destination = match path {
        None => Ok(Destination::standard(&mut *stdout)),
        Some(path) => Destination::file(&mut *stdout, path),
    };
    match destination.and_then(commands::findings::Arguments::print) {
        Ok(()) => 0,
        Err(error) if error.is_broken_pipe() => 0,
        Err(error) => report(&error.into(), format, stdout, stderr),
    }
}

/// Says what the answer itself does not say to somebody who looks at the terminal.
fn tell(outcome: &Outcome, format: Format, is_in_file: bool, stderr: &mut (dyn Write + Send)) {
    let sentences = match format {
        Format::Table if !is_in_file => Vec::new(),
        Format::Json | Format::Ndjson if !is_in_file => outcome.envelope.warnings(),
        _ => outcome.envelope.sentences(),
    };
    for sentence in sentences {
        write_line(&sentence, stderr);
    }
}

/// Reports an error before there is anything that an answer could be written to.
fn report(
    error: &Error,
    format: Format,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> u8 {
    if format.is_json() {
        write_document(&ErrorDocument::of(error), stdout);
    }
    complain(error, stderr)
}

fn complain(error: &Error, stderr: &mut (dyn Write + Send)) -> u8 {
    write_line(&format!("clerk-access: {}", ErrorDocument::of(error).message), stderr);
    error.exit_status()
}

/// Help and the version are answers; anything else is a wrong command line.
fn answer_parse_error(
    error: &clap::Error,
    arguments: &[OsString],
    environment: &Environment,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> u8 {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return print(text.as_bytes(), stdout, stderr);
        }
        _ => {}
    }
    if looks_like_a_key(&text) {
        return refuse_key(arguments, environment, stdout, stderr);
    }
    refuse(&text, arguments, environment, stdout, stderr)
}

/// An argument that may be a key is not repeated anywhere.
fn refuse_key(
    arguments: &[OsString],
    environment: &Environment,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> u8 {
    let text = "error: an argument looks like a key of Clerk's; clerk-access needs none\n";
    refuse(text, arguments, environment, stdout, stderr)
}

/// Reports a wrong command line.
fn refuse(
    text: &str,
    arguments: &[OsString],
    environment: &Environment,
    stdout: &mut (dyn Write + Send),
    stderr: &mut (dyn Write + Send),
) -> u8 {
    if Format::choose(asked_format(arguments), None, environment.terminal.is_some()).is_json() {
        let first = text.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = first.trim_start_matches("error: ").split_whitespace().collect();
        write_document(&ErrorDocument { name: "InvalidEvent", message: words.join(" ") }, stdout);
    }
    for line in text.lines() {
        write_line(line, stderr);
    }
    USAGE
}

/// Prints a text that needs no snapshot, and returns the exit status.
fn print(text: &[u8], stdout: &mut (dyn Write + Send), stderr: &mut (dyn Write + Send)) -> u8 {
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => 0,
        // If nobody reads it any more, that is their choice.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => complain(&OutputError::Standard(error).into(), stderr),
    }
}

/// The format of a command line that cannot be understood as a whole.
fn asked_format(arguments: &[OsString]) -> Option<Format> {
    let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let value = texts.iter().enumerate().find_map(|(place, text)| match &**text {
        "-o" | "--output" => texts.get(place + 1).map(|next| next.to_string()),
        _ => text.strip_prefix("--output=").or_else(|| text.strip_prefix("-o")).map(str::to_owned),
    })?;
    <Format as clap::ValueEnum>::from_str(value.trim_start_matches('='), false).ok()
}

/// If standard output is broken, the sentence on standard error remains.
fn write_document(document: &ErrorDocument, stdout: &mut (dyn Write + Send)) {
    // What an error quotes may be anybody's, and this may be a terminal.
    if let Ok(json) = escape::json(document, true) {
        let _ = stdout.write_all(format!("{json}\n").as_bytes()).and_then(|()| stdout.flush());
    }
}

/// If standard error is broken, nobody can be told.
fn write_line(text: &str, stderr: &mut (dyn Write + Send)) {
    let _ = stderr.write_all(format!("{}\n", escape::for_terminal(text)).as_bytes());
}
