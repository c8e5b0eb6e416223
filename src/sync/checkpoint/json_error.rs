//! Says where a JSON file in the store is malformed, without quoting it.

use serde_json::error::Category;

/// Why some bytes are not the expected JSON document.
///
/// The message of serde_json is discarded, because it quotes the value that it fails on. Anyone who
/// can write to the store could put any text there, and errors are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at line {line}, column {column}")]
pub struct Malformed {
    /// What is wrong.
    pub problem: Problem,
    /// The line where it was noticed, from 1; 0 if unknown.
    pub line: usize,
    /// The column, in bytes from 1; 0 if unknown.
    pub column: usize,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It ends too early.
    #[error("the JSON is cut short")]
    CutShort,
    /// It is not JSON.
    #[error("it is not JSON")]
    NotJson,
    /// It is JSON of another shape.
    #[error("a field is missing or has the wrong type")]
    NotItsShape,
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        let problem = match error.classify() {
            Category::Eof => Problem::CutShort,
            Category::Syntax | Category::Io => Problem::NotJson,
            Category::Data => Problem::NotItsShape,
        };
        Self { problem, line: error.line(), column: error.column() }
    }
}

#[cfg(test)]
mod tests {
    use clerk_snapshot::manifest::Latest;

    use super::*;

    fn malformed(document: &str) -> String {
        Malformed::from(serde_json::from_str::<Latest>(document).unwrap_err()).to_string()
    }

    /// Nobody who can write to the store can write to the log.
    #[test]
    fn an_error_says_where_and_never_what_stands_there() {
        let name = "ada@example.com\u{202e}".repeat(1000);
        assert_eq!(
            malformed(&format!(r#"{{"snapshot_id":["{name}"]}}"#)),
            "a field is missing or has the wrong type at line 1, column 15"
        );
        let wrong_type = format!(r#"{{"snapshot_id":"s","manifest":"m","started_at":"{name}"}}"#);
        assert!(malformed(&wrong_type).starts_with("a field is missing or has the wrong type"));
        assert_eq!(malformed("{\n\"snapshot_id\""), "the JSON is cut short at line 2, column 13");
        assert_eq!(malformed("<html>"), "it is not JSON at line 1, column 1");
    }
}
