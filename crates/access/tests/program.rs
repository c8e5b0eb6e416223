//! The program itself, as a process.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use clerk_snapshot::testing::SnapshotBuilder;

use crate::support::Place;
use crate::world::World;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clerk-access"));
    command.env_remove("SNAPSHOT_URL").stdin(Stdio::null());
    command
}

// Promise: SNAPSHOT_URL is where snapshots are read from, and a pipe gets JSON.
#[test]
fn it_reads_where_the_variable_says() {
    let place = Place::new();
    let stored = place.publish(&World::new().snapshot(20));
    let url = format!("file://{}", place.folder.path().display());
    let done = program()
        .env("SNAPSHOT_URL", url)
        .args(["can", "org:sys_profile:delete"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(0));
    let answer: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(answer["snapshot"]["snapshot_id"], stored.id());
    assert!(done.stderr.is_empty(), "no progress where nobody looks");
}

// Promise: the exit status is the process's own.
#[test]
fn it_exits_with_the_status_of_the_answer() {
    let place = Place::new();
    let url = place.folder.path().to_str().unwrap().to_owned();
    let status = |arguments: &[&str]| {
        program().args(["--url", &url]).args(arguments).output().unwrap().status.code()
    };
    assert_eq!(status(&["holders"]), Some(2), "no snapshot");
    place.publish(&SnapshotBuilder::on_day(1));
    assert_eq!(status(&["holders"]), Some(5), "nothing of what it needs");
    place.write("latest.json", b"{}");
    assert_eq!(status(&["holders"]), Some(6));
}

// Promise: somebody who may not read the snapshots is told to get the right to read them, and no more; each file is named
// once.
#[test]
fn a_reader_without_the_right_to_read_needs_no_right_to_write() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    for (key, question) in [("latest.json", "stats"), ("snapshots", "snapshots")] {
        let path = place.path(key);
        let before = std::fs::metadata(&path).unwrap().permissions();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        // The superuser may read anything, unless that right is given up.
        let mut command = match std::fs::read(place.path("latest.json")).is_ok() {
            true => without_privileges(),
            false => program(),
        };
        let Ok(output) =
            command.args(["--url", place.path("").to_str().unwrap(), question]).output()
        else {
            return;
        };
        std::fs::set_permissions(&path, before).unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        if told.starts_with("setpriv: ") {
            return;
        }
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("give the user that runs this program the right to read there"),
            "{told}"
        );
        assert_eq!(told.matches("file://").count(), 1, "{told}");
    }
}

/// The program as somebody to whom permissions apply.
fn without_privileges() -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--bounding-set=-dac_override,-dac_read_search",
        "--inh-caps=-dac_override,-dac_read_search",
        env!("CARGO_BIN_EXE_clerk-access"),
    ]);
    command
}

// Promise: a reader that stops early, as `head` does, is no error.
#[test]
fn a_closed_pipe_is_no_error() {
    let place = Place::new();
    let mut snapshot = World::new().snapshot(20);
    // More than a pipe holds.
    for lines in snapshot.lines.values_mut() {
        lines.truncate(1_000);
    }
    place.publish(&snapshot);
    let mut child = program()
        .args(["--url", place.folder.path().to_str().unwrap(), "holders"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.stderr.is_empty());
}

// Promise: a full disk is an error, for whatever is written.
#[test]
fn a_full_disk_is_an_error() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    let url = place.folder.path().to_str().unwrap();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["completions", "bash"],
        &["man"],
        &["--url", url, "holders"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = program().args(arguments).stdout(full).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{arguments:?}");
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(
            told.starts_with("clerk-access: the answer cannot be written"),
            "{arguments:?}: {told}"
        );
    }
}

// Promise: the completions complete what follows a command, too.
#[test]
fn bash_completes_the_words_of_a_command() {
    let done = program().args(["completions", "bash"]).output().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completions");
    std::fs::write(&script, done.stdout).unwrap();
    let complete = r#"source "$1"; COMP_WORDS=(clerk-access findings --ru); COMP_CWORD=2
        _clerk__access clerk-access --ru findings; printf '%s\n' "${COMPREPLY[@]}""#;
    let done = Command::new("bash").args(["-c", complete, "-"]).arg(&script).output().unwrap();
    let words = String::from_utf8(done.stdout).unwrap();
    assert_eq!(words.lines().collect::<Vec<_>>(), ["--rules", "--rule"], "{:?}", done.stderr);
}

// Promise: a program that is interrupted leaves no unfinished file behind: it would hold personal data.
#[test]
fn an_interrupted_program_leaves_no_file() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer.json");
    // It waits for the key on standard input, after it has created its file.
    let mut child = program()
        .args(["--url", place.folder.path().to_str().unwrap(), "--out", file.to_str().unwrap()])
        .args(["who", "ada", "--redaction-key-file", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take();
    let is_empty = || std::fs::read_dir(folder.path()).unwrap().next().is_none();
    while is_empty() {
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(is_empty());
    drop(input);
}
