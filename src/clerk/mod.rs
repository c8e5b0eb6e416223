//! Talks to Clerk's Backend API: GET requests only, paced, limited in concurrency, and retried.
//!
//! - [`client`] sends a request and retries it; [`transport`] does the HTTP, [`retry`] chooses the waits.
//! - [`pace`] keeps to the request rate, [`concurrency`] limits requests in flight, [`bytes_in_flight`] limits memory.
//! - [`urgency`] marks a request that everything else waits for.
//! - [`wire`] parses Clerk's JSON; [`answer_codes`] says what a 4xx means; [`error`] names what can go wrong.

pub mod answer_codes;
pub mod bytes_in_flight;
pub mod client;
pub mod concurrency;
pub mod error;
pub mod gunzip;
pub mod latency;
pub mod pace;
pub mod retry;
pub mod transport;
pub mod urgency;
pub mod wire;
