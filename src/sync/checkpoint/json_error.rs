//! Where a file of the store is not what it should be, without what stands there.

use serde_json::error::Category;

/// Why some bytes are not the document they should be.
///
/// serde_json's own message is not kept: it quotes the value it stumbles over, however long, and
/// whoever may write to the store could put anything there. Errors are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at line {line}, column {column}")]
pub struct Malformed {
    /// What is wrong.
    pub problem: Problem,
    /// Where it was noticed, from 1; 0 where that is not known.
    pub line: usize,
    /// Likewise, in bytes.
    pub column: usize,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It ends too early.
    #[error("the JSON is cut short")]
    CutShort,
    /// It is no JSON.
    #[error("it is not JSON")]
    NotJson,
    /// It is JSON of another shape.
    #[error("a field is missing or not of its kind")]
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

    /// Whoever may write to the store does not write into the log.
    #[test]
    fn an_error_says_where_and_never_what_stands_there() {
        let name = "ada@example.com\u{202e}".repeat(1000);
        assert_eq!(
            malformed(&format!(r#"{{"snapshot_id":["{name}"]}}"#)),
            "a field is missing or not of its kind at line 1, column 15"
        );
        let moment = format!(r#"{{"snapshot_id":"s","manifest":"m","started_at":"{name}"}}"#);
        assert!(malformed(&moment).starts_with("a field is missing or not of its kind"));
        assert_eq!(malformed("{\n\"snapshot_id\""), "the JSON is cut short at line 2, column 13");
        assert_eq!(malformed("<html>"), "it is not JSON at line 1, column 1");
    }
}
