//! `man`: the manual page.

use clap::Args;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::config::{EXIT_STATUSES, SETTINGS};

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clerk-sync man > clerk-sync.1\n  clerk-sync man lookup | man -l -"
)]
pub(super) struct Arguments {
    /// The page of this command instead of that of the whole program
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(crate::arguments::COMMANDS))]
    command: Option<String>,
}

impl Arguments {
    /// The page. That of the whole program has the settings and exit statuses as well.
    pub(super) fn page(&self, mut command: clap::Command) -> Vec<u8> {
        command.build();
        let named = self.command.as_ref().and_then(|name| command.find_subcommand(name)).cloned();
        let mut page = Vec::new();
        // Writing to memory does not fail.
        let _ = Man::new(named.unwrap_or(command)).render(&mut page);
        if self.command.is_none() {
            let _ = further_sections().to_writer(&mut page);
        }
        page
    }
}

fn further_sections() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EVENTS"]);
    roff.text([roman(
        "Instead of a command, clerk-sync takes the file of an event, - for an event on standard input, or nothing \
         for a plain sync. It then answers with JSON, also on a terminal.",
    )]);
    roff.control("SH", ["ENVIRONMENT"]);
    for setting in SETTINGS {
        roff.control("TP", []);
        roff.text([bold(setting.name), roman(format!(" [{}]", setting.default))]);
        roff.text([roman(setting.meaning)]);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in EXIT_STATUSES {
        roff.control("TP", []);
        roff.text([bold(status.to_string())]);
        roff.text([roman(*meaning)]);
    }
    roff
}
