//! Executable files. Child processes write them: nobody can execute a file that is open for writing, and a file that this
//! process writes may still be open in a child that another test has just started.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a script that can be executed.
pub(crate) fn write_program(path: &Path, script: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut child = command.spawn().expect("sh");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(script.as_bytes()).expect("sh reads");
    drop(input);
    assert!(child.wait().expect("sh").success(), "{}", path.display());
}

/// Copies a program to a folder or a file.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().expect("cp");
    assert!(copied.success(), "{}", to.display());
}
