//! Other people's text, fit to stand in an error.

use std::fmt;

/// Shows a short, escaped, single-line form of a text in quotes: no more than
/// [`LONGEST_SHOWN`] characters, with everything that could forge a line or hide text escaped.
///
/// A text that holds what looks like a Clerk key is not shown at all: keys get pasted into the
/// wrong setting, and errors are logged.
pub struct Quoted<'a>(pub &'a str);

/// Enough to recognise a mistyped value, and short enough for a line of a log.
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

/// Clerk's secret keys begin with `sk_live_` or `sk_test_`.
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

/// JSON that stays one line for whoever reads it, and hides nothing on a terminal: JSON itself
/// escapes only the first 32 control characters. What is escaped here can stand in strings alone.
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

/// True for control characters, line and paragraph separators, and the marks that reorder text.
pub fn disturbs_a_line(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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

    // Engine, promise 7: the key is in no error, even one pasted into another setting.
    #[test]
    fn a_key_is_not_shown() {
        let pasted = format!("prefix sk_{}_something", "live");
        assert!(!Quoted(&pasted).to_string().contains("something"));
    }
}
