//! Shows characters that could deceive a reader: control characters and those that reorder or hide text.

use std::borrow::Cow;

use clerk_store::quoted::{disturbs_a_line, escaped_json};

/// The Arabic letter mark, which reorders text as those do that `disturbs_a_line` knows.
const ARABIC_LETTER_MARK: char = '\u{61c}';

/// The text with such characters as `\u{…}`, for a terminal.
#[must_use]
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    let deceives = |character: char| disturbs_a_line(character) || character == ARABIC_LETTER_MARK;
    if !text.contains(deceives) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if deceives(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// JSON of a value in one line. The same characters are escaped in its strings, which stay the same strings.
///
/// # Errors
/// If the value has no JSON.
pub fn json(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(value).map(escaped_json)
}
