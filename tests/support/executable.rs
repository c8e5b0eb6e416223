//! Files to execute. Other programs write them: a file that this process has open to be written cannot be executed, and
//! a child that another test has just started holds it open for a moment, too.

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
