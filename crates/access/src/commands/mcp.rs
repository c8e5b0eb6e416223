//! `mcp`: answers questions of agents over the Model Context Protocol.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::Error;

/// Arguments of `mcp`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The key of the hashes in the snapshots, from this file, so that agents can name people by address
    #[arg(long, value_name = "FILE")]
    pub redaction_key_file: Option<PathBuf>,
}

const EXAMPLE: &str = r#"Example:
  clerk-access --url s3://acme-audit/clerk mcp

It reads requests from standard input and ends when that closes. An MCP client starts it when it is registered there,
in most clients like this:
  {"mcpServers": {"clerk-access": {
    "command": "clerk-access", "args": ["--url", "s3://acme-audit/clerk", "mcp"]}}}"#;

impl Arguments {
    /// The file of the key of hashes, if one is named. It is relative to `folder`.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is standard input, which carries the protocol.
    pub fn key(&self, folder: &Path) -> Result<Option<PathBuf>, Error> {
        match &self.redaction_key_file {
            Some(path) if path.as_os_str() == "-" => Err(Error::refused(
                "standard input carries the protocol; name a file with --redaction-key-file",
            )),
            path => Ok(path.as_ref().map(|path| folder.join(path))),
        }
    }
}
