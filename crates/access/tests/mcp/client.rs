//! The program as a server, and requests to it, as lines of JSON-RPC.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::Place;

/// The program, started as `clerk-access … mcp`. It is ended when this is dropped.
pub(crate) struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    last_id: u64,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Called {
    pub(crate) document: Value,
    pub(crate) is_error: bool,
}

/// What is left when standard input was closed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Client {
    /// Starts the program with these arguments, and says nothing to it yet.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_clerk-access"))
            .args(arguments)
            .env_remove("SNAPSHOT_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), output, child, last_id: 0 }
    }

    /// Starts it for the snapshots of a place, and shakes hands.
    pub(crate) fn of(place: &Place) -> Self {
        Self::with(place, &[])
    }

    /// The same with options of `mcp`.
    pub(crate) fn with(place: &Place, options: &[&str]) -> Self {
        let url = place.folder.path().to_str().unwrap();
        let mut client = Self::start(&[&["--url", url, "mcp"], options].concat());
        let hello = client.ask("initialize", hello());
        assert_eq!(hello["result"]["serverInfo"]["name"], "clerk-access", "{hello}");
        client.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    /// Sends a line.
    pub(crate) fn say(&mut self, message: &Value) {
        let mut input = self.input.as_ref().unwrap();
        input.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    /// Sends these bytes, which need be no line and no message.
    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.input.as_ref().unwrap().write_all(bytes).unwrap();
    }

    /// Sends a request and returns its id.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        self.say(
            &json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}),
        );
        self.last_id
    }

    /// The next line.
    pub(crate) fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        message
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        let answer = self.hear();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Calls a tool.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Called {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        Called::of(&answer)
    }

    /// Calls a tool whose answer is no error.
    pub(crate) fn answer(&mut self, tool: &str, arguments: Value) -> Value {
        let called = self.call(tool, arguments);
        assert!(!called.is_error, "{called:?}");
        called.document
    }

    /// Calls a tool whose answer is an error: its name and its text.
    pub(crate) fn error(&mut self, tool: &str, arguments: Value) -> (String, String) {
        let called = self.call(tool, arguments);
        assert!(called.is_error, "{called:?}");
        let fields = called.document.as_object().unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["errorType", "errorMessage"]);
        let text = |name: &str| fields[name].as_str().unwrap().to_owned();
        (text("errorType"), text("errorMessage"))
    }

    /// Closes standard input and waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.input.take());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.output.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Ended { status: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Called {
    /// Of a response to `tools/call`: the text content is one block, and the same JSON as the structured content.
    pub(crate) fn of(answer: &Value) -> Self {
        let result = &answer["result"];
        let content = result["content"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!((content.len(), &content[0]["type"]), (1, &json!("text")), "{answer}");
        let text = content[0]["text"].as_str().unwrap();
        let document = result["structuredContent"].clone();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), document);
        Self { document, is_error: result["isError"] == true }
    }
}

/// What a client says first.
pub(crate) fn hello() -> Value {
    json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    })
}
