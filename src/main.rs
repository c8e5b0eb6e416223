//! Starts the program: as a Lambda function, or as a plain program.

use std::process::ExitCode;

use clerk_sync::config::{Environment, Place};
use clerk_sync::{lambda, memory, program};

fn main() -> ExitCode {
    memory::set_up();
    start()
}

#[tokio::main]
async fn start() -> ExitCode {
    let environment = Environment::of_process();
    match environment.place() {
        Place::Lambda => lambda::run(environment).await,
        Place::Program => program::run(std::env::args_os().skip(1), environment).await,
    }
}
