//! `completions`: what a shell needs to complete the command line.

use clap::{Args, ValueEnum};

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clerk-sync completions bash > /etc/bash_completion.d/clerk-sync"
)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Arguments {
    /// The script that completes `command`.
    pub(super) fn script(&self, mut command: clap::Command) -> Vec<u8> {
        let mut script = Vec::new();
        let shell = clap_complete::Shell::from(self.shell);
        clap_complete::generate(shell, &mut command, "clerk-sync", &mut script);
        match self.shell {
            Shell::Bash => with_one_name(script),
            Shell::Zsh | Shell::Fish => script,
        }
    }
}

/// clap_complete writes the program's name in two ways where it has a hyphen, so that the script would find none of the
/// commands.
fn with_one_name(script: Vec<u8>) -> Vec<u8> {
    let script = String::from_utf8_lossy(&script).into_owned();
    script.replace("clerk__subcmd__sync", "clerk__sync").into_bytes()
}

/// A shell that completions can be written for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}
