//! `clerk-sandbox`: serves a synthetic Clerk instance until it is stopped.

mod arguments;

use std::io::Write as _;
use std::process::ExitCode;

use clerk_sandbox::Sandbox;

use crate::arguments::{Arguments, Request, USAGE};

fn main() -> ExitCode {
    match arguments::read(std::env::args().skip(1)) {
        Ok(Request::Serve(arguments)) => serve(*arguments),
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
        let address = arguments.address;
        let sandbox = arguments.sandbox();
        let serving = match sandbox.serve_on(address).await {
            Ok(serving) => serving,
            Err(problem) => return fail(1, &format!("cannot listen on {address}: {problem}")),
        };
        // Whoever reads this line may send requests from now on.
        say(&format!("{}\n", serving.url()));
        if let Err(problem) = asked_to_stop().await {
            return fail(1, &format!("cannot wait for signals: {problem}"));
        }
        drop(serving);
        summarise(&sandbox);
        ExitCode::SUCCESS
    })
}

/// Resolves on Ctrl-C and, where there is one, on SIGTERM.
async fn asked_to_stop() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

fn summarise(sandbox: &Sandbox) {
    let summary = format!(
        "clerk-sandbox: {} requests, {} refused by the limit (429), {} violations\n",
        sandbox.total_requests(),
        sandbox.rate_limited_count(),
        sandbox.violations().len(),
    );
    // Nobody may be listening any more.
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
