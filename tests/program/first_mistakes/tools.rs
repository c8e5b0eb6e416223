//! A machine without Rust or Python, or with versions that are too old: what the scripts behind `make` say.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Mistake, Told, judge_all};
use crate::support::executable::{copy_program, write_program};
use crate::support::process::{Finished, finished};

const fn wrong(
    what: &'static str,
    play: fn() -> super::Play,
    says: &'static str,
    to_do: &'static str,
) -> Mistake {
    Mistake { what, play, status: 1, name: "", says, to_do }
}

pub(super) const MISTAKES: [Mistake; 5] = [
    wrong(
        "has no Rust",
        || Box::pin(script("scripts/install", &[])),
        "Rust is missing",
        "or newer, see https://rustup.rs, and run this again",
    ),
    wrong(
        "has an old Rust",
        || {
            Box::pin(script(
                "scripts/run",
                &[("cargo", "echo 'cargo 1.75.0 (1d8b05cdd 2023-11-20)'")],
            ))
        },
        "Rust 1.75.0 is too old",
        "or newer is needed. Run `rustup update`",
    ),
    wrong(
        "has no Python",
        || Box::pin(script("scripts/run", &[("cargo", "echo 'cargo 1.95.0'")])),
        "Python is missing",
        "or newer, see https://www.python.org, and run this again",
    ),
    wrong(
        "has an old Python",
        || Box::pin(script("scripts/python-environment", &[("python3", "echo 'Python 3.9.2'")])),
        "Python 3.9.2 is too old",
        "or newer, and make it the first python3 in PATH",
    ),
    wrong(
        "has a Python without venv",
        || Box::pin(script("scripts/python-environment", &[("python3", WITHOUT_VENV)])),
        "Python's module venv is missing",
        "apt-get install python3-venv",
    ),
];

/// A Python that knows its version, and no module.
const WITHOUT_VENV: &str = "[ \"$1\" = --version ] && echo 'Python 3.12.1'";

/// What the scripts need besides the tools that they ask for.
const USUAL: [&str; 12] =
    ["bash", "cat", "cmp", "cp", "dirname", "env", "grep", "head", "mkdir", "mktemp", "rm", "sed"];

/// Runs a script of a copy of the repository's scripts, with these programs and the usual ones alone.
async fn script(script: &str, programs: &[(&str, &str)]) -> Option<Told> {
    let place = tempfile::tempdir().expect("a folder");
    let bin = place.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    for name in USUAL {
        symlink(on_path(name), bin.join(name)).expect("a link");
    }
    for (name, body) in programs {
        write_program(&bin.join(name), &format!("#!/bin/sh\n{body}\n"));
    }
    let copy = place.path().join("repository");
    copy_scripts(&copy);
    let child = Command::new(copy.join(script))
        .arg("test")
        .env_clear()
        .env("PATH", &bin)
        .env("HOME", place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the script starts");
    Told::complained(&last_line(finished(child).await))
}

/// The scripts and what they read, so that none of them finds an environment that was made before.
fn copy_scripts(to: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["scripts", "requirements"] {
        fs::create_dir_all(to.join(folder)).expect("a folder");
        for entry in fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                copy_program(&path, &to.join(folder));
            }
        }
    }
    fs::copy(root.join("Cargo.toml"), to.join("Cargo.toml")).expect("a copy");
}

fn on_path(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("PATH is set");
    let found =
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|it| it.is_file());
    found.unwrap_or_else(|| panic!("{name} is not on this machine"))
}

/// A script may say first what it is about to do.
fn last_line(finished: Finished) -> Finished {
    let last = finished.stderr.lines().next_back().unwrap_or_default().to_owned();
    Finished { stderr: last, ..finished }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_tools_are_named_with_the_version_that_is_needed() {
    judge_all(&MISTAKES).await;
}

/// Every script that builds, and every one that makes an environment for Python, asks for its tools first.
#[test]
fn every_script_that_needs_a_tool_asks_for_it() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let asking: HashSet<&str> =
        ["scripts/run", "scripts/install", "scripts/run-lambda", "scripts/python-environment"]
            .into_iter()
            .filter(|script| read(script).contains("\nscripts/requires "))
            .collect();
    assert_eq!(asking.len(), 4, "{asking:?}");
    let test = read("Makefile");
    let (_, test) = test.split_once("\ntest:").expect("a target");
    let first = test.lines().nth(1).expect("a command");
    assert_eq!(first.trim(), "@scripts/requires rust python");
}
