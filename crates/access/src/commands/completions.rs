//! `completions`: what a shell needs to complete the command line.

use std::io::Write;

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
    /// Writes the completions of `command` and returns the exit status.
    pub fn write(&self, mut command: clap::Command, stdout: &mut (dyn Write + Send)) -> u8 {
        let mut script = Vec::new();
        clap_complete::generate(
            clap_complete::Shell::from(self.shell),
            &mut command,
            "clerk-access",
            &mut script,
        );
        // If nobody reads it any more, that is their choice.
        let _ = stdout.write_all(&script).and_then(|()| stdout.flush());
        0
    }
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
