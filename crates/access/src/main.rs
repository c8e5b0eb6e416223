//! Starts `clerk-access`.

use std::io;
use std::process::ExitCode;

use clerk_access::environment::Environment;
use clerk_access::program;

/// With glibc's allocator, freed memory stays with the threads that used it, and a million users would not fit into
/// the memory that docs/access.md states (docs/decisions/0016-allocator.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let environment = Environment::of_process();
    let arguments = std::env::args_os().skip(1);
    let status = program::run(arguments, environment, &mut io::stdout(), &mut io::stderr()).await;
    ExitCode::from(status)
}
