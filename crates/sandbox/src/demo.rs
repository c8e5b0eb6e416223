//! `clerk-sandbox demo`: the first answer about a synthetic Clerk. It copies the instance into a folder, lets a day at
//! work pass in it, copies it again, and asks what changed. It needs nothing but clerk-sync and clerk-access beside it:
//! no shell, no network, no compiler.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use clerk_sandbox::{DEFAULT_KEY, Population, Sandbox};
use serde_json::Value;

/// Where the snapshots go if the command line does not say.
pub(crate) const DEFAULT_FOLDER: &str = "clerk-demo";

/// What says who can do what.
const RESOURCES: &str =
    "users,organizations,organization_roles,organization_permissions,organization_memberships";
/// The right to manage an organization's members.
const PERMISSION: &str = "org:sys_memberships:manage";
/// Without latency, the copy would end before its progress is drawn once.
const LATENCY: Duration = Duration::from_millis(60);
/// What any program needs from the environment. Settings and credentials that happen to be exported stay outside.
const PASSED_ON: [&str; 5] = ["PATH", "HOME", "TERM", "LANG", "TMPDIR"];

/// Runs the demo, with the snapshots in `folder`. It prints the answers to standard output, and what happens to standard
/// error.
///
/// # Errors
/// If the other programs are missing, a copy or an answer fails, or nothing can be printed.
pub(crate) async fn run(folder: &Path) -> Result<(), DemoFailed> {
    let programs = Programs::beside_this_one()?;
    let sandbox = Sandbox::new(Population::demo());
    sandbox.set_latency(LATENCY, Duration::ZERO);
    let serving = sandbox.serve().await.map_err(DemoFailed::Serving)?;
    let url = serving.url();

    // The programs are waited for on another thread: this one answers them.
    let folder = folder.to_owned();
    let demo = tokio::task::spawn_blocking(move || {
        let demo = Demo { programs, folder, url };
        tell("A synthetic Clerk with 3,000 users, 200 organizations and 6,000 memberships is")?;
        tell(&format!("at {}. clerk-sync copies it into {}:", demo.url, demo.folder.display()))?;
        demo.copy()?;
        tell("A day at work passes in it, and clerk-sync copies it again:")?;
        sandbox.pass_a_workday();
        demo.copy()?;
        demo.ask()
    });
    let result = demo.await.unwrap_or(Err(DemoFailed::Interrupted));
    drop(serving);
    result
}

/// The other two programs of this version.
struct Programs {
    sync: PathBuf,
    access: PathBuf,
}

impl Programs {
    /// They are in the folder of this program: in the archive, and wherever they are installed from it.
    fn beside_this_one() -> Result<Self, DemoFailed> {
        // Without /proc, Linux does not say where the program is; then it is where it was called.
        let this = std::env::current_exe()
            .ok()
            .or_else(|| std::env::args_os().next().map(PathBuf::from))
            .unwrap_or_default();
        let folder = this.parent().unwrap_or(Path::new(""));
        let find = |name: &'static str| {
            let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            let there = program.is_file();
            there.then_some(program).ok_or_else(|| DemoFailed::Missing(name, folder.to_owned()))
        };
        Ok(Self { sync: find("clerk-sync")?, access: find("clerk-access")? })
    }
}

struct Demo {
    programs: Programs,
    folder: PathBuf,
    url: String,
}

impl Demo {
    /// Copies the instance once, and says what the program answers.
    fn copy(&self) -> Result<(), DemoFailed> {
        let mut command = clean(&self.programs.sync);
        command
            .args(["sync", "--json", "--resources", RESOURCES, "--into"])
            .arg(&self.folder)
            .env("CLERK_API_URL", &self.url)
            .env("CLERK_SECRET_KEY", DEFAULT_KEY)
            .env("CLERK_REQUESTS_PER_10S", "1000");
        let answer: Value = json_of("clerk-sync sync", &mut command)
            .map_err(|failed| failed.about_copying_into(&self.folder))?;
        tell(answer["message"].as_str().unwrap_or("The snapshot is published."))
    }

    /// Asks what changed, and about whoever was made an administrator during the day.
    fn ask(&self) -> Result<(), DemoFailed> {
        let answer = json_of("clerk-access diff", self.access().args(["diff", "-o", "json"]))?;
        self.show(&["diff"])?;
        if let Some(promotion) = promotion(&answer) {
            let address = self.address_of(&promotion.user)?;
            self.show(&["who", &address])?;
            self.show(&["can", PERMISSION, "--in", &promotion.organization])?;
        }
        let bin = self.programs.access.parent().unwrap_or(Path::new("")).display();
        let folder = self.folder.display();
        print(&format!(
            "Next:\n  \
             who has access?        {bin}/clerk-access --url {folder} holders\n  \
             what to look at first  {bin}/clerk-access --url {folder} findings\n  \
             is it all there?       {bin}/clerk-access --url {folder} verify --all\n  \
             your own instance      read -rs CLERK_SECRET_KEY && export CLERK_SECRET_KEY\n                         \
             {bin}/clerk-sync sync --into ./mine --resources {RESOURCES}\n"
        ))
    }

    /// The primary e-mail address of a user, as somebody would ask for them; the id if there is none.
    fn address_of(&self, user: &str) -> Result<String, DemoFailed> {
        let answer = json_of("clerk-access who", self.access().args(["who", user, "-o", "json"]))?;
        let address = answer["people"][0]["user"]["profile"]["primary_email"].as_str();
        Ok(address.unwrap_or(user).to_owned())
    }

    /// Prints a question as somebody would type it, and its answer.
    fn show(&self, words: &[&str]) -> Result<(), DemoFailed> {
        print(&format!("$ clerk-access {}\n", words.join(" ")))?;
        let mut command = self.access();
        let status = command
            .args(words)
            .args(["-o", "table"])
            .status()
            .map_err(|problem| DemoFailed::Starting("clerk-access", problem))?;
        if !status.success() {
            return Err(DemoFailed::Ended("clerk-access", status.to_string()));
        }
        print("\n")
    }

    fn access(&self) -> Command {
        let mut command = clean(&self.programs.access);
        command.arg("--url").arg(&self.folder);
        command
    }
}

/// Says what happens.
fn tell(text: &str) -> Result<(), DemoFailed> {
    writeln!(std::io::stderr(), "{text}").map_err(DemoFailed::Printing)
}

/// A program with none of the caller's settings.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null());
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs a program and reads its answer. Its standard error is the caller's.
fn json_of(what: &'static str, command: &mut Command) -> Result<Value, DemoFailed> {
    let Output { status, stdout, .. } = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|problem| DemoFailed::Starting(what, problem))?;
    let answer: Option<Value> = serde_json::from_slice(&stdout).ok();
    if !status.success() {
        let name = answer.and_then(|answer| answer["errorType"].as_str().map(str::to_owned));
        return Err(match name {
            Some(name) => DemoFailed::Said(what, name),
            None => DemoFailed::Ended(what, status.to_string()),
        });
    }
    answer.ok_or(DemoFailed::Unreadable(what))
}

/// Somebody who was made an administrator, and where.
struct Promotion {
    user: String,
    organization: String,
}

/// The first one among the changes: a membership that lost one role and gained that of administrators.
fn promotion(answer: &Value) -> Option<Promotion> {
    let changes = answer["changes"].as_array()?;
    let revoked: Vec<&Value> = changes
        .iter()
        .filter(|change| change["event"] == "role_revoked")
        .map(|change| &change["pair"])
        .collect();
    let granted = changes.iter().find(|change| {
        change["event"] == "role_granted"
            && change["role"]["key"] == "org:admin"
            && revoked.contains(&&change["pair"])
    })?;
    Some(Promotion {
        user: granted["subject"]["id"].as_str()?.to_owned(),
        organization: granted["target"]["id"].as_str()?.to_owned(),
    })
}

fn print(text: &str) -> Result<(), DemoFailed> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(DemoFailed::Printing)
}

/// Why the demo ended early.
#[derive(Debug)]
pub(crate) enum DemoFailed {
    /// A program is not in the folder of this one.
    Missing(&'static str, PathBuf),
    /// The synthetic Clerk cannot listen.
    Serving(std::io::Error),
    /// A program cannot be started.
    Starting(&'static str, std::io::Error),
    /// A program ended with an error of this name, and has already said on standard error what is wrong.
    Said(&'static str, String),
    /// Nothing can be kept in this folder; the program that tried has said why.
    Folder(PathBuf),
    /// A program ended with another status than 0.
    Ended(&'static str, String),
    /// A program's answer is not JSON.
    Unreadable(&'static str),
    /// Nothing can be printed.
    Printing(std::io::Error),
    /// The demo itself was stopped.
    Interrupted,
}

impl DemoFailed {
    /// Why a copy failed: an error of the store is one of the folder.
    fn about_copying_into(self, folder: &Path) -> Self {
        match self {
            Self::Said(_, name) if name == "StoreUnavailable" => Self::Folder(folder.to_owned()),
            other => other,
        }
    }
}

impl fmt::Display for DemoFailed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name, folder) => {
                let folder = folder.display();
                write!(
                    formatter,
                    "the demo needs {name} in the folder of clerk-sandbox, and {folder} has none; \
                     unpack the whole archive, or put the three programs into one folder"
                )
            }
            Self::Serving(problem) => write!(formatter, "cannot listen on 127.0.0.1: {problem}"),
            Self::Starting(what, problem) => write!(formatter, "{what} does not start: {problem}"),
            Self::Said(what, name) => write!(formatter, "{what} ended with {name}, see above"),
            Self::Folder(folder) => {
                let folder = folder.display();
                write!(
                    formatter,
                    "the copy cannot be kept in {folder}, see above; make that folder writable, or name another \
                     folder: clerk-sandbox demo FOLDER"
                )
            }
            Self::Ended(what, how) => write!(formatter, "{what} failed: {how}"),
            Self::Unreadable(what) => write!(formatter, "the answer of {what} is not JSON"),
            Self::Printing(problem) => write!(formatter, "cannot write: {problem}"),
            Self::Interrupted => write!(formatter, "the demo was interrupted"),
        }
    }
}
