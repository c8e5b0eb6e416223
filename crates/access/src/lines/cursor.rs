//! Reads a line in the form in which clerk-sync writes it: no space, keys in the documented order.
//!
//! Every method returns `None` where the line has another form, also where a string has an escape. The caller then
//! parses the line as JSON, so that the result is the same and only the time differs.

/// What is left of a line.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// A whole line.
    #[must_use]
    pub const fn new(line: &'a [u8]) -> Self {
        Self(line)
    }

    /// Passes exactly this text.
    pub fn pass(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text.as_bytes())?;
        Some(())
    }

    /// Passes a string and returns what is in it.
    pub fn string(&mut self) -> Option<&'a str> {
        let inside = self.0.strip_prefix(b"\"")?;
        let end = memchr::memchr2(b'"', b'\\', inside)?;
        if inside[end] == b'\\' {
            return None;
        }
        self.0 = &inside[end + 1..];
        std::str::from_utf8(&inside[..end]).ok()
    }

    /// Passes a string or `null`.
    pub fn string_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.pass("null").is_some() { Some(None) } else { self.string().map(Some) }
    }

    /// Passes an array of strings or `null`, and returns the array's JSON.
    pub fn strings_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.pass("null").is_some() {
            return Some(None);
        }
        let end = memchr::memchr2(b']', b'\\', self.0)?;
        let (array, rest) = self.0.split_at(end + 1);
        if array[0] != b'[' || array[end] == b'\\' {
            return None;
        }
        self.0 = rest;
        std::str::from_utf8(array).ok().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_is_there_and_nothing_else() {
        let mut cursor = Cursor::new(br#"{"a":"x","b":null,"c":["y","z"],"d":"\u0061"}"#);
        assert_eq!(cursor.pass("{\"a\":"), Some(()));
        assert_eq!(cursor.string(), Some("x"));
        assert_eq!(cursor.pass(",\"c\":"), None);
        assert_eq!(cursor.pass(",\"b\":"), Some(()));
        assert_eq!(cursor.string_or_null(), Some(None));
        assert_eq!(cursor.pass(",\"c\":"), Some(()));
        assert_eq!(cursor.strings_or_null(), Some(Some("[\"y\",\"z\"]")));
        assert_eq!(cursor.pass(",\"d\":"), Some(()));
        assert_eq!(cursor.string_or_null(), None, "an escape is left to a parser");
    }
}
