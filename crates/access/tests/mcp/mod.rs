//! `mcp`: agents get the answers of the commands, over the Model Context Protocol.

mod answers;
mod arguments;
pub(crate) mod client;
mod pages;
mod protocol;
