//! Logs all requests in order, and the violations among them.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;

/// A request as the sandbox saw it. The key is never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// When it arrived.
    pub at: Instant,
    /// Its number in order of arrival, from 1.
    pub sequence: u64,
    /// The HTTP method.
    pub method: String,
    /// The path, such as `/v1/users`.
    pub path: String,
    /// The decoded query, in the order sent.
    pub query: Vec<(String, String)>,
    /// Whether the key was accepted.
    pub key_accepted: bool,
    /// The header `Clerk-API-Version`.
    pub api_version: Option<String>,
    /// The header `Accept-Encoding`.
    pub accept_encoding: Option<String>,
    /// The status of the answer; `None` until then, and if the connection was reset.
    pub status: Option<u16>,
    /// The error code of the answer, if it has one.
    pub code: Option<String>,
    /// Rows in the answer.
    pub rows: usize,
    /// Whether a fault spoiled the answer in any way other than an error in Clerk's shape or the `edits`.
    pub spoiled: bool,
    /// The fields of rows that a fault replaced or removed.
    pub edits: Vec<RowEdit>,
}

/// A field of a row that a fault changed in one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowEdit {
    /// Real id of the row.
    pub id: String,
    /// JSON pointer to the field (RFC 6901).
    pub pointer: String,
    /// Its new value; `None` if it was removed.
    pub value: Option<Value>,
}

/// How a request was answered.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) code: Option<String>,
    pub(crate) rows: usize,
    pub(crate) spoiled: bool,
    pub(crate) edits: Vec<RowEdit>,
}

impl LoggedRequest {
    /// The first value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Something that a well-behaved reader of Clerk never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Number of the request.
    pub sequence: u64,
    /// Path of the request.
    pub path: String,
    /// What was wrong.
    pub kind: ViolationKind,
}

/// Kinds of violations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViolationKind {
    /// A method other than GET.
    NotGet {
        /// The method sent.
        method: String,
    },
    /// An `Origin` header, which a back end must not send.
    OriginHeader,
    /// The API version both in a header and in the query.
    VersionTwice,
    /// No API version: the shape of the answer would depend on the version to which the instance is pinned.
    VersionMissing,
    /// A path that returns a secret.
    SecretRead,
}

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    log: Vec<LoggedRequest>,
    violations: Vec<Violation>,
    by_path: BTreeMap<String, u64>,
    arrived: u64,
}

impl Requests {
    /// Logs a request under the next number and returns it.
    pub(crate) fn log_request(
        &mut self,
        mut request: LoggedRequest,
        violations: Vec<ViolationKind>,
    ) -> LoggedRequest {
        self.arrived += 1;
        request.sequence = self.arrived;
        *self.by_path.entry(request.path.clone()).or_default() += 1;
        for kind in violations {
            self.violations.push(Violation {
                sequence: self.arrived,
                path: request.path.clone(),
                kind,
            });
        }
        self.log.push(request.clone());
        request
    }

    /// Records how a request was answered.
    pub(crate) fn answered(&mut self, sequence: u64, status: u16, outcome: Outcome) {
        // A cleared log no longer has its first entries.
        if let Ok(at) = self.log.binary_search_by_key(&sequence, |request| request.sequence) {
            let request = &mut self.log[at];
            request.status = Some(status);
            request.code = outcome.code;
            request.rows = outcome.rows;
            request.spoiled = outcome.spoiled;
            request.edits = outcome.edits;
        }
    }

    /// Number of the last request.
    pub(crate) const fn arrived(&self) -> u64 {
        self.arrived
    }

    pub(crate) fn log(&self) -> &[LoggedRequest] {
        &self.log
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn by_path(&self) -> &BTreeMap<String, u64> {
        &self.by_path
    }

    pub(crate) fn clear(&mut self) {
        self.log.clear();
        self.violations.clear();
        self.by_path.clear();
    }
}
