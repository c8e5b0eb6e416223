//! Formats a log line for people.

use std::fmt::{self, Write};

use clerk_store::quoted::{disturbs_a_line, write_escaped};
use serde_json::Value;
use tracing::Level;

use super::Line;

/// Time, level, message and `name=value` fields, and a newline. The newline is the only control
/// character, apart from colours.
pub(super) fn line(line: &Line, colours: bool) -> String {
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = write(&mut text, line, colours);
    text
}

fn write(text: &mut String, line: &Line, colours: bool) -> fmt::Result {
    let level = line.level.as_str();
    let padding = " ".repeat(5_usize.saturating_sub(level.len()));
    if colours {
        let colour = colour(line.level);
        write!(text, "\u{1b}[2m{}\u{1b}[0m {padding}", line.time)?;
        write!(text, "\u{1b}[{colour}m{level}\u{1b}[0m ")?;
    } else {
        write!(text, "{} {padding}{level} ", line.time)?;
    }
    if let Some(dependency) = line.dependency {
        write_message(text, dependency)?;
        text.push_str(": ");
    }
    write_message(text, &line.fields.message)?;
    for (name, value) in &line.fields.values {
        write!(text, " {name}=")?;
        match value {
            Value::String(value) => write_value(text, value)?,
            other => write!(text, "{other}")?,
        }
    }
    text.push('\n');
    Ok(())
}

/// ANSI colours: red, yellow, green, blue, magenta.
fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// Writes the message with control characters escaped, and quotes left alone.
fn write_message(text: &mut String, message: &str) -> fmt::Result {
    for character in message.chars() {
        if disturbs_a_line(character) {
            write_escaped(text, character)?;
        } else {
            text.push(character);
        }
    }
    Ok(())
}

/// Writes a value in quotes, unless it is one plain word.
fn write_value(text: &mut String, value: &str) -> fmt::Result {
    let is_plain = !value.is_empty()
        && !value.chars().any(|character| {
            character.is_whitespace()
                || disturbs_a_line(character)
                || matches!(character, '"' | '\\' | '=')
        });
    if is_plain {
        text.push_str(value);
        return Ok(());
    }
    text.push('"');
    for character in value.chars() {
        write_escaped(text, character)?;
    }
    text.push('"');
    Ok(())
}
