//! `completions`: what a shell needs to complete the command line.

use clap::{Args, ValueEnum};

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clerk-access completions bash > /etc/bash_completion.d/clerk-access"
)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

impl Arguments {
    /// The script that completes `command`.
    #[must_use]
    pub fn script(&self, mut command: clap::Command) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(
            clap_complete::Shell::from(self.shell),
            &mut command,
            "clerk-access",
            &mut script,
        );
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
    script.replace("clerk__subcmd__access", "clerk__access").into_bytes()
}

/// A shell that completions can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
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
