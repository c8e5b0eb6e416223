//! What the program takes from the process that it runs in.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal as _, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use clerk_snapshot::timestamp::Timestamp;

/// The variable that names where snapshots are, if `--url` does not.
pub const SNAPSHOT_URL: &str = "SNAPSHOT_URL";

/// The variable that names the AWS account that must own the bucket.
pub const EXPECTED_BUCKET_OWNER: &str = "EXPECTED_BUCKET_OWNER";

/// Width in characters of a terminal that does not say how wide it is.
const USUAL_WIDTH: u16 = 80;

/// What the program takes from the process: a test sets it, `main` takes it from the machine.
pub struct Environment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// The working folder, to which relative paths are added.
    pub folder: PathBuf,
    /// The time from which ages such as `-7d` are counted.
    pub now: Timestamp,
    /// Width in characters of the terminal that standard output is; `None` if it is a pipe or a file.
    pub terminal: Option<u16>,
    /// Whether standard error is a terminal, so that somebody looks at the progress.
    pub shows_progress: bool,
    /// Standard input.
    pub input: Box<dyn Read + Send>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let variables: BTreeMap<_, _> =
            std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
        let terminal = io::stdout().is_terminal().then(|| width(&variables));
        Self {
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            now: Timestamp::from(SystemTime::now()),
            terminal,
            shows_progress: io::stderr().is_terminal(),
            input: Box::new(io::stdin()),
            variables,
        }
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// `COLUMNS`, as shells set it, else what the terminal itself says.
fn width(variables: &BTreeMap<String, String>) -> u16 {
    let stated = variables.get("COLUMNS").and_then(|columns| columns.parse().ok());
    let measured = || terminal_size::terminal_size().map(|(width, _)| width.0);
    stated.or_else(measured).filter(|&width| width > 0).unwrap_or(USUAL_WIDTH)
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables may hold credentials.
        formatter.debug_struct("Environment").field("folder", &self.folder).finish_non_exhaustive()
    }
}
