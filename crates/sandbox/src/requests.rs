//! What was asked, in order, and what should not have been.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;

/// One request as the sandbox saw it. The key itself is never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// When it arrived.
    pub at: Instant,
    /// Its number, from 1, in order of arrival.
    pub sequence: u64,
    /// The HTTP method.
    pub method: String,
    /// The path, such as `/v1/users`.
    pub path: String,
    /// The decoded query, in the order sent.
    pub query: Vec<(String, String)>,
    /// Whether an accepted key was sent.
    pub key_accepted: bool,
    /// The header `Clerk-API-Version`.
    pub api_version: Option<String>,
    /// The header `Accept-Encoding`.
    pub accept_encoding: Option<String>,
    /// The status answered; `None` until then, and where the connection was reset instead.
    pub status: Option<u16>,
    /// The code of the error answered, where the answer is one and has one.
    pub code: Option<String>,
    /// Rows in the answer.
    pub rows: usize,
    /// Whether a fault spoiled the answer in another way than by an error in Clerk's shape, or by what
    /// is in `edits`.
    pub spoiled: bool,
    /// The fields of rows that a fault replaced or removed.
    pub edits: Vec<RowEdit>,
}

/// A field of a row in one answer that is not what Clerk would say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowEdit {
    /// The row's true id.
    pub id: String,
    /// Where in the row, as in RFC 6901.
    pub pointer: String,
    /// What is there instead; `None` where it was removed.
    pub value: Option<Value>,
}

/// What a request was answered.
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

/// Something a well-behaved reader of Clerk never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The request's number.
    pub sequence: u64,
    /// Its path.
    pub path: String,
    /// What was wrong.
    pub kind: ViolationKind,
}

/// What was wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViolationKind {
    /// Anything but GET.
    NotGet {
        /// The method sent.
        method: String,
    },
    /// An `Origin` header, which a back end has no business sending.
    OriginHeader,
    /// The API version both as a header and in the query.
    VersionTwice,
    /// No API version at all: the answer's shape would be whatever the instance is pinned to.
    VersionMissing,
    /// A path that answers with a secret.
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
    /// Files a request under the next number and returns it.
    pub(crate) fn file(
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

    /// Notes what a request was answered.
    pub(crate) fn answered(&mut self, sequence: u64, status: u16, outcome: Outcome) {
        // Cleared logs have a hole at their beginning.
        if let Ok(at) = self.log.binary_search_by_key(&sequence, |request| request.sequence) {
            let request = &mut self.log[at];
            request.status = Some(status);
            request.code = outcome.code;
            request.rows = outcome.rows;
            request.spoiled = outcome.spoiled;
            request.edits = outcome.edits;
        }
    }

    /// The number of the last one filed.
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
