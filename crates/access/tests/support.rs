//! Snapshots in a folder, and the program to ask about them.

use std::collections::BTreeMap;
use std::path::Path;

use clerk_access::environment::Environment;
use clerk_access::program;
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::layout::{LATEST_KEY, manifest_key};
use clerk_snapshot::testing::{SnapshotBuilder, Stored};
use clerk_snapshot::timestamp::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with snapshots, and what the program is run with.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) now: Timestamp,
    pub(crate) terminal: Option<u16>,
    pub(crate) input: Vec<u8>,
}

/// What the program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// A folder without snapshots. It is noon on 25 November 2026, and nobody looks.
    pub(crate) fn new() -> Self {
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), now, terminal: None, input: Vec::new() }
    }

    /// Stores a snapshot without publishing it.
    pub(crate) fn store(&self, snapshot: &SnapshotBuilder) -> Stored {
        snapshot.store_with(&mut |key, bytes| self.write(&key, &bytes))
    }

    /// Stores a snapshot and publishes it.
    pub(crate) fn publish(&self, snapshot: &SnapshotBuilder) -> Stored {
        let stored = self.store(snapshot);
        self.write(LATEST_KEY, &stored.latest_json());
        stored
    }

    /// Stores a snapshot, changes its manifest as another program would have written it, and publishes that.
    pub(crate) fn publish_changed(
        &self,
        snapshot: &SnapshotBuilder,
        change: impl FnOnce(&mut Value),
    ) -> Stored {
        let mut stored = self.store(snapshot);
        let key = manifest_key(stored.id());
        let mut manifest =
            serde_json::from_slice(&std::fs::read(self.path(&key)).unwrap()).unwrap();
        change(&mut manifest);
        let bytes = serde_json::to_vec(&manifest).unwrap();
        stored.manifest_sha256 = Sha256Hex::of(&bytes);
        self.write(&key, &bytes);
        self.write(LATEST_KEY, &stored.latest_json());
        stored
    }

    /// Writes any file below the folder.
    pub(crate) fn write(&self, key: &str, bytes: &[u8]) {
        let path = self.folder.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs the program with `--url` of the folder.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Answer {
        let url = self.folder.path().to_str().unwrap();
        self.run(&[&["--url", url], arguments].concat()).await
    }

    /// Runs the program with these arguments alone.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Answer {
        let environment = Environment {
            variables: BTreeMap::new(),
            folder: self.folder.path().to_owned(),
            now: self.now,
            terminal: self.terminal,
            shows_progress: false,
            input: Box::new(std::io::Cursor::new(self.input.clone())),
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let arguments = arguments.iter().map(Into::into);
        let status = program::run(arguments, environment, &mut stdout, &mut stderr).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Answer { status, stdout: text(stdout), stderr: text(stderr) }
    }

    /// The path of a file below the folder.
    pub(crate) fn path(&self, key: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(key)
    }
}

impl Answer {
    /// The JSON document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON document of an answer with exit status 0.
    pub(crate) fn answered(&self) -> Value {
        assert_eq!(self.status, 0, "{self:?}");
        self.json()
    }

    /// `errorType` of an answer with this exit status.
    pub(crate) fn error_type(&self, status: u8) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert!(
            self.stderr.starts_with("clerk-access: ") || self.stderr.starts_with("error: "),
            "{self:?}"
        );
        self.json()["errorType"].as_str().unwrap().to_owned()
    }
}
