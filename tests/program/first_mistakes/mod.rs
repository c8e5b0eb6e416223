//! Promise: whoever makes one of the usual first mistakes is told what is wrong and the one thing to do next, in words
//! that docs/troubleshooting.md explains. No message holds a key or anything of Rust's own.
//!
//! Each file has the mistakes of one kind. [`Mistake::play`] makes the mistake with the real program, and
//! [`judge_all`] judges what the program says. Ports that are taken are a matter of the sandbox, whose own tests play
//! them; a key among the arguments is one of `commands::misuse`.

mod credentials;
mod folder;
mod keys;
mod network;
mod page;
mod secrets;
mod settings;
mod stopped;
mod store;
mod tools;
mod usage;

use std::io::Write as _;
use std::pin::Pin;

use clerk_sandbox::{DEFAULT_KEY, Population, Sandbox, Serving};
use futures_util::future::join_all;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::moto::Moto;
use crate::support::process::{Finished, Program};

/// A mistake, and what must be said about it.
#[derive(Debug, Clone, Copy)]
struct Mistake {
    /// What the stranger did.
    what: &'static str,
    /// Makes the mistake; `None` if this machine does not allow it.
    play: fn() -> Play,
    /// The exit status.
    status: i32,
    /// The name of the error, the status of the answer, or nothing where there is neither.
    name: &'static str,
    /// Words of the message that name the problem. docs/troubleshooting.md is searched by them.
    says: &'static str,
    /// Words of the message that say what to do.
    to_do: &'static str,
}

type Play = Pin<Box<dyn Future<Output = Option<Told>> + Send>>;

/// What the stranger is told.
#[derive(Debug)]
struct Told {
    status: Option<i32>,
    name: String,
    message: String,
    /// All that was written.
    everything: String,
}

/// The mistakes of every kind.
fn all() -> Vec<Mistake> {
    [
        &settings::MISTAKES[..],
        &keys::MISTAKES,
        &secrets::MISTAKES,
        &credentials::MISTAKES,
        &store::MISTAKES,
        &folder::MISTAKES,
        &network::MISTAKES,
        &usage::MISTAKES,
        &stopped::MISTAKES,
        &tools::MISTAKES,
    ]
    .concat()
}

/// A key that is nowhere in the tests but where it is pasted, so that a message which shows it is found.
const PASTED: &str = "sk_test_planted9in9the9tests";

impl Told {
    /// What a process has answered: an error, or the message of an answer.
    fn answered(finished: &Finished) -> Option<Self> {
        let document: Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        let is_error = document.get("errorType").is_some();
        let message = if is_error { text("errorMessage") } else { text("message") };
        if is_error {
            assert!(finished.stderr.contains(&message), "not logged: {}", finished.stderr);
        }
        let name = if is_error { text("errorType") } else { text("status") };
        Some(Self { name, message, ..Self::written(finished) })
    }

    /// The detail of the first check that is not ok.
    fn checked(finished: &Finished) -> Option<Self> {
        let document: Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
        let checks = document.as_array().into_iter().flatten();
        let failed = checks.filter(|check| check["ok"] == false).map(|check| &check["detail"]);
        // A detail has no full stop.
        let message = format!("{}.", failed.filter_map(Value::as_str).next().unwrap_or_default());
        Some(Self { message, ..Self::written(finished) })
    }

    /// What a process has written to standard error, where nothing else is answered.
    fn complained(finished: &Finished) -> Option<Self> {
        let message = finished.stderr.trim_end().to_owned();
        Some(Self { message, ..Self::written(finished) })
    }

    fn written(finished: &Finished) -> Self {
        Self {
            status: finished.status,
            name: String::new(),
            message: String::new(),
            everything: format!("{}\n{}", finished.stdout, finished.stderr),
        }
    }
}

/// Makes the mistakes at the same time, and judges what is said about each.
async fn judge_all(mistakes: &[Mistake]) {
    let played = join_all(mistakes.iter().map(async |mistake| (mistake, (mistake.play)().await)));
    let mut wrong = Vec::new();
    for (mistake, told) in played.await {
        match told {
            Some(told) => wrong.extend(faults_of(mistake, &told)),
            None => say(&format!("not played on this machine: {}", mistake.what)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Tells whoever runs the tests.
fn say(line: &str) {
    // If standard error is closed, nobody is told.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What Rust writes for itself, and not for people.
const NOISE: [&str; 9] =
    ["Some(", "None)", "Ok(", "Err(", "Error {", "Error(", "::", "panicked", "unwrap"];

/// More characters than anybody reads at night.
const LONGEST: usize = 1000;

/// What is wrong with what is said about a mistake.
fn faults_of(mistake: &Mistake, told: &Told) -> Vec<String> {
    let Told { status, name, message, everything } = told;
    let mut faults = Vec::new();
    if *status != Some(mistake.status) {
        faults.push(format!("ends with {status:?} instead of {}", mistake.status));
    }
    if name != mistake.name {
        faults.push(format!("is {name:?} instead of {:?}", mistake.name));
    }
    for (part, missing) in [(mistake.says, "the problem"), (mistake.to_do, "what to do")] {
        if !message.contains(part) {
            faults.push(format!("does not name {missing}, {part:?}"));
        }
    }
    if !message.ends_with(['.', ')']) || message.contains('\n') || message.chars().count() > LONGEST
    {
        faults.push("is not one line of sentences".to_owned());
    }
    faults.extend(NOISE.iter().filter(|it| message.contains(**it)).map(|it| format!("has {it:?}")));
    for key in [DEFAULT_KEY, PASTED] {
        if everything.contains(key) {
            faults.push("shows the key".to_owned());
        }
    }
    faults
        .into_iter()
        .map(|fault| format!("{}: {fault}: {message}\n{everything}", mistake.what))
        .collect()
}

/// What a stranger has: an instance, and a folder for snapshots.
struct Stranger {
    sandbox: Sandbox,
    clerk: Serving,
    folder: TempDir,
}

impl Stranger {
    async fn new() -> Self {
        let sandbox = Sandbox::new(Population::default().users(5).organizations(2).memberships(4));
        let clerk = sandbox.serve().await.expect("a port");
        Self { sandbox, clerk, folder: tempfile::tempdir().expect("a folder") }
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder.path().join("out").display())
    }

    /// The program that copies the instance into the folder.
    fn program(&self) -> Program {
        Program::new(&self.url(), &self.clerk).with("RESOURCES", "users")
    }

    /// The program that copies the instance into a bucket of this AWS.
    fn program_for_bucket(&self, bucket: &str, aws: &str) -> Program {
        self.program()
            .with("SNAPSHOT_URL", &format!("s3://{bucket}/clerk"))
            .with_aws(Moto::shared())
            .with("AWS_ENDPOINT_URL", aws)
    }

    /// The program that reads its key from Secrets Manager.
    fn with_secret(&self, secret: &str, aws: &str) -> Program {
        self.program()
            .with("CLERK_SECRET_KEY", "")
            .with("CLERK_SECRET_ID", secret)
            .with_aws(Moto::shared())
            .with("AWS_ENDPOINT_URL", aws)
    }
}

/// The program of a stranger with some settings changed.
async fn with_settings(settings: &[(&str, &str)]) -> Option<Told> {
    let stranger = Stranger::new().await;
    let program =
        settings.iter().fold(stranger.program(), |it, (name, value)| it.with(name, value));
    Told::answered(&program.run().await)
}

#[test]
fn there_are_forty_mistakes_and_more_each_with_its_own_words() {
    let mistakes = all();
    assert!(mistakes.len() >= 40, "{}", mistakes.len());
    for (at, mistake) in mistakes.iter().enumerate() {
        let same = mistakes[..at].iter().find(|other| other.what == mistake.what);
        assert!(same.is_none(), "{}", mistake.what);
    }
}
