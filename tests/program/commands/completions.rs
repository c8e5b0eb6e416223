//! Promise: shells complete commands, options and resources, and the manual page has every setting and exit status.

use std::process::Command;

use clerk_sync::arguments::COMMANDS;
use clerk_sync::config::SETTINGS;

use crate::support::process::{Finished, Program};

async fn printed(words: &[&str]) -> String {
    let Finished { status, stdout, stderr } = Program::bare().command(words).run().await;
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{words:?}");
    stdout
}

/// What bash offers for the last of these words.
fn completed(script: &str, words: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("completions");
    std::fs::write(&file, script).expect("a file");
    let complete = r#"source "$1"; COMP_WORDS=(clerk-sync $2); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _clerk__sync clerk-sync "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    let done = bash.args(["-c", complete, "-"]).arg(&file).arg(words).output().expect("bash");
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bash_completes_commands_options_and_resources() {
    let script = printed(&["completions", "bash"]).await;
    for (words, expected) in [
        ("sta", &["status"][..]),
        ("sync --acc", &["--accept-shrink"]),
        ("sync --re", &["--resources", "--restart"]),
        ("lookup organization_i", &["organization_invitations"]),
        ("lookup users --em", &["--email-address"]),
        ("changes --f", &["--from"]),
        ("completions z", &["zsh"]),
    ] {
        assert_eq!(completed(&script, words), expected, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_shells_get_a_script_with_every_command() {
    for shell in ["zsh", "fish"] {
        let script = printed(&["completions", shell]).await;
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manual_page_has_every_command_setting_and_exit_status() {
    let page = printed(&["man"]).await;
    assert!(page.contains(".SH ENVIRONMENT") && page.contains(".SH \"EXIT STATUS\""), "{page}");
    for setting in SETTINGS {
        assert!(page.contains(&format!("\\fB{}\\fR", setting.name)), "{}", setting.name);
    }
    for command in COMMANDS {
        assert!(page.contains(&format!("clerk\\-sync\\-{command}")), "{command}");
    }
    for status in ["0", "1", "2", "3", "75"] {
        assert!(page.contains(&format!("\\fB{status}\\fR")), "{status}");
    }
    let page = printed(&["man", "lookup"]).await;
    assert!(page.contains("email\\-address") && !page.contains(".SH ENVIRONMENT"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_names_the_commands_and_each_has_an_example() {
    let help = printed(&["--help"]).await;
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command}")), "{command}");
        let own = printed(&[command, "--help"]).await;
        assert!(own.contains(&format!("Example:\n  clerk-sync {command}")), "{own}");
        assert_eq!(printed(&["--help", command]).await, own, "in front of it, too");
    }
}
