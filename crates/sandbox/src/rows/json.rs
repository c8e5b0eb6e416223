//! Writes JSON directly into a string. A page of 500 users takes about a millisecond; building a tree of values first
//! would take ten times as long.

use std::fmt::Write as _;

/// An object being written. Fields appear in the order of the calls.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl Object<'_> {
    /// Appends one object to `out`.
    pub(crate) fn write(out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
        out.push('{');
        fill(&mut Object { out, empty: true });
        out.push('}');
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quote(self.out, value);
    }

    pub(crate) fn text_or_null(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.null(name),
        }
    }

    pub(crate) fn number(&mut self, name: &str, value: i64) {
        self.name(name);
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{value}");
    }

    pub(crate) fn number_or_null(&mut self, name: &str, value: Option<i64>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.null(name),
        }
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.raw(name, if value { "true" } else { "false" });
    }

    pub(crate) fn null(&mut self, name: &str) {
        self.raw(name, "null");
    }

    /// A field whose value is already JSON.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.push_str(json);
    }

    pub(crate) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        Object::write(self.out, fill);
    }

    pub(crate) fn array(&mut self, name: &str, fill: impl FnOnce(&mut Array<'_>)) {
        self.name(name);
        self.out.push('[');
        fill(&mut Array { out: self.out, empty: true });
        self.out.push(']');
    }

    fn name(&mut self, name: &str) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }
}

/// An array being written.
pub(crate) struct Array<'a> {
    out: &'a mut String,
    empty: bool,
}

impl Array<'_> {
    pub(crate) fn text(&mut self, value: &str) {
        self.separate();
        quote(self.out, value);
    }

    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        self.separate();
        Object::write(self.out, fill);
    }

    fn separate(&mut self) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
    }
}

fn quote(out: &mut String, value: &str) {
    out.push('"');
    if value.bytes().any(needs_escape) {
        escape(out, value);
    } else {
        out.push_str(value);
    }
    out.push('"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a surprise is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_quoting() {
        for text in ["", "plain", "\"\\/\n\r\t\u{1}\u{1f}", "שלום 👩🏽‍🚀 \u{202e}"] {
            let mut out = String::new();
            Object::write(&mut out, |object| object.text("text", text));
            let value: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(value["text"], text);
        }
    }
}
