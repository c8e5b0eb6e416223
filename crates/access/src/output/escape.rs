//! Shows characters that could deceive a reader: control characters and those that reorder or hide text.

use std::borrow::Cow;

use clerk_store::quoted::{disturbs_a_line, escaped_json};

/// The text with such characters as `\u{…}`, for a terminal.
#[must_use]
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(disturbs_a_line) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if disturbs_a_line(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// JSON of a value in one line. On a terminal the same characters are escaped in its strings, which stay the same
/// strings. Elsewhere they are left as they are: what a record says is passed on byte for byte.
///
/// # Errors
/// If the value has no JSON.
pub fn json(value: &impl serde::Serialize, is_terminal: bool) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(value)?;
    Ok(if is_terminal { escaped_json(json) } else { json })
}
