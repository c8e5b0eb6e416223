//! Everything that is known about talking to Clerk's Backend API.

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
