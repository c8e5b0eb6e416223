//! The plain program: handles one event and exits.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clerk_store::aws::LazyAwsConfig;
use clerk_store::quoted::escaped_json;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::config::{Config, Environment, LogLevel, Place, help};
use crate::dependencies::Dependencies;
use crate::error::{Error, Failure};
use crate::event::Event;
use crate::handler::handle;
use crate::invocation::Invocation;
use crate::invocation_metrics::InvocationMetrics;
use crate::panics::{self, catch_panic};
use crate::progress::Progress;
use crate::response::Response;
use crate::telemetry;
use crate::time_budget::TimeBudget;
use crate::work_limit::WorkLimit;

/// Exit status for a wrong command line, the same as for a wrong event (docs/reference.md).
const USAGE: u8 = 2;

/// Runs `clerk-sync [EVENT]` and returns its exit status.
pub async fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
) -> ExitCode {
    let source = match EventSource::from_arguments(arguments) {
        Ok(Command::Handle(source)) => source,
        Ok(Command::Help) => return print(&help()),
        Ok(Command::Version) => {
            return print(concat!("clerk-sync ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Err(problem) => {
            complain(&format!("clerk-sync: {problem}; see clerk-sync --help\n"));
            return ExitCode::from(USAGE);
        }
    };
    let telemetry =
        telemetry::install(Place::Program, LogLevel::of(&environment)).unwrap_or_default();
    panics::log_panics_without_message();
    let progress =
        if std::io::stderr().is_terminal() { Progress::on_terminal() } else { Progress::default() };
    telemetry.set_progress(progress.clone());
    let ended = end(answer(&source, &environment, &progress)).await;
    progress.finish();
    telemetry.set_progress(Progress::default());
    let written = print(&ended.document);
    if written == ExitCode::SUCCESS { ExitCode::from(ended.status) } else { written }
}

/// Awaits the answer and builds what the program ends with, also after a panic.
pub async fn end(work: impl Future<Output = Result<Response, Error>>) -> Ended {
    Ended::of(catch_panic(work).await)
}

/// What the program ends with: the document on standard output, and the exit status.
#[derive(Debug)]
pub struct Ended {
    /// JSON with a line break at the end.
    pub document: String,
    /// The exit status.
    pub status: u8,
}

impl Ended {
    /// Builds it from an answer. A failure is logged, and written in the form that Lambda reports.
    fn of(answered: Result<Response, Error>) -> Self {
        let document = answered.and_then(|response| {
            let json = response.to_json().map_err(|error| {
                Error::Internal(Failure::new("the answer could not be written").caused_by(error))
            })?;
            Ok((json, response.exit_status()))
        });
        let (json, status) = document.unwrap_or_else(|failure| {
            error!("{}: {}", failure.name(), failure.message());
            let json = json!({"errorType": failure.name(), "errorMessage": failure.message()});
            (json, failure.exit_status())
        });
        Self { document: escaped_json(format!("{json:#}\n")), status }
    }
}

async fn answer(
    source: &EventSource,
    environment: &Environment,
    progress: &Progress,
) -> Result<Response, Error> {
    let started = Instant::now();
    let config = Config::from_environment(environment, Place::Program)?;
    let event = source.read()?;
    let interrupt = interrupt_on_signals()?;
    let dependencies = Dependencies::open(&config, LazyAwsConfig::new()).await;
    let budget = TimeBudget::new(
        started,
        None,
        config.deadline_reserve,
        event.time_budget().or(config.time_budget),
    );
    let invocation = Invocation {
        request_id: format!("process-{}", std::process::id()),
        work_limit: Arc::new(WorkLimit::new(budget, None, config.deadline_reserve, interrupt)),
        progress: progress.clone(),
        metrics: InvocationMetrics::default(),
    };
    handle(&event, &config, &dependencies, &invocation).await
}

/// Becomes true at the first Ctrl-C or SIGTERM: the run is checkpointed and the program ends. A
/// second signal ends the program at once; what is stored stays.
fn interrupt_on_signals() -> Result<watch::Receiver<bool>, Error> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Error::Internal(Failure::new("signal handlers could not be installed").caused_by(error))
        })
    };
    let (mut interrupted, mut terminated) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
            if sender.send_replace(true) {
                std::process::exit(130);
            }
            warn!("stopping: pages in flight are stored first; interrupt again to stop at once");
        }
    });
    Ok(receiver)
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Version,
    Handle(EventSource),
}

/// Where the event comes from.
#[derive(Debug, PartialEq, Eq)]
enum EventSource {
    /// No argument: `{}`.
    Nothing,
    /// `-`.
    StandardInput,
    /// A file.
    File(OsString),
}

impl EventSource {
    fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
        let mut arguments = arguments.into_iter();
        let Some(first) = arguments.next() else { return Ok(Command::Handle(Self::Nothing)) };
        if arguments.next().is_some() {
            return Err("at most one EVENT is handled".to_owned());
        }
        match first.to_str() {
            Some("-h" | "--help") => Ok(Command::Help),
            Some("-V" | "--version") => Ok(Command::Version),
            Some("-") => Ok(Command::Handle(Self::StandardInput)),
            Some(option) if option.starts_with('-') => {
                Err(format!("the option {option:?} is unknown"))
            }
            _ => Ok(Command::Handle(Self::File(first))),
        }
    }

    fn read(&self) -> Result<Event, Error> {
        let bytes = match self {
            Self::Nothing => Ok(b"{}".to_vec()),
            Self::StandardInput => {
                let mut bytes = Vec::new();
                std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
            }
            Self::File(path) => std::fs::read(path),
        };
        let bytes = bytes.map_err(|error| {
            let place = match self {
                Self::File(path) => format!("the file {}", path.display()),
                _ => "standard input".to_owned(),
            };
            crate::event::InvalidEvent::unreadable(&place, &error)
        })?;
        Ok(Event::from_json(&bytes)?)
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes to standard error.
fn complain(text: &str) {
    // If standard error is closed there is nowhere to report it.
    let _closed = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: &[&str]) -> Result<Command, String> {
        EventSource::from_arguments(arguments.iter().map(OsString::from))
    }

    #[test]
    fn accepts_one_event_at_most() {
        assert_eq!(command(&[]), Ok(Command::Handle(EventSource::Nothing)));
        assert_eq!(command(&["-"]), Ok(Command::Handle(EventSource::StandardInput)));
        assert_eq!(command(&["a.json"]), Ok(Command::Handle(EventSource::File("a.json".into()))));
        assert_eq!(command(&["--help"]), Ok(Command::Help));
        assert_eq!(command(&["-V"]), Ok(Command::Version));
        assert!(command(&["--verbose"]).is_err());
        assert!(command(&["a.json", "b.json"]).is_err());
    }
}
