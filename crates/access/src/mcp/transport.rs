//! Carries JSON-RPC messages, a line each.
//!
//! The SDK's own transport passes over a line that it cannot read, leaves `id` out of an error about a message without
//! one, and drops a last line without a line break. JSON-RPC wants the first two answered with an error whose `id` is
//! null, and a client that writes its last request and closes its end wants the answer to it.

use std::io;
use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ErrorData, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Longest line that is read, in bytes. A peer that never ends its line must not fill the memory.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// Messages as lines of a stream that is read and another one that is written.
#[derive(Debug)]
pub struct LineTransport<R, W> {
    input: BufReader<R>,
    line: Vec<u8>,
    /// Whether the line that is being read is longer than [`LONGEST_LINE`], so that the rest of it is passed over.
    is_too_long: bool,
    output: Arc<Mutex<W>>,
    /// Errors that are being written. They are tasks, because [`Transport::receive`] may be dropped while it waits, and a
    /// line must not be left half written.
    refusals: JoinSet<io::Result<()>>,
}

/// A line as it was read.
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// What a line says.
#[derive(Debug)]
enum Said {
    Message(Box<ClientJsonRpcMessage>),
    /// Nothing that an answer is due to: an empty line, or a notification that is not understood.
    Nothing,
    /// What is answered with this error, and the id to answer with.
    Wrong {
        id: Value,
        error: ErrorData,
    },
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Send + Unpin + 'static> LineTransport<R, W> {
    /// Reads from `input` and writes to `output`.
    pub fn new(input: R, output: W) -> Self {
        let (input, output) = (BufReader::new(input), Arc::new(Mutex::new(output)));
        Self { input, line: Vec::new(), is_too_long: false, output, refusals: JoinSet::new() }
    }

    /// The next line; `None` at the end of the input and when it cannot be read any more. What was read of a line stays
    /// for the next call if this one is dropped.
    async fn next_line(&mut self) -> Option<Line> {
        loop {
            let available = self.input.fill_buf().await.ok()?;
            let is_at_end = available.is_empty();
            let end = memchr::memchr(b'\n', available);
            let (taken, consumed) = match end {
                Some(end) => (end, end + 1),
                None => (available.len(), available.len()),
            };
            self.is_too_long |= self.line.len() + taken > LONGEST_LINE;
            if self.is_too_long {
                self.line = Vec::new();
            } else {
                self.line.extend_from_slice(&available[..taken]);
            }
            self.input.consume(consumed);
            if end.is_none() && !is_at_end {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            return match std::mem::take(&mut self.is_too_long) {
                true => Some(Line::TooLong),
                false if is_at_end && line.is_empty() => None,
                false => Some(Line::Whole(line)),
            };
        }
    }

    fn refuse(&mut self, id: &Value, error: &ErrorData) {
        let answer = json!({"jsonrpc": "2.0", "id": id, "error": error});
        let output = Arc::clone(&self.output);
        self.refusals.spawn(async move { write(&output, &answer).await });
    }
}

impl<R, W> Transport<RoleServer> for LineTransport<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let output = Arc::clone(&self.output);
        async move {
            match &message {
                JsonRpcMessage::Error(wrong) if wrong.id.is_none() => {
                    let error = &wrong.error;
                    write(&output, &json!({"jsonrpc": "2.0", "id": null, "error": error})).await
                }
                message => write(&output, message).await,
            }
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            // One at a time, so that a peer that does not read cannot fill the memory.
            while self.refusals.join_next().await.is_some() {}
            let said = match self.next_line().await? {
                Line::Whole(line) => read(&line),
                Line::TooLong => Said::Wrong {
                    id: Value::Null,
                    error: ErrorData::parse_error(
                        format!("the line is longer than {LONGEST_LINE} bytes; send less at once"),
                        None,
                    ),
                },
            };
            match said {
                Said::Message(message) => return Some(*message),
                Said::Nothing => {}
                Said::Wrong { id, error } => self.refuse(&id, &error),
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        while self.refusals.join_next().await.is_some() {}
        self.output.lock().await.shutdown().await
    }
}

/// Writes one line.
async fn write<W: AsyncWrite + Unpin>(
    output: &Mutex<W>,
    message: &impl serde::Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut output = output.lock().await;
    output.write_all(&line).await?;
    output.flush().await
}

/// Understands a line.
fn read(line: &[u8]) -> Said {
    if line.trim_ascii().is_empty() {
        return Said::Nothing;
    }
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        let error =
            ErrorData::parse_error("the line is not JSON; send one JSON-RPC message a line", None);
        return Said::Wrong { id: Value::Null, error };
    };
    let id = value.get("id");
    // The SDK would take a request whose id it cannot read for a notification, and not answer.
    let is_id_read = id.is_none_or(|id| RequestId::deserialize(id).is_ok());
    match ClientJsonRpcMessage::deserialize(&value) {
        Ok(message) if is_id_read => return Said::Message(Box::new(message)),
        _ => {}
    }
    let is_notification = id.is_none() && value["jsonrpc"] == "2.0" && value["method"].is_string();
    if is_notification {
        return Said::Nothing;
    }
    let error = ErrorData::invalid_request(
        "this is no request of JSON-RPC 2.0: it is an object with `jsonrpc`, `id` (a text or a whole number), `method` \
         and `params`",
        None,
    );
    let can_be_named = |id: &&Value| id.is_string() || id.is_number();
    Said::Wrong { id: id.filter(can_be_named).cloned().unwrap_or_default(), error }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    /// The code of the error that answers a line, and the id that it has.
    fn refused(line: &str) -> Option<(i32, Value)> {
        match read(line.as_bytes()) {
            Said::Wrong { id, error } => Some((error.code.0, id)),
            _ => None,
        }
    }

    // Promise: what is no JSON, and what is JSON and no request, are answered as JSON-RPC 2.0 says, with the id if there
    // is one; what no answer is due to is not answered.
    #[test]
    fn what_is_wrong_is_told_from_what_is_not_to_be_answered() {
        for (line, expected) in [
            ("{\"jsonrpc\"", Some((-32700, Value::Null))),
            ("nonsense", Some((-32700, Value::Null))),
            ("\"nonsense\"", Some((-32600, Value::Null))),
            ("[]", Some((-32600, Value::Null))),
            ("{\"jsonrpc\":\"2.0\",\"id\":7}", Some((-32600, json!(7)))),
            ("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":1}", Some((-32600, json!("a")))),
            ("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", Some((-32600, Value::Null))),
            ("{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", Some((-32600, json!(1.5)))),
            ("{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"ping\"}", Some((-32600, Value::Null))),
            ("{\"jsonrpc\":\"1.0\",\"method\":\"ping\"}", Some((-32600, Value::Null))),
            ("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}", None),
            ("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/unheard_of\"}", None),
            (" \r", None),
        ] {
            assert_eq!(refused(line), expected, "{line}");
        }
    }

    // Promise: a line that never ends does not fill the memory, is answered, and the next one is read; the last one need
    // not end.
    #[tokio::test]
    async fn a_line_may_be_too_long_and_the_last_need_not_end() {
        let mut input = vec![b'x'; LONGEST_LINE + 1];
        input.extend_from_slice(b"\n{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}");
        let (output, mut written) = tokio::io::duplex(4096);
        let mut transport = LineTransport::new(&*input, output);
        assert!(matches!(transport.receive().await, Some(JsonRpcMessage::Request(_))));
        assert!(transport.receive().await.is_none());
        transport.close().await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut written, &mut answer).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-32700)));
    }
}
