//! Makes foreign text safe for errors and logs.

use std::borrow::Cow;
use std::fmt;

/// Displays a text in quotes, shortened to 60 characters and with everything escaped that could forge a
/// line or hide text.
///
/// A text that contains something like a Clerk key is not shown at all: keys get pasted into the wrong setting, and
/// errors are logged.
pub struct Quoted<'a>(pub &'a str);

/// Most characters shown: enough to recognise a mistyped value, and short enough for a line in a log.
const LONGEST_SHOWN: usize = 60;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if looks_like_a_key(self.0) {
            return formatter.write_str("(not shown: it looks like a Clerk key)");
        }
        formatter.write_str("\"")?;
        for character in self.0.chars().take(LONGEST_SHOWN) {
            write_escaped(formatter, character)?;
        }
        if self.0.chars().nth(LONGEST_SHOWN).is_some() {
            formatter.write_str("…")?;
        }
        formatter.write_str("\"")
    }
}

/// Whether the text contains the start of a Clerk secret key, `sk_live_` or `sk_test_`.
pub fn looks_like_a_key(text: &str) -> bool {
    let lower_case = text.to_ascii_lowercase();
    lower_case.contains("sk_live_") || lower_case.contains("sk_test_")
}

/// Writes `character`, escaped if it is a quote, a backslash, or could break or disguise a line.
pub fn write_escaped(output: &mut impl fmt::Write, character: char) -> fmt::Result {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' => write!(output, "{}", character.escape_default()),
        _ if disturbs_a_line(character) => write!(output, "{}", character.escape_unicode()),
        _ => output.write_char(character),
    }
}

/// The text with characters that could deceive a reader, control characters and those that reorder or hide text, as
/// `\u{…}`, for a terminal.
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

/// Escapes what could break or disguise a line in a JSON document; JSON itself escapes only the first 32 control
/// characters. Such characters can only occur inside strings.
pub fn escaped_json(json: String) -> String {
    let disturbs = |character: char| character != '\n' && disturbs_a_line(character);
    if !json.contains(disturbs) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 32);
    for character in json.chars() {
        if disturbs(character) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Whether this is a control character, a line or paragraph separator, or a mark that reorders text (Unicode,
/// `Bidi_Control`).
pub fn disturbs_a_line(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_short_escaped_and_on_one_line() {
        assert_eq!(Quoted("gzpi").to_string(), r#""gzpi""#);
        assert_eq!(
            Quoted("a\n\"b\"\u{1b}[2J\u{202e}ü").to_string(),
            r#""a\n\"b\"\u{1b}[2J\u{202e}ü""#
        );
        let long = "x".repeat(1000);
        assert_eq!(Quoted(&long).to_string().chars().count(), LONGEST_SHOWN + 3);
        assert_eq!(Quoted(&"y".repeat(60)).to_string().chars().count(), 62);
    }

    // A record may hold anything, also what moves the cursor or turns the text round.
    #[test]
    fn a_terminal_gets_nothing_but_text() {
        assert_eq!(for_terminal("a\u{1b}[2J\u{202e}ü\n"), r"a\u{1b}[2J\u{202e}ü\u{a}");
        assert!(matches!(for_terminal("plain ü \"text\""), Cow::Borrowed(_)));
    }

    // Promise 7: no error contains the key, not even one pasted into another setting.
    #[test]
    fn a_key_is_not_shown() {
        let pasted = format!("prefix sk_{}_something", "live");
        assert!(!Quoted(&pasted).to_string().contains("something"));
    }
}
