//! Answers questions of agents over the Model Context Protocol (docs/access.md, "For agents").
//!
//! Nothing here writes or names a file: what an agent can ask is what [`tools`] has.
//!
//! - [`server`] speaks the protocol, with the official SDK; [`transport`] carries its messages.
//! - [`tools`] is the one table of tools, [`arguments`] what they take; [`given`] checks what an agent gave.
//! - [`questions`] makes a command's question of that, and [`answer`] asks it and keeps one page.
//! - [`cursor`] says where the next page begins; [`pins`] keeps it with the snapshots of the first.
//! - [`resources`] are the newest manifest and the JSON Schemas.

pub mod answer;
pub mod arguments;
pub mod cursor;
pub mod given;
pub mod pins;
pub mod questions;
pub mod resources;
pub mod server;
pub mod tools;
pub mod transport;

pub use server::serve;
