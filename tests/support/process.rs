//! The real program as a child process.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use clerk_sandbox::{DEFAULT_KEY, Sandbox, Serving};
use clerk_store::Store;
use serde_json::Value;

use super::fuse::Fuse;
use super::moto::{self, Moto};
use super::world::ALL;

/// A command line and its environment. Nothing is inherited except the name of a planted bug.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    settings: BTreeMap<String, String>,
    arguments: Vec<String>,
    input: String,
    /// Words in front of the program's name, of another program that starts it.
    within: Vec<String>,
    folder: Option<PathBuf>,
    on_terminal: bool,
}

/// Runs a program whose standard output is a terminal, and copies what it writes there. Its other streams stay as they
/// are.
const TERMINAL: &str = r#"
import os, pty, subprocess, sys
master, slave = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stdout=slave)
os.close(slave)
written = b""
while True:
    try:
        read = os.read(master, 65536)
    except OSError:  # On Linux the end of a terminal is an error.
        break
    if not read:
        break
    written += read
sys.stdout.buffer.write(written.replace(b"\r\n", b"\n"))
sys.stdout.flush()
status = child.wait()
sys.exit(status if status >= 0 else 128 - status)
"#;

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit status; `None` when a signal ended it.
    pub(crate) status: Option<i32>,
    /// What it wrote to standard output.
    pub(crate) stdout: String,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
}

impl Program {
    /// The program without any settings.
    pub(crate) fn bare() -> Self {
        Self {
            settings: BTreeMap::new(),
            arguments: Vec::new(),
            input: String::new(),
            within: Vec::new(),
            folder: None,
            on_terminal: false,
        }
    }

    /// The program that copies every resource from a sandbox.
    pub(crate) fn new(snapshot_url: &str, clerk: &Serving) -> Self {
        Self::bare()
            .with("SNAPSHOT_URL", snapshot_url)
            .with("RESOURCES", ALL)
            .with("CLERK_API_URL", &clerk.url())
            .with("CLERK_SECRET_KEY", DEFAULT_KEY)
            .with("CLERK_REQUESTS_PER_10S", "100000")
            .with("CLERK_RATE_SHARE", "1")
    }

    /// Changes a setting; an empty value unsets it.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.remove(name);
        if !value.is_empty() {
            self.settings.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    /// Uses moto as its AWS.
    pub(crate) fn with_aws(self, moto: &Moto) -> Self {
        self.with("AWS_ENDPOINT_URL", moto.url())
            .with("AWS_REGION", "us-east-1")
            .with("AWS_ACCESS_KEY_ID", "testing")
            .with("AWS_SECRET_ACCESS_KEY", "testing")
    }

    /// Adds an argument.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Adds the words of a command.
    pub(crate) fn command(self, words: &[&str]) -> Self {
        words.iter().fold(self, |program, word| program.argument(word))
    }

    /// Runs it in this folder.
    pub(crate) fn in_folder(self, folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), ..self }
    }

    /// Lets another program start it: one that ends in running the words that follow.
    pub(crate) fn within(self, words: &[&str]) -> Self {
        Self { within: words.iter().map(|word| (*word).to_owned()).collect(), ..self }
    }

    /// Makes its standard output a terminal.
    pub(crate) fn on_terminal(self) -> Self {
        Self { on_terminal: true, ..self }
    }

    /// Passes the event on standard input.
    pub(crate) fn event(self, event: &Value) -> Self {
        Self { input: event.to_string(), ..self }.argument("-")
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Child {
        let python = moto::python();
        let terminal =
            self.on_terminal.then(|| [python.as_os_str(), "-c".as_ref(), TERMINAL.as_ref()]);
        let mut words: Vec<&OsStr> = self.within.iter().map(OsStr::new).collect();
        words.extend(terminal.iter().flatten());
        words.push(env!("CARGO_BIN_EXE_clerk-sync").as_ref());
        words.extend(self.arguments.iter().map(OsStr::new));
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .current_dir(self.folder.as_deref().unwrap_or(".".as_ref()))
            .env_clear()
            .envs(&self.settings)
            // `make mutants` also plants its bugs in this process.
            .envs(std::env::vars_os().filter(|(name, _)| name == "CLERK_SYNC_PLANTED"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        stdin.write_all(self.input.as_bytes()).expect("standard input is read");
        child
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self) -> Finished {
        finished(self.start()).await
    }

    /// Runs it and sends a signal (`KILL`, `TERM`, `INT`) when the sandbox gets its n-th request
    /// from now on, before the answer.
    pub(crate) async fn run_and_signal(
        &self,
        signal: &'static str,
        sandbox: &Sandbox,
        request: u64,
    ) -> Finished {
        let (fuse, id) = (Fuse::blowing_at(request), Arc::new(OnceLock::new()));
        let process = Arc::clone(&id);
        sandbox.on_request(move |_, _| {
            if fuse.step() {
                send(signal, *process.wait());
            }
        });
        let child = self.start();
        id.set(child.id()).expect("set once");
        let finished = finished(child).await;
        sandbox.on_request(|_, _| ());
        finished
    }
}

/// Sends a signal to a process that this test has started.
pub(crate) fn send(signal: &str, id: u32) {
    assert!(signalled(signal, id), "kill -{signal}");
}

/// Sends a signal to a process that this test has started; false if it has already ended.
pub(crate) fn signalled(signal: &str, id: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args([format!("-{signal}"), id.to_string()]).stderr(Stdio::null());
    kill.status().expect("kill runs").success()
}

/// Waits for a process and reads everything it writes.
pub(crate) async fn finished(child: Child) -> Finished {
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await;
    let output = output.expect("not cancelled").expect("the program is waited for");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Finished {
        status: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

impl Finished {
    /// The one JSON document on standard output of a process that ended with this status.
    pub(crate) fn answer(&self, status: i32) -> Value {
        assert_eq!(self.status, Some(status), "{}\n{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).expect("one JSON document on standard output")
    }

    /// The message of an error with this name, which must be both answered and logged.
    pub(crate) fn error(&self, status: i32, name: &str) -> String {
        let answer = self.answer(status);
        assert_eq!(answer["errorType"], name, "{answer:#}");
        let message = answer["errorMessage"].as_str().expect("a message");
        let logged = self.stderr.contains(name) && self.stderr.contains(message);
        assert!(logged, "{name} is not in the log: {}", self.stderr);
        message.to_owned()
    }
}

impl Finished {
    /// The words on a terminal of a process that ended with this status.
    pub(crate) fn words(&self, status: i32) -> &str {
        assert_eq!(self.status, Some(status), "{}\n{}", self.stdout, self.stderr);
        assert!(self.stdout.ends_with('\n') && !self.stdout.starts_with('{'), "{}", self.stdout);
        &self.stdout
    }

    /// The sentence with which a process ends that fails on a terminal: on standard error, and nothing on standard
    /// output.
    pub(crate) fn complaint(&self, status: i32) -> &str {
        assert_eq!(self.status, Some(status), "{}\n{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        let last = self.stderr.lines().next_back().unwrap_or_default();
        last.strip_prefix("clerk-sync: ").unwrap_or_else(|| panic!("{}", self.stderr))
    }
}

/// Every object of a store.
pub(crate) async fn objects(store: &dyn Store) -> BTreeMap<String, Bytes> {
    let mut objects = BTreeMap::new();
    for listed in store.list("").await.expect("a listing") {
        let object = store.get(&listed.key).await.expect("an answer").expect("it is listed");
        objects.insert(listed.key, object.bytes);
    }
    objects
}
