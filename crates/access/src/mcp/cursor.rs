//! Says where the next page of an answer begins.

use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::layout::is_snapshot_id;

use crate::error::Error;

/// Where a page begins: after so many rows of the answer to one question about these snapshots.
///
/// As text: the number, the ids, and a check by which a cursor of another question is noticed. It holds no secret, and
/// the check is no proof against forgery: whoever can ask with a cursor can ask the question without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Rows before the page.
    pub offset: u64,
    /// The ids of the snapshots that the first page was about.
    pub snapshots: Vec<String>,
}

/// Between the parts, none of which contains it.
const SEPARATOR: char = '.';

/// Hexadecimal digits of the check.
const CHECK_DIGITS: usize = 32;

impl Cursor {
    /// Reads a cursor that was given with `question`, whose pages have `count` snapshots in common.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is none, or one of another question or another snapshot.
    pub fn parse(text: &str, question: &str, count: usize) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split(SEPARATOR).collect();
        let (Some((&offset, rest)), true) = (parts.split_first(), parts.len() >= 3) else {
            return Err(not_a_cursor());
        };
        let (ids, check) = rest.split_at(rest.len() - 1);
        let is_number = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        let is_whole = is_number && ids.iter().all(|id| is_snapshot_id(id));
        let cursor = offset.parse().ok().filter(|_| is_whole).map(|offset| Self {
            offset,
            snapshots: ids.iter().map(|&id| id.to_owned()).collect(),
        });
        let cursor = cursor.ok_or_else(not_a_cursor)?;
        if cursor.snapshots.len() == count && *check == [cursor.check(question).as_str()] {
            Ok(cursor)
        } else {
            Err(Error::refused(
                "the argument `cursor` belongs to another question or another snapshot; repeat the tool and the \
                 arguments of the answer that it came with, or leave it out to begin anew",
            ))
        }
    }

    /// The text of a cursor for `question`.
    #[must_use]
    pub fn write(&self, question: &str) -> String {
        format!("{}{SEPARATOR}{}", self.place(), self.check(question))
    }

    fn place(&self) -> String {
        let separator = SEPARATOR.to_string();
        [&[self.offset.to_string()], self.snapshots.as_slice()].concat().join(&separator)
    }

    fn check(&self, question: &str) -> String {
        let mut check =
            Sha256Hex::of(format!("{}\n{question}", self.place()).as_bytes()).to_string();
        check.truncate(CHECK_DIGITS);
        check
    }
}

fn not_a_cursor() -> Error {
    Error::refused(
        "the argument `cursor` is not one that an answer gave as `next_cursor`; leave it out to begin anew",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const ID: &str = "20261120T120000Z-3f9a1c";

    // Promise: a cursor leads back to its place, and only with the question that it came with.
    #[test]
    fn a_cursor_is_bound_to_its_question() {
        let cursor = Cursor { offset: 100, snapshots: vec![ID.to_owned()] };
        let text = cursor.write("holders\nin=\"acme\"");
        assert_eq!(Cursor::parse(&text, "holders\nin=\"acme\"", 1).unwrap(), cursor);
        let other_id = text.replace("3f9a1c", "44fa26");
        let further = text.replacen("100", "200", 1);
        for (text, question, count) in [
            (text.as_str(), "holders\nin=\"initech\"", 1),
            (&text, "access\nin=\"acme\"", 1),
            (&text, "holders\nin=\"acme\"", 2),
            (&other_id, "holders\nin=\"acme\"", 1),
            (&further, "holders\nin=\"acme\"", 1),
        ] {
            let message = Cursor::parse(text, question, count).unwrap_err().to_string();
            assert!(message.contains("another question or another snapshot"), "{text}: {message}");
        }
        for text in
            ["", ".", "..", "100", "100.x", "100.x.y", "-1.20261120T120000Z-3f9a1c.0", "+1.a.b"]
        {
            let message = Cursor::parse(text, "holders\nin=\"acme\"", 1).unwrap_err().to_string();
            assert!(message.contains("is not one"), "{text}: {message}");
        }
    }
}
