//! Everything that is known about talking to Clerk's Backend API.

pub mod client;
pub mod concurrency;
pub mod error;
pub mod pace;
pub mod retry;
pub mod transport;
pub mod wire;
