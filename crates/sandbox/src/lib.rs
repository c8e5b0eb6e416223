//! A server that behaves like Clerk's Backend API, with deterministic synthetic data at any scale.
//!
//! The demo, the tests and the benchmarks of clerk-sync read from it. It answers in the process
//! ([`Sandbox::get`], which works under paused time) or over HTTP ([`Sandbox::serve`]), always
//! through the same code. What it serves follows Clerk's OpenAPI document of 2026-05-12; where that
//! leaves a choice, [`Rules`] makes it.
//!
//! In the order a request flows:
//! - `server`: HTTP/1.1 on a socket, thin;
//! - `sandbox`: the handle, and the way from a request to its answer;
//! - `requests`, `limits`, `faults`: what is noted, refused, or made to go wrong;
//! - `lists`, `query`: which lists there are, and which rows a query selects;
//! - `answer`: pages and errors in Clerk's shapes;
//! - `data`, `table`, `rows`: the rows, their order and their text;
//! - `population`, `churn`: where rows come from, and how they change while they are read.

mod answer;
mod churn;
mod data;
mod faults;
mod limits;
pub mod lists;
mod population;
mod query;
mod refusal;
mod requests;
mod rows;
mod sandbox;
mod server;
mod table;

pub use answer::{Answer, ConnectionReset};
pub use churn::ChurnPlan;
pub use data::{Change, ChangeKind, RowRefused};
pub use faults::{Effect, FaultRule, FaultSyntax};
pub use population::Population;
pub use query::{DeletedCursor, Rules};
pub use requests::{LoggedRequest, RowEdit, Violation, ViolationKind};
pub use sandbox::{DEFAULT_KEY, Sandbox};
pub use server::Serving;
