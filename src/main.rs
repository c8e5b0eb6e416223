//! Starts the program: as a Lambda function, or as a plain program.

use std::process::ExitCode;

use clerk_sync::config::{Environment, Place};
use clerk_sync::{lambda, program};

/// The plain program's allocator. The function has glibc's, which `template.yaml` sets up through the
/// environment (docs/decisions/0016-allocator.md).
#[cfg(feature = "cli")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let environment = Environment::of_process();
    match environment.place() {
        Place::Lambda => lambda::run(environment).await,
        Place::Program => program::run(std::env::args_os().skip(1), environment).await,
    }
}
