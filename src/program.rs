//! The plain program: handles one event and exits.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clerk_store::aws::LazyAwsConfig;
use clerk_store::quoted::{escaped_json, for_terminal};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::arguments::{self, Request};
use crate::clock::Clock;
#[cfg(feature = "cli")]
use crate::config::snapshot_url_as_set;
use crate::config::{Config, Environment, LogLevel, Place, StoreConfig, help};
use crate::dependencies::Dependencies;
use crate::error::{Error, Failure};
use crate::event::Event;
use crate::handler::{handle, status};
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

/// Runs `clerk-sync [EVENT]` or a command, and returns its exit status.
pub async fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
) -> ExitCode {
    match arguments::read(arguments, cfg!(feature = "cli")) {
        Ok(Request::Help) => print(&help()),
        Ok(Request::Version) => print(concat!("clerk-sync ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Request::Event(source)) => {
            let answering =
                async |progress: &Progress| answer(|| source.event(), &environment, progress).await;
            work(answering, &environment, Form::Json).await
        }
        #[cfg(feature = "cli")]
        Ok(Request::Command(words)) => run_command(&words, environment).await,
        #[cfg(not(feature = "cli"))]
        Ok(Request::Command(_)) => ExitCode::from(USAGE),
        Err(problem) => {
            complain(&format!("{problem}; see clerk-sync --help"));
            ExitCode::from(USAGE)
        }
    }
}

#[cfg(feature = "cli")]
async fn run_command(words: &[OsString], environment: Environment) -> ExitCode {
    use crate::commands::{self, Asked, Command, Misuse};

    let form = |json| {
        if json || !std::io::stdout().is_terminal() { Form::Json } else { Form::Text }
    };
    match commands::read(words, environment.clone()) {
        Ok(Command::Print(text)) => print(&String::from_utf8_lossy(&text)),
        Ok(Command::Handle(asked)) => {
            let Asked { event, environment, json, .. } = *asked;
            let answering =
                async |progress: &Progress| answer(|| Ok(event), &environment, progress).await;
            work(answering, &environment, form(json)).await
        }
        Err(misuse) => {
            let Misuse { invalid, json } = *misuse;
            work(async |_: &Progress| Err(invalid.into()), &environment, form(json)).await
        }
    }
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One JSON document, also for an error.
    Json,
    /// Words for a person at a terminal.
    #[cfg(feature = "cli")]
    Text,
}

/// Awaits the answer, writes it, and returns the exit status.
async fn work(
    answering: impl AsyncFnOnce(&Progress) -> Result<Response, Error>,
    environment: &Environment,
    form: Form,
) -> ExitCode {
    let telemetry =
        telemetry::install(Place::Program, LogLevel::of(environment)).unwrap_or_default();
    panics::log_panics_without_message();
    let progress =
        if std::io::stderr().is_terminal() { Progress::on_terminal() } else { Progress::default() };
    telemetry.set_progress(progress.clone());
    let answered = catch_panic(answering(&progress)).await;
    progress.finish();
    telemetry.set_progress(Progress::default());
    let ended = match form {
        Form::Json => Ended::of(answered),
        #[cfg(feature = "cli")]
        Form::Text => Ended::in_words(answered, snapshot_url_as_set(environment)),
    };
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
    /// JSON with a line break at the end, or words for a person.
    pub document: String,
    /// The exit status.
    pub status: u8,
}

impl Ended {
    /// Builds it from an answer. A failure is logged, and written in the form that Lambda reports.
    fn of(answered: Result<Response, Error>) -> Self {
        let document = answered.and_then(|response| {
            let json = serde_json::to_string_pretty(&response).map_err(|error| {
                Error::Internal(Failure::new("the answer could not be written").caused_by(error))
            })?;
            Ok((json, response.exit_status()))
        });
        let (json, status) = document.unwrap_or_else(|failure| {
            error!("{}: {}", failure.name(), failure.message());
            let json = json!({"errorType": failure.name(), "errorMessage": failure.message()});
            (format!("{json:#}"), failure.exit_status())
        });
        Self { document: escaped_json(json + "\n"), status }
    }

    /// The same in words. A failure is a sentence on standard error and nothing on standard output. `place` is where the
    /// snapshots are, for what to do next.
    #[cfg(feature = "cli")]
    fn in_words(answered: Result<Response, Error>, place: Option<&str>) -> Self {
        match answered {
            Ok(response) => {
                let document = crate::answer_text::of(&response, place);
                Self { document, status: response.exit_status() }
            }
            Err(failure) => {
                complain(&failure.message());
                Self { document: String::new(), status: failure.exit_status() }
            }
        }
    }
}

async fn answer(
    event: impl FnOnce() -> Result<Event, Error>,
    environment: &Environment,
    progress: &Progress,
) -> Result<Response, Error> {
    let started = Instant::now();
    let event = event();
    if let Ok(Event::Status) = event {
        let config = StoreConfig::from_environment(environment, Place::Program)?;
        let aws = LazyAwsConfig::new();
        let store = clerk_store::open(&config.snapshot_url, &aws, &config.s3).await;
        return status(&*store, &Clock::system()).await;
    }
    let config = Config::from_environment(environment, Place::Program)?;
    let event = event?;
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

/// Writes to standard output. If nobody reads it any more, that is their choice.
fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.kind() != ErrorKind::BrokenPipe {
                complain(&format!(
                    "the answer could not be written to standard output: {error}; send it to another \
                     place. What was stored is stored: clerk-sync status shows it."
                ));
            }
            ExitCode::FAILURE
        }
    }
}

/// Writes a sentence to standard error.
fn complain(sentence: &str) {
    let line = format!("clerk-sync: {}\n", for_terminal(sentence));
    // If standard error is closed there is nowhere to report it.
    let _closed = std::io::stderr().lock().write_all(line.as_bytes());
}
