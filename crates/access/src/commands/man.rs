//! `man`: the manual page.

use clap::Args;
use clap_mangen::Man;

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clerk-access man > clerk-access.1\n  clerk-access man who | man -l -"
)]
pub struct Arguments {
    /// The page of this command instead of that of the whole program
    pub command: Option<String>,
}

impl Arguments {
    /// The page; `None` if there is no such command.
    #[must_use]
    pub fn page(&self, mut command: clap::Command) -> Option<Vec<u8>> {
        command.build();
        let page = match &self.command {
            None => command,
            Some(name) => command.find_subcommand(name)?.clone(),
        };
        let mut text = Vec::new();
        // Writing to memory does not fail.
        Man::new(page).render(&mut text).ok().map(|()| text)
    }
}
