//! `man`: the manual page.

use std::io::Write;

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
    /// Writes the page and returns the exit status.
    pub fn write(
        &self,
        mut command: clap::Command,
        stdout: &mut (dyn Write + Send),
        stderr: &mut (dyn Write + Send),
    ) -> u8 {
        command.build();
        let page = match &self.command {
            None => Some(command),
            Some(name) => command.find_subcommand(name).cloned(),
        };
        let Some(page) = page else {
            let _ = stderr
                .write_all(b"clerk-access: there is no such command; see clerk-access --help\n");
            return 2;
        };
        let mut text = Vec::new();
        let rendered = Man::new(page).render(&mut text);
        match rendered.and_then(|()| stdout.write_all(&text)).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => 1,
            _ => 0,
        }
    }
}
