//! A loopback AWS: moto's server as a child process.

#![allow(dead_code, reason = "each test binary uses its own share of this")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::config::Credentials;

/// Serves on a free port, prints the port, and ends with its parent, to which standard input is a
/// pipe.
///
/// It serves one request at a time: S3's conditional writes are atomic, but moto's threads could
/// interleave between checking the condition and writing.
const SERVER: &str = r#"
import logging, sys, threading
sys.path.insert(0, sys.argv[1])
from moto_kms import honour_digests
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication, MotoRequestHandler, create_backend_app)
from werkzeug.serving import make_server
honour_digests()
logging.getLogger("werkzeug").setLevel(logging.ERROR)
moto = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()
def one_at_a_time(environ, start_response):
    with turn:
        return moto(environ, start_response)
server = make_server("127.0.0.1", 0, one_at_a_time, True, request_handler=MotoRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("http://%s:%d" % server.server_address[:2], flush=True)
sys.stdin.read()
"#;

/// Importing moto takes seconds on a busy machine; longer than this is an error.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A moto server, which ends when dropped or when this process ends.
pub(crate) struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    /// The server of this test binary, started by the first test that needs it.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts an empty server, and waits until it listens.
    pub(crate) fn start() -> Self {
        let python = python();
        let mut child = Command::new(&python)
            .args(["-B", "-c", SERVER, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}; {ADVICE}", python.display()));
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        let url = receiver.recv_timeout(START_LIMIT).unwrap_or_default().trim().to_owned();
        if url.is_empty() {
            let _ = child.kill();
            let mut complaint = String::new();
            let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut complaint));
            let _ = child.wait();
            panic!("moto did not start: {complaint}\n{ADVICE}");
        }
        // Nobody reads any further, and a full pipe would stop the server.
        if let Some(mut stderr) = child.stderr.take() {
            thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        }
        Self { child, url }
    }

    /// `http://127.0.0.1:<port>`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The program's own AWS settings, with this server and made-up credentials.
    pub(crate) async fn aws_config(&self) -> SdkConfig {
        aws_config_for(&self.url).await
    }

    /// Creates a bucket and returns the settings to reach it.
    pub(crate) async fn bucket(&self, name: &str) -> SdkConfig {
        let config = self.aws_config().await;
        let path_style = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        let client = aws_sdk_s3::Client::from_conf(path_style);
        client.create_bucket().bucket(name).send().await.expect("moto makes the bucket");
        config
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program's own AWS settings, with this endpoint and made-up credentials.
pub(crate) async fn aws_config_for(endpoint_url: &str) -> SdkConfig {
    clerk_store::aws::aws_config_loader()
        .endpoint_url(endpoint_url)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("testing", "testing", None, None, "tests"))
        .load()
        .await
}

const ADVICE: &str = "run `make test`, or name a Python that has moto[server] in CLERK_SYNC_PYTHON";

/// The Python that has moto.
pub(crate) fn python() -> PathBuf {
    std::env::var_os("CLERK_SYNC_PYTHON").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"),
        PathBuf::from,
    )
}
