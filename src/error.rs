//! The documented errors of an invocation (docs/reference.md), and which error of a part of the
//! program becomes which.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use clerk_store::no_answer::Server;
use clerk_store::quoted::disturbs_a_line;
use clerk_store::{StoreError, StoreErrorKind};
use lambda_runtime::Diagnostic;

use crate::clerk::error::{ClerkError, Fault};
use crate::clerk::transport::TransportError;
use crate::config::InvalidConfig;
use crate::event::InvalidEvent;

/// Why an invocation failed. Each part of the program has its own errors; here they get the names
/// that callers see.
///
/// Neither `Display` nor `Debug` shows a key, a response body or personal data. The Lambda runtime
/// logs `Debug`, so it is written by hand and never shows the `Debug` of a cause.
#[derive(thiserror::Error)]
pub enum Error {
    /// A setting is missing, invalid or contradicts another one. Nothing was read or written.
    #[error(transparent)]
    InvalidConfig(#[from] InvalidConfig),
    /// The event asks for something unknown, or for more than fits into one answer. Nothing was
    /// written.
    #[error(transparent)]
    InvalidEvent(#[from] InvalidEvent),
    /// The secret key could not be read from Secrets Manager, or is not a key.
    #[error(transparent)]
    SecretUnavailable(Failure),
    /// Clerk answered 401, also after the secret was read once more; or the key may not read an
    /// opted-in list; or the secret holds the key of another instance in the middle of a run.
    #[error(transparent)]
    ClerkUnauthorized(Failure),
    /// Clerk could not be reached, or failed until the retries were used up. The progress is
    /// stored.
    #[error(transparent)]
    ClerkUnavailable(Failure),
    /// Clerk's response is not what its API documents.
    #[error(transparent)]
    ClerkProtocol(Failure),
    /// The bucket or folder could not be read or written.
    #[error(transparent)]
    StoreUnavailable(Failure),
    /// Another invocation took the lease, so this one stopped writing.
    #[error(transparent)]
    LeaseLost(Failure),
    /// A file that this program wrote earlier cannot be understood.
    #[error(transparent)]
    StateUnreadable(Failure),
    /// A defect in this program or its machine.
    #[error(transparent)]
    Internal(Failure),
}

/// What happened, to what, and the error that caused it.
#[derive(thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
    advice: Option<String>,
    outlook: &'static str,
    left: Left,
}

/// What a failure leaves of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// A checkpoint to continue from, as far as it is known.
    Run,
    /// Nothing of this invocation: it was to begin a run, or could not find out whether there is one.
    Nothing,
    /// What failed is no run.
    NoRun,
}

impl Failure {
    /// A failure without a cause. `message` says what happened and to what, without a full stop:
    /// "GET /users answered 500 five times".
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, advice: None, outlook: "", left: Left::Run }
    }

    /// The same failure with the error behind it, whose `Display` becomes part of the message.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure with advice about this cause, one sentence or two, or none. It replaces the usual
    /// advice and outlook for an error of this name.
    #[must_use]
    pub fn advising(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The same failure, [`advising`](Self::advising), with what becomes of the run: a sentence, or none.
    #[must_use]
    pub const fn with_outlook(mut self, outlook: &'static str) -> Self {
        self.outlook = outlook;
        self
    }
}

impl Error {
    /// The documented name, which callers see as `errorType`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidConfig(_) => "InvalidConfig",
            Self::InvalidEvent(_) => "InvalidEvent",
            Self::SecretUnavailable(_) => "SecretUnavailable",
            Self::ClerkUnauthorized(_) => "ClerkUnauthorized",
            Self::ClerkUnavailable(_) => "ClerkUnavailable",
            Self::ClerkProtocol(_) => "ClerkProtocol",
            Self::StoreUnavailable(_) => "StoreUnavailable",
            Self::LeaseLost(_) => "LeaseLost",
            Self::StateUnreadable(_) => "StateUnreadable",
            Self::Internal(_) => "Internal",
        }
    }

    /// What happened, to what, what to do, and what becomes of the run, on one line: callers see it as
    /// `errorMessage`.
    #[must_use]
    pub fn message(&self) -> String {
        with_sentence(self.message_without_outlook(), self.outlook())
    }

    /// What happened, to what, and what to do, where there is no run that anything could become of.
    #[must_use]
    pub fn message_without_outlook(&self) -> String {
        let what = with_causes(self);
        let end = if what.ends_with(['.', '?']) { "" } else { "." };
        with_sentence(format!("{what}{end}"), &self.advice())
    }

    /// The exit status of the plain program: 2 for a bad configuration or event, 1 for any other
    /// error.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::InvalidConfig(_) | Self::InvalidEvent(_) => 2,
            Self::SecretUnavailable(_)
            | Self::ClerkUnauthorized(_)
            | Self::ClerkUnavailable(_)
            | Self::ClerkProtocol(_)
            | Self::StoreUnavailable(_)
            | Self::LeaseLost(_)
            | Self::StateUnreadable(_)
            | Self::Internal(_) => 1,
        }
    }

    /// The advice about the cause if there is one, or else the usual advice for an error of this
    /// name.
    fn advice(&self) -> Cow<'_, str> {
        match self.failure().and_then(|failure| failure.advice.as_deref()) {
            Some(advice) => advice.into(),
            None => self.usual_advice(),
        }
    }

    /// The same error after a run of which nothing is stored: no later one continues it, and the message must not
    /// promise that.
    #[must_use]
    pub(crate) fn with_nothing_left(self) -> Self {
        self.leaving(Left::Nothing)
    }

    /// The same error of an action that is no run.
    #[must_use]
    pub(crate) fn outside_a_run(self) -> Self {
        self.leaving(Left::NoRun)
    }

    fn leaving(mut self, left: Left) -> Self {
        if let Some(failure) = self.failure_mut() {
            failure.left = left;
        }
        self
    }

    /// What becomes of the run; empty if there is nothing to say.
    fn outlook(&self) -> &'static str {
        let of_a_run = match self.failure() {
            Some(Failure { advice: Some(_), outlook, .. }) => outlook,
            _ => self.usual_outlook(),
        };
        match self.failure().map_or(Left::Run, |failure| failure.left) {
            Left::Nothing if !of_a_run.is_empty() => NOTHING_COPIED,
            Left::NoRun => "",
            Left::Run | Left::Nothing => of_a_run,
        }
    }

    const fn failure_mut(&mut self) -> Option<&mut Failure> {
        match self {
            Self::InvalidConfig(_) | Self::InvalidEvent(_) => None,
            Self::SecretUnavailable(failure)
            | Self::ClerkUnauthorized(failure)
            | Self::ClerkUnavailable(failure)
            | Self::ClerkProtocol(failure)
            | Self::StoreUnavailable(failure)
            | Self::LeaseLost(failure)
            | Self::StateUnreadable(failure)
            | Self::Internal(failure) => Some(failure),
        }
    }

    const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::InvalidConfig(_) | Self::InvalidEvent(_) => None,
            Self::SecretUnavailable(failure)
            | Self::ClerkUnauthorized(failure)
            | Self::ClerkUnavailable(failure)
            | Self::ClerkProtocol(failure)
            | Self::StoreUnavailable(failure)
            | Self::LeaseLost(failure)
            | Self::StateUnreadable(failure)
            | Self::Internal(failure) => Some(failure),
        }
    }

    fn usual_advice(&self) -> Cow<'static, str> {
        let advice = match self {
            Self::InvalidConfig(_) => {
                "Correct the environment variables; nothing was read or written."
            }
            Self::InvalidEvent(invalid) => return invalid.advice(),
            Self::SecretUnavailable(_) => {
                "Check CLERK_SECRET_ID and CLERK_SECRET_FIELD, that the secret holds a Clerk \
                 secret key, and that the role may call secretsmanager:GetSecretValue on it (and \
                 kms:Decrypt for a customer-managed key)."
            }
            Self::ClerkUnauthorized(_) => {
                "Put a current secret key of the instance where this program reads it."
            }
            Self::ClerkUnavailable(_) => {
                "If this persists, see Clerk's status page and the network, or lower \
                 CLERK_RATE_SHARE and MAX_CONCURRENCY."
            }
            Self::ClerkProtocol(_) => {
                "Check CLERK_API_URL and CLERK_API_VERSION; if they are right, report it to this \
                 project."
            }
            Self::StoreUnavailable(_) => {
                "Check SNAPSHOT_URL and that the role may list, read, write and delete below it."
            }
            Self::LeaseLost(_) => {
                "Nothing to do: the invocation that holds the run continues it. If it \
                 happens often, raise LEASE_SECONDS."
            }
            Self::StateUnreadable(_) => {
                "Look at the file. A sync with \"restart\": true sets an unreadable checkpoint \
                 aside, one with \"accept_shrink\": true an unreadable latest.json."
            }
            Self::Internal(_) => "Report it to this project, with the log of this invocation.",
        };
        advice.into()
    }

    const fn usual_outlook(&self) -> &'static str {
        match self {
            Self::ClerkUnauthorized(_) => CONTINUES_THE_RUN,
            Self::ClerkUnavailable(_) => PROGRESS_IS_KEPT,
            Self::ClerkProtocol(_) => NOT_PUBLISHED,
            Self::StoreUnavailable(_) => CONTINUES,
            _ => "",
        }
    }
}

const PROGRESS_IS_KEPT: &str = "Progress is kept: the next invocation continues.";
const CONTINUES: &str = "The next invocation continues.";
const CONTINUES_THE_RUN: &str = "The next invocation continues the run.";
const NOTHING_COPIED: &str = "Nothing was copied; run it again afterwards.";
const NOT_PUBLISHED: &str = "No snapshot was published.";

/// The text, and behind it the sentence, if there is one.
fn with_sentence(text: String, sentence: &str) -> String {
    if sentence.is_empty() { text } else { format!("{text} {sentence}") }
}

/// The error and its causes on one line, outermost first, separated by colons. A cause whose text
/// is already there is not repeated.
pub(crate) fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let shown = cause.to_string();
        if !shown.is_empty() && !text.contains(&shown) {
            text.push_str(": ");
            text.push_str(&shown);
        }
        next = cause.source();
    }
    text.chars().map(|character| if disturbs_a_line(character) { ' ' } else { character }).collect()
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.name(), self.message())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&with_causes(self))
    }
}

/// What the Lambda runtime reports as `errorType` and `errorMessage`.
impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: error.name().to_owned(), error_message: error.message() }
    }
}

/// The documented error for an error of the Clerk client.
#[must_use]
pub fn clerk_error(error: ClerkError) -> Error {
    match error.root() {
        root @ (ClerkError::NoOtherKey(_) | ClerkError::Unauthorized { .. }) => {
            let advice = advice_about_key(root);
            let failure = Failure::new("the secret key is not valid").caused_by(error);
            Error::ClerkUnauthorized(failure.advising(advice).with_outlook(CONTINUES_THE_RUN))
        }
        ClerkError::SecretUnavailable { source, .. } => {
            let (advice, outlook) = (source.advice(), source.outlook());
            let failure = Failure::new("the secret could not be read").caused_by(error);
            Error::SecretUnavailable(failure.advising(advice).with_outlook(outlook))
        }
        ClerkError::Unavailable { last: Fault::Transport(fault), .. }
            if let Some(advice) = advice_about(fault) =>
        {
            let failure = Failure::new("Clerk could not be reached").caused_by(error);
            Error::ClerkUnavailable(failure.advising(advice).with_outlook("Progress is kept."))
        }
        ClerkError::OtherInstance { .. } => Error::ClerkUnauthorized(
            Failure::new(
                "the key was changed to that of another instance in the middle of the work",
            )
            .caused_by(error)
            .advising(
                "Put a key of the instance that is being read into the secret.",
            )
            .with_outlook(
                "The next invocation then continues. If the other instance is meant, it abandons \
                     this run and starts a new one.",
            ),
        ),
        ClerkError::Forbidden { .. } => Error::ClerkUnauthorized(
            Failure::new("Clerk refuses the secret key, not a feature").caused_by(error).advising(
                "Look in Clerk's dashboard what this key may read and whether a quota is used \
                     up, or take the resource out of RESOURCES.",
            )
            .with_outlook(CONTINUES),
        ),
        ClerkError::Unavailable { last: Fault::NotClerks(_), .. } => Error::ClerkUnavailable(
            Failure::new("something other than Clerk answers").caused_by(error).advising(
                "Check CLERK_API_URL, and the proxies and firewalls on the way to it.",
            )
            .with_outlook(PROGRESS_IS_KEPT),
        ),
        ClerkError::Unavailable { .. }
        | ClerkError::Paused { .. }
        | ClerkError::OutOfTime { .. } => {
            Error::ClerkUnavailable(Failure::new("Clerk could not be read").caused_by(error))
        }
        ClerkError::NotClerk { .. } => Error::ClerkProtocol(
            Failure::new("Clerk could not be asked").caused_by(error).advising(
                "A login page, a proxy or a captive portal may stand between: check this machine's \
                 network, HTTPS_PROXY and CLERK_API_URL.",
            )
            .with_outlook(NOT_PUBLISHED),
        ),
        ClerkError::Protocol { .. } | ClerkError::Rejected { .. } | ClerkError::Refused { .. } => {
            Error::ClerkProtocol(Failure::new("Clerk could not be understood").caused_by(error))
        }
    }
}

/// Where a key that Clerk accepts has to be put.
const fn advice_about_key(error: &ClerkError) -> &'static str {
    match error {
        ClerkError::Unauthorized { is_from_secret: false, .. } => {
            "Put a current secret key of the instance into CLERK_SECRET_KEY; Clerk's dashboard shows it under API keys."
        }
        _ => {
            "Put a current secret key of the instance into the secret; Clerk's dashboard shows it under API keys."
        }
    }
}

/// The documented error for a transport that cannot send any request.
pub(crate) fn unreachable(fault: TransportError) -> Error {
    let advice = advice_about(&fault);
    let failure = Failure::new("Clerk could not be reached").caused_by(fault);
    Error::ClerkUnavailable(match advice {
        Some(advice) => failure.advising(advice).with_outlook("Progress is kept."),
        None => failure,
    })
}

/// What to do about a failure of the connection to Clerk.
fn advice_about(fault: &TransportError) -> Option<String> {
    let advice = fault.no_answer()?.advice(Server::Clerk);
    let mut characters = advice.chars();
    let capital = characters.next()?.to_uppercase();
    Some(format!("{capital}{}.", characters.as_str()))
}

/// The documented error for a defect of this program.
#[must_use]
pub fn internal(error: &dyn std::error::Error) -> Error {
    Error::Internal(Failure::new(error.to_string()))
}

/// The documented error for an error of the store.
pub fn store_unavailable(error: StoreError) -> Error {
    let (advice, outlook) = advice_about_store(&error.kind);
    Error::StoreUnavailable(
        Failure::new("the snapshot store failed")
            .caused_by(error)
            .advising(advice)
            .with_outlook(outlook),
    )
}

/// What to add to what an error of the store itself says to do, and what becomes of the run.
const fn advice_about_store(kind: &StoreErrorKind) -> (&'static str, &'static str) {
    match kind {
        StoreErrorKind::Unavailable { .. }
        | StoreErrorKind::ChecksumMismatch
        | StoreErrorKind::Refused { .. } => {
            ("If this persists, check SNAPSHOT_URL and the store behind it.", CONTINUES)
        }
        StoreErrorKind::PreconditionFailed => {
            ("If this persists, find out what else writes below SNAPSHOT_URL.", CONTINUES)
        }
        StoreErrorKind::AccessDenied { .. } => {
            ("If the bucket is not yours, correct SNAPSHOT_URL.", CONTINUES)
        }
        _ => ("", "Nothing is lost: the next invocation continues."),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clerk::error::Refusal;
    use crate::config::{Config, Environment, Place};
    use crate::event::Event;

    fn failure() -> Failure {
        Failure::new("GET /users answered 500 five times")
    }

    fn all() -> Vec<Error> {
        let nothing = Environment::from_pairs::<&str, &str>([]);
        vec![
            Config::from_environment(&nothing, Place::Program).unwrap_err().into(),
            Event::from_json(b"").unwrap_err().into(),
            Error::SecretUnavailable(failure()),
            Error::ClerkUnauthorized(failure()),
            Error::ClerkUnavailable(failure()),
            Error::ClerkProtocol(failure()),
            Error::StoreUnavailable(failure()),
            Error::LeaseLost(failure()),
            Error::StateUnreadable(failure()),
            Error::Internal(failure()),
        ]
    }

    // docs/reference.md, Errors: these names, and a message that says what to do.
    #[test]
    fn every_error_has_its_documented_name_and_advice() {
        let names = [
            "InvalidConfig",
            "InvalidEvent",
            "SecretUnavailable",
            "ClerkUnauthorized",
            "ClerkUnavailable",
            "ClerkProtocol",
            "StoreUnavailable",
            "LeaseLost",
            "StateUnreadable",
            "Internal",
        ];
        let errors = all();
        assert_eq!(errors.iter().map(Error::name).collect::<Vec<_>>(), names);
        for error in errors {
            let message = error.message();
            let end = with_sentence(error.advice().into_owned(), error.outlook());
            assert!(message.ends_with(&end), "{message}");
            assert!(!message.contains('\n'), "{message}");
            let diagnostic =
                Diagnostic { error_type: error.name().to_owned(), error_message: message };
            assert_eq!(Diagnostic::from(error), diagnostic);
        }
    }

    // docs/reference.md, exit status.
    #[test]
    fn exit_status_is_2_for_configuration_and_event_else_1() {
        let statuses: Vec<u8> = all().iter().map(Error::exit_status).collect();
        assert_eq!(statuses, [2, 2, 1, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn the_message_names_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("wrote nothing: {0}")]
        struct Repeats(#[source] std::io::Error);

        let error = Error::StoreUnavailable(
            Failure::new("putting part-00000.ndjson failed")
                .caused_by(Repeats(std::io::Error::other("disk\nfull"))),
        );
        let what = "putting part-00000.ndjson failed: wrote nothing: disk full. Check ";
        assert!(error.message().starts_with(what), "{}", error.message());
    }

    #[test]
    fn advice_about_the_cause_replaces_the_usual_advice() {
        let error = Error::ClerkUnavailable(failure().advising("Set the clock right."));
        assert!(error.message().ends_with("five times. Set the clock right."), "{error:?}");
        let failure = failure().advising("Set the clock right.").with_outlook("Progress is kept.");
        let error = Error::ClerkUnavailable(failure);
        assert!(error.message().ends_with("the clock right. Progress is kept."), "{error:?}");
        assert!(error.message_without_outlook().ends_with("the clock right."), "{error:?}");
    }

    // A message promises that a run is continued only where there is one.
    #[test]
    fn nothing_is_continued_where_nothing_is_left() {
        for (at, error) in all().into_iter().enumerate() {
            let promised = !error.outlook().is_empty();
            let message = error.with_nothing_left().message();
            assert_eq!(message.ends_with(NOTHING_COPIED), promised, "{message}");
            assert!(!message.contains("continues.") && !message.contains("is kept"), "{message}");
            let outside = all().remove(at).outside_a_run();
            assert_eq!(outside.message(), outside.message_without_outlook());
        }
    }

    #[test]
    fn a_key_that_is_refused_is_replaced_where_it_was_read() {
        for (is_from_secret, place) in
            [(true, "into the secret;"), (false, "into CLERK_SECRET_KEY;")]
        {
            let refused = ClerkError::Unauthorized {
                endpoint: "/v1/instance".to_owned(),
                refusal: Refusal::from_body(b""),
                is_from_secret,
            };
            let message = clerk_error(ClerkError::NoOtherKey(Arc::new(refused))).message();
            assert!(message.contains(place), "{message}");
            assert!(message.ends_with(CONTINUES_THE_RUN), "{message}");
        }
    }

    #[test]
    fn a_question_ends_in_its_own_mark() {
        let error = Error::Internal(Failure::new("is it lost?"));
        assert!(error.message().starts_with("is it lost? Report it"), "{error:?}");
    }

    // Promise 7: the runtime logs the `Debug` of an error, and the `Debug` of an AWS
    // error holds the whole response.
    #[test]
    fn debug_never_shows_the_debug_of_a_cause() {
        #[derive(thiserror::Error)]
        #[error("service error")]
        struct Careless;
        impl fmt::Debug for Careless {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the-key")
            }
        }
        let error = Error::SecretUnavailable(Failure::new("no secret").caused_by(Careless));
        let Error::SecretUnavailable(inner) = &error else {
            panic!("made above");
        };
        for shown in [format!("{error:?}"), format!("{inner:?}")] {
            assert!(!shown.contains("the-key"), "{shown}");
            assert!(shown.contains("no secret: service error"), "{shown}");
        }
    }
}
