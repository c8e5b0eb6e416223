//! Properties of random inputs: instances and changes, request times, checkpoints, lines, texts.
//!
//! The same cases are drawn every time. `PROPTEST_RNG_SEED=<number>` draws others, and
//! `PROPTEST_CASES=<number>` sets how many of each.

mod checkpoints;
mod digests;
mod endings;
mod limiter;
mod texts;
mod walks;

use std::env;

use proptest::test_runner::{Config, RngSeed};

/// This many cases, always the same ones unless the environment says otherwise.
fn cases(cases: u32) -> Config {
    let given = Config::default();
    let cases = if env::var_os("PROPTEST_CASES").is_some() { given.cases } else { cases };
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    Config { cases, rng_seed, failure_persistence: None, ..given }
}

/// Runs `work` under paused time.
fn paused<T>(work: impl Future<Output = T>) -> T {
    fastrand::seed(7);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(work)
}
