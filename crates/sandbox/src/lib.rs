//! Serves a synthetic Clerk Backend API with deterministic data at any scale.
//!
//! The demo, the tests and the benchmarks of clerk-sync read from it. It answers within the process ([`Sandbox::get`],
//! which works under paused time) or over HTTP ([`Sandbox::serve`]), through the same code. It follows Clerk's OpenAPI
//! document of 2026-05-12; where the document leaves a choice, [`Rules`] makes it.
//!
//! In the order in which a request is processed:
//! - `server`: HTTP/1.1 on a socket, a thin layer;
//! - `sandbox`: the handle, and the path from a request to its answer;
//! - `requests`, `limits`, `faults`: log requests, enforce limits, inject faults;
//! - `lists`, `query`: define the lists, and select the rows for a query;
//! - `answer`: pages and errors in Clerk's shapes;
//! - `data`, `table`, `rows`: the rows, their order and their text;
//! - `population`, `churn`, `workday`: generate rows, change them while they are read, and change them between two
//!   snapshots.

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
mod workday;

pub use answer::{Answer, ConnectionReset};
pub use churn::ChurnPlan;
pub use data::{Change, ChangeKind, RowRefused};
pub use faults::{Effect, FaultRule, FaultSyntax};
pub use population::Population;
pub use query::{DeletedCursor, Rules};
pub use requests::{LoggedRequest, RowEdit, Violation, ViolationKind};
pub use sandbox::{DEFAULT_KEY, Sandbox};
pub use server::Serving;
