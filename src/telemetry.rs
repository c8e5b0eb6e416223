//! The log: JSON lines in Lambda, text for people elsewhere.

mod fields;
mod human;
mod json;
pub mod metrics;

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clerk_snapshot::timestamp::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use self::fields::Fields;
use crate::clock::Clock;
use crate::config::{LogLevel, Place};
use crate::invocation_metrics::Measured;
use crate::progress::Progress;

/// The target of this program's own lines; every other target is a dependency.
const OWN_TARGET: &str = "clerk_sync";

/// The AWS SDK's lines contain whole responses, and the output of a `credential_process`. Its
/// errors are logged by this program.
const AWS_TARGETS: &str = "aws_";

/// Starts the log for the rest of the process: in Lambda one JSON object a line on standard output,
/// elsewhere text on standard error, in colours if that is a terminal and `NO_COLOR` is not set.
///
/// `level` applies to this program's own lines. Dependencies log at most warnings, whatever the
/// level: below that, HTTP clients log headers, which contain the key, and the Lambda runtime logs
/// whole events. The AWS SDK logs nothing.
///
/// # Errors
/// If the process already has a subscriber.
pub fn install(place: Place, level: LogLevel) -> Result<Telemetry, AlreadyInstalled> {
    let telemetry = Telemetry::default();
    let lines = match place {
        Place::Lambda => Lines {
            format: Format::Json,
            clock: Clock::system(),
            telemetry: telemetry.clone(),
            sink: Box::new(write_to_stdout),
        },
        Place::Program => Lines {
            format: Format::Human {
                colours: std::io::stderr().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            },
            clock: Clock::system(),
            telemetry: telemetry.clone(),
            sink: {
                let telemetry = telemetry.clone();
                Box::new(move |line| telemetry.write_beside_progress(line))
            },
        },
    };
    tracing::subscriber::set_global_default(subscriber(lines, level))
        .map_err(|_| AlreadyInstalled)?;
    Ok(telemetry)
}

/// Logging was started twice in one process.
#[derive(Debug, thiserror::Error)]
#[error("logging was already started in this process")]
pub struct AlreadyInstalled;

/// The state of the log. Clones share it.
#[derive(Clone, Default)]
pub struct Telemetry {
    invocation: Arc<Mutex<Option<Invocation>>>,
    progress: Arc<Mutex<Progress>>,
}

/// The invocation that log lines belong to, with the keys of AWS Powertools for Lambda.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// `function_request_id`: Lambda's id of the request.
    pub request_id: String,
    /// `cold_start`: whether it is the first invocation of this process.
    pub cold_start: bool,
    /// `xray_trace_id`, if the request has one.
    pub xray_trace_id: Option<String>,
}

impl Telemetry {
    /// From now on the JSON lines of every task have the fields of `invocation`; with `None`, of
    /// none.
    pub fn set_invocation(&self, invocation: Option<Invocation>) {
        *locked(&self.invocation) = invocation;
    }

    /// From now on `progress` is cleared from the terminal while a line is written.
    pub fn set_progress(&self, progress: Progress) {
        *locked(&self.progress) = progress;
    }

    /// Writes the metrics of an invocation to standard output, whatever the log level, for
    /// CloudWatch. `worked` is how long the invocation took.
    pub fn write_metrics(
        &self,
        labels: metrics::Labels<'_>,
        measured: &Measured,
        worked: Duration,
        now: Timestamp,
    ) {
        let invocation = locked(&self.invocation).clone();
        for line in metrics::lines(labels, measured, worked, now, invocation.as_ref()) {
            write_to_stdout(&line);
        }
    }

    fn write_beside_progress(&self, line: &str) {
        // Cloned, so that the lock is not held while the terminal is written to.
        let progress = locked(&self.progress).clone();
        progress.suspend(|| write_to_stderr(line));
    }
}

/// Locks a mutex. Its value is valid even if a thread panicked while it held the lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_to_stdout(line: &str) {
    // A log that cannot be written is no reason to stop, and there is nowhere to report it.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

fn write_to_stderr(line: &str) {
    // As for standard output.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn subscriber(lines: Lines, level: LogLevel) -> impl Subscriber + Send + Sync {
    let own = LevelFilter::from(level);
    let dependencies = own.min(LevelFilter::WARN);
    let filter = filter_fn(move |metadata| {
        let target = metadata.target();
        let most = match target {
            _ if is_own(target) => own,
            _ if target.starts_with(AWS_TARGETS) => LevelFilter::OFF,
            _ => dependencies,
        };
        *metadata.level() <= most
    });
    let filter = filter.with_max_level_hint(own);
    Registry::default().with(filter).with(lines)
}

/// Writes each event as a line, with the fields of the spans around it.
struct Lines {
    format: Format,
    clock: Clock,
    telemetry: Telemetry,
    /// Receives whole lines, each with a single newline at its end.
    sink: Box<dyn Fn(&str) + Send + Sync>,
}

enum Format {
    Json,
    Human { colours: bool },
}

/// One line before it is written out.
struct Line {
    time: Timestamp,
    level: Level,
    /// The dependency that logged it; `None` for this program's own lines.
    dependency: Option<&'static str>,
    invocation: Option<Invocation>,
    fields: Fields,
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        let outermost_first =
            context.event_scope(event).into_iter().flat_map(|scope| scope.from_root());
        for span in outermost_first {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.values.extend(of_span.values.clone());
            }
        }
        event.record(&mut fields);

        let metadata = event.metadata();
        let line = Line {
            time: self.clock.now(),
            level: *metadata.level(),
            dependency: Some(metadata.target()).filter(|target| !is_own(target)),
            invocation: locked(&self.telemetry.invocation).clone(),
            fields,
        };
        (self.sink)(&match self.format {
            Format::Json => json::line(line),
            Format::Human { colours } => human::line(&line, colours),
        });
    }
}

fn is_own(target: &str) -> bool {
    target.strip_prefix(OWN_TARGET).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use serde_json::{Value, json};
    use tracing::subscriber::with_default;

    use super::*;

    /// The lines that `log` writes at `level` in `format`, at 2026-11-20T12:00:00.000Z.
    fn captured(
        format: Format,
        level: LogLevel,
        telemetry: &Telemetry,
        log: impl FnOnce(),
    ) -> String {
        let written = Arc::new(Mutex::new(String::new()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let lines = Lines {
                format,
                clock: Clock::simulated(UNIX_EPOCH + Duration::from_secs(1_795_176_000)),
                telemetry: telemetry.clone(),
                sink: {
                    let written = Arc::clone(&written);
                    Box::new(move |line| written.lock().unwrap().push_str(line))
                },
            };
            with_default(subscriber(lines, level), log);
        });
        let written = written.lock().unwrap();
        written.clone()
    }

    fn json_lines(level: LogLevel, log: impl FnOnce()) -> Vec<Value> {
        captured(Format::Json, level, &Telemetry::default(), log)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn human(log: impl FnOnce()) -> String {
        let format = Format::Human { colours: false };
        captured(format, LogLevel::Trace, &Telemetry::default(), log)
    }

    // Lambda treats a line without an RFC 3339 timestamp and a level at the top as INFO.
    #[test]
    fn a_json_line_has_its_keys_at_the_top() {
        let telemetry = Telemetry::default();
        telemetry.set_invocation(Some(Invocation {
            request_id: "request-1".to_owned(),
            cold_start: true,
            xray_trace_id: Some("Root=1-2".to_owned()),
        }));
        let line = captured(Format::Json, LogLevel::Info, &telemetry, || {
            tracing::info!(
                clerk.requests = 17,
                clerk.endpoint = "/users",
                bytes = 18_446_744_073_709_551_615_u64,
                verified = true,
                share = 0.5,
                "read {} rows",
                500
            );
        });
        assert_eq!(
            line,
            concat!(
                r#"{"timestamp":"2026-11-20T12:00:00.000Z","level":"INFO","message":"read 500 rows","#,
                r#""service":"clerk-sync","function_request_id":"request-1","cold_start":true,"#,
                r#""xray_trace_id":"Root=1-2","clerk.requests":17,"clerk.endpoint":"/users","#,
                r#""bytes":18446744073709551615,"verified":true,"share":0.5}"#,
                "\n"
            )
        );
        telemetry.set_invocation(None);
        let line = captured(Format::Json, LogLevel::Info, &telemetry, || {
            tracing::warn!("between invocations");
        });
        assert_eq!(
            line,
            concat!(
                r#"{"timestamp":"2026-11-20T12:00:00.000Z","level":"WARN","#,
                r#""message":"between invocations","service":"clerk-sync"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_line_has_the_fields_of_the_spans_around_it() {
        let lines = json_lines(LogLevel::Info, || {
            let outer = tracing::info_span!(
                "walk",
                dataset = "users",
                page = 1,
                rows = tracing::field::Empty
            );
            outer.record("rows", 500);
            let _outer = outer.enter();
            let _inner = tracing::info_span!("page", page = 2).entered();
            tracing::info!(page.bytes = 9, "read");
        });
        let line = &lines[0];
        assert_eq!(line["dataset"], "users");
        assert_eq!(line["rows"], 500);
        assert_eq!(line["page"], 2);
        assert_eq!(line["page.bytes"], 9);
    }

    #[test]
    fn a_field_cannot_replace_a_key_of_the_line() {
        let lines = json_lines(LogLevel::Info, || {
            tracing::info!(level = "FATAL", service = "other", cold_start = 1, "as it is");
        });
        assert_eq!(
            lines[0],
            json!({
                "timestamp": "2026-11-20T12:00:00.000Z",
                "level": "INFO",
                "message": "as it is",
                "service": "clerk-sync",
                "field.level": "FATAL",
                "field.service": "other",
                "field.cold_start": 1,
            })
        );
    }

    #[test]
    fn errors_have_their_causes_and_odd_numbers_do_not_break_a_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("page 3 failed")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("reset"));
        let lines = json_lines(LogLevel::Info, || {
            tracing::info!(
                error = &error as &(dyn std::error::Error + 'static),
                nan = f64::NAN,
                large = u128::MAX,
                debug = ?Some(1),
                "message"
            );
        });
        assert_eq!(lines[0]["error"], "page 3 failed: reset");
        assert_eq!(lines[0]["nan"], Value::Null);
        assert_eq!(lines[0]["large"], u128::MAX.to_string());
        assert_eq!(lines[0]["debug"], "Some(1)");
    }

    const FORGED: &str = "one\r\n2026-11-20T12:00:00.000Z ERROR two\u{1b}[2K\u{85}\u{2028}three";

    // Text from outside cannot forge a second line.
    #[test]
    fn a_line_stays_one_line() {
        let write = || tracing::info!(value = FORGED, "{FORGED}");
        let lines = json_lines(LogLevel::Info, write);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["message"], FORGED);
        assert_eq!(lines[0]["value"], FORGED);

        let escaped = r"one\r\n2026-11-20T12:00:00.000Z ERROR two\u{1b}[2K\u{85}\u{2028}three";
        assert_eq!(
            human(write),
            format!("2026-11-20T12:00:00.000Z  INFO {escaped} value=\"{escaped}\"\n")
        );
    }

    #[test]
    fn a_human_line_has_time_level_message_and_fields() {
        let text = human(|| {
            let (words, pair) = ("two words", "a=b");
            tracing::warn!(
                dataset = "users",
                requests = 17,
                why = "\"b\"",
                none = "",
                words,
                pair,
                "slow"
            );
        });
        assert_eq!(
            text,
            "2026-11-20T12:00:00.000Z  WARN slow dataset=users requests=17 why=\"\\\"b\\\"\" \
             none=\"\" words=\"two words\" pair=\"a=b\"\n"
        );
    }

    #[test]
    fn a_human_line_has_colours_only_when_asked() {
        let format = Format::Human { colours: true };
        let coloured = captured(format, LogLevel::Info, &Telemetry::default(), || {
            tracing::error!("red");
        });
        assert!(coloured.contains("\u{1b}[31mERROR\u{1b}[0m"), "{coloured}");
        assert!(!human(|| tracing::error!("plain")).contains('\u{1b}'));
    }

    // Promise 7: below WARN, clients log headers and the Lambda runtime logs whole events; the AWS SDK
    // logs whole responses at any level.
    #[test]
    fn dependencies_log_at_most_warnings() {
        let write = || {
            for_each_dependency();
            tracing::trace!("own");
        };
        let messages = |level| -> Vec<String> {
            json_lines(level, write)
                .iter()
                .map(|line| line["message"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(messages(LogLevel::Trace), ["warning", "failure", "own"]);
        assert_eq!(messages(LogLevel::Info), ["warning", "failure"]);
        assert_eq!(messages(LogLevel::Error), ["failure"]);

        let lines = json_lines(LogLevel::Trace, write);
        assert_eq!(lines[0]["target"], "hyper_util::client");
        assert_eq!(lines[2].get("target"), None);
    }

    fn for_each_dependency() {
        tracing::trace!(target: "lambda_runtime", "the event");
        tracing::debug!(target: "hyper::proto", "authorization: the-key");
        tracing::debug!(target: "reqwest::connect", "the-key");
        tracing::info!(target: "clerk_sync_other", "another crate");
        tracing::error!(target: "aws_smithy_runtime::client", "a whole answer");
        tracing::warn!(target: "hyper_util::client", "warning");
        tracing::error!(target: "lambda_runtime", "failure");
    }

    #[test]
    fn own_lines_follow_the_level() {
        let write = || {
            tracing::error!("error");
            tracing::warn!("warn");
            tracing::info!("info");
            tracing::debug!("debug");
            tracing::trace!("trace");
        };
        for (level, count) in [
            (LogLevel::Error, 1),
            (LogLevel::Warn, 2),
            (LogLevel::Info, 3),
            (LogLevel::Debug, 4),
            (LogLevel::Trace, 5),
        ] {
            assert_eq!(json_lines(level, write).len(), count, "{level:?}");
        }
    }

    // docs/reference.md: the progress display and the log share standard error.
    #[test]
    fn a_line_can_be_written_while_progress_is_shown() {
        let telemetry = Telemetry::default();
        let progress = Progress::unseen();
        telemetry.set_progress(progress.clone());
        // A line is written while this display is cleared.
        assert_eq!(locked(&telemetry.progress).message(), progress.message());
        telemetry.write_beside_progress("");
        // The display is released: it can be used again.
        progress.suspend(|| ());
        telemetry.set_progress(Progress::default());
        assert_eq!(locked(&telemetry.progress).message(), None);
        telemetry.write_beside_progress("");
    }
}
