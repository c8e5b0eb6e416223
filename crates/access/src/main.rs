//! Starts `clerk-access`.

use std::io;
use std::process::ExitCode;

use clerk_access::environment::Environment;
use clerk_access::output::{destination, xlsx};
use clerk_access::program;
use tokio::signal::unix::{SignalKind, signal};

/// With glibc's allocator, freed memory stays with the threads that used it, and a million users would not fit into
/// the memory that docs/access.md states (docs/decisions/0016-allocator.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    end_on_signals();
    xlsx::keep_quiet_about_panics();
    let environment = Environment::of_process();
    let arguments = std::env::args_os().skip(1);
    let status = program::run(arguments, environment, &mut io::stdout(), &mut io::stderr()).await;
    ExitCode::from(status)
}

/// The exit statuses of programs that Ctrl-C and SIGTERM end.
const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;

/// From now on, ends the program at the first Ctrl-C or SIGTERM, without the unfinished file: it holds personal data.
///
/// Where no handler can be installed, the signals end the program all the same, and an unfinished file stays.
fn end_on_signals() {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return };
    tokio::spawn(async move {
        let status = tokio::select! {
            _ = interrupt.recv() => INTERRUPTED,
            _ = terminate.recv() => TERMINATED,
        };
        destination::exit_without_unfinished(status);
    });
}
