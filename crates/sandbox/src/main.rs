//! `clerk-sandbox`: serves a synthetic Clerk instance until it is stopped, or shows the other programs with it.

mod arguments;
mod demo;

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clerk_sandbox::Sandbox;

use crate::arguments::{Arguments, Request, USAGE};

fn main() -> ExitCode {
    match arguments::read(std::env::args().skip(1)) {
        Ok(Request::Serve(arguments)) => serve(*arguments),
        Ok(Request::Demo(folder)) => demonstrate(&folder),
        Ok(Request::Help) => say(USAGE),
        Ok(Request::Version) => say(&format!("clerk-sandbox {}\n", env!("CARGO_PKG_VERSION"))),
        Err(problem) => fail(2, &format!("{problem}; see clerk-sandbox --help")),
    }
}

fn serve(arguments: Arguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => return fail(1, &format!("cannot start: {problem}")),
    };
    runtime.block_on(async {
        let asked_to_stop = match listen_for_stop() {
            Ok(asked_to_stop) => asked_to_stop,
            Err(problem) => return fail(1, &format!("cannot wait for signals: {problem}")),
        };
        let address = arguments.address;
        let sandbox = arguments.sandbox();
        sandbox.render_all();
        let serving = match sandbox.serve_on(address).await {
            Ok(serving) => serving,
            Err(problem) if problem.kind() == ErrorKind::AddrInUse => {
                let advice =
                    "stop it, or choose another port: --address 127.0.0.1:0 takes any that is free";
                return fail(1, &format!("another program already listens on {address}; {advice}"));
            }
            Err(problem) => return fail(1, &format!("cannot listen on {address}: {problem}")),
        };
        // Once this line has been read, requests and signals may arrive.
        say(&format!("{}\n", serving.url()));
        asked_to_stop.await;
        drop(serving);
        summarise(&sandbox);
        ExitCode::SUCCESS
    })
}

fn demonstrate(folder: &Path) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => return fail(1, &format!("cannot start: {problem}")),
    };
    match runtime.block_on(demo::run(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => fail(1, &problem.to_string()),
    }
}

/// Returns a future that ends with Ctrl-C or, where it exists, SIGTERM. Signals count from this call on.
#[cfg(unix)]
fn listen_for_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn listen_for_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // If no handler can be installed, Ctrl-C ends the program, which is just as good.
        let _ = tokio::signal::ctrl_c().await;
    })
}

fn summarise(sandbox: &Sandbox) {
    let summary = format!(
        "clerk-sandbox: {} requests, {} refused by the limit (429), {} violations\n",
        sandbox.total_requests(),
        sandbox.rate_limited_count(),
        sandbox.violations().len(),
    );
    // Standard error may be closed by now.
    let _ = std::io::stderr().write_all(summary.as_bytes());
}

fn say(text: &str) -> ExitCode {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(status: u8, problem: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "clerk-sandbox: {problem}");
    ExitCode::from(status)
}
