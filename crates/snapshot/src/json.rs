//! Writes records as JSON, byte for byte like serde_json but in half the time.
//!
//! Records consist almost entirely of keys and short strings without anything to escape. Keys are written unchanged,
//! strings are checked sixteen bytes at a time, and anything rare is left to serde_json.

use std::fmt::{self, Display, Write as _};

use serde::Serialize;
use serde::ser::{
    Error as _, Impossible, SerializeSeq, SerializeStruct, SerializeTuple, Serializer,
};
use serde_json::Error;

/// Name of the newtype struct that contains a string of finished JSON.
const VERBATIM: &str = "clerk-sync: JSON";

/// Appends `record` to `output`.
///
/// # Errors
/// If it contains a value that records do not have: a map, an enum with data, or bytes.
pub fn write<R: Serialize + ?Sized>(record: &R, output: &mut Vec<u8>) -> Result<(), Error> {
    record.serialize(Writer { output, verbatim: false })
}

/// Serializes `json` unchanged. Works only with [`write()`].
///
/// # Errors
/// Those of the serializer.
pub fn verbatim<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(VERBATIM, json)
}

struct Writer<'a> {
    output: &'a mut Vec<u8>,
    /// Whether strings are finished JSON.
    verbatim: bool,
}

/// The content of an array or object.
struct Inside<'a> {
    output: &'a mut Vec<u8>,
    /// Written before the next element: first the opening bracket, then commas.
    separator: u8,
    opening: u8,
    closing: u8,
}

impl<'a> Writer<'a> {
    const fn inside(self, opening: u8, closing: u8) -> Inside<'a> {
        Inside { output: self.output, separator: opening, opening, closing }
    }

    fn leave_to_serde_json<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        serde_json::to_writer(self.output, value)
    }
}

impl Inside<'_> {
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.output.push(std::mem::replace(&mut self.separator, b','));
        write(value, self.output)
    }

    fn close(self) {
        if self.separator == self.opening {
            self.output.push(self.opening);
        }
        self.output.push(self.closing);
    }
}

/// Whether JSON needs no escapes for this text.
fn is_plain(text: &[u8]) -> bool {
    // Of a whole word, all bytes are compared at once; what is left over is compared by looking at some bytes again.
    if let Some(end) = text.last_chunk::<16>() {
        text.as_chunks::<16>().0.iter().all(all_plain) && all_plain(end)
    } else if let (Some(start), Some(end)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        all_plain(start) && all_plain(end)
    } else {
        text.iter().copied().all(is_plain_byte)
    }
}

/// Has no early exit, which would make it look at one byte at a time.
fn all_plain<const N: usize>(bytes: &[u8; N]) -> bool {
    bytes.iter().fold(true, |all, &byte| all & is_plain_byte(byte))
}

const fn is_plain_byte(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

fn write_inside_of_string(text: &str, output: &mut Vec<u8>) -> Result<(), Error> {
    if is_plain(text.as_bytes()) {
        output.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    let quoted = serde_json::to_string(text)?;
    output.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
    Ok(())
}

/// Writes the output of [`Display`] into a JSON string.
struct InsideOfString<'a>(&'a mut Vec<u8>);

impl fmt::Write for InsideOfString<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_inside_of_string(text, self.0).map_err(|_| fmt::Error)
    }
}

macro_rules! leave_to_serde_json {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            self.leave_to_serde_json(&value)
        })*
    };
}

fn unexpected<T>() -> Result<T, Error> {
    Err(Error::custom("records have no value of this type"))
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Inside<'a>;
    type SerializeTuple = Inside<'a>;
    type SerializeStruct = Inside<'a>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    leave_to_serde_json! {
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.output.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if self.verbatim {
            self.output.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        self.output.push(b'"');
        write_inside_of_string(text, self.output)?;
        self.output.push(b'"');
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.output.push(b'"');
        write!(InsideOfString(self.output), "{value}").map_err(Error::custom)?;
        self.output.push(b'"');
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.output.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Error> {
        self.serialize_none()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(Writer { verbatim: name == VERBATIM, ..self })
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Inside<'a>, Error> {
        Ok(self.inside(b'[', b']'))
    }

    fn serialize_tuple(self, _length: usize) -> Result<Inside<'a>, Error> {
        Ok(self.inside(b'[', b']'))
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Inside<'a>, Error> {
        Ok(self.inside(b'{', b'}'))
    }

    fn serialize_bytes(self, _bytes: &[u8]) -> Result<(), Error> {
        unexpected()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), Error> {
        unexpected()
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        unexpected()
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        unexpected()
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Self::SerializeMap, Error> {
        unexpected()
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        unexpected()
    }
}

impl SerializeSeq for Inside<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeTuple for Inside<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeStruct for Inside<'_> {
    type Ok = ();
    type Error = Error;

    /// Writes the name unescaped: the names of a record's fields contain nothing to escape.
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let separator = std::mem::replace(&mut self.separator, b',');
        self.output.extend_from_slice(&[separator, b'"']);
        self.output.extend_from_slice(name.as_bytes());
        self.output.extend_from_slice(b"\":");
        write(value, self.output)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    #[serde(tag = "kind", rename = "thing")]
    struct Thing<'a> {
        text: &'a str,
        none: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        left_out: Option<bool>,
        truths: [bool; 2],
        numbers: Vec<i64>,
        large: u64,
        empty: Vec<Empty>,
        nothing: Empty,
        unit: Unit,
        wrapped: Wrapped<'a>,
    }

    #[derive(Serialize)]
    struct Empty {}

    #[derive(Serialize)]
    struct Wrapped<'a>(&'a str);

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Unit {
        OneOfThem,
    }

    /// Writes its text in pieces, like ids.
    struct Pieces<'a>(&'a str);

    impl Display for Pieces<'_> {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.split_inclusive(' ').try_for_each(|piece| formatter.write_str(piece))
        }
    }

    impl Serialize for Pieces<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    fn written<T: Serialize + ?Sized>(value: &T) -> String {
        let mut output = Vec::new();
        write(value, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    // Promise: one record is one line of JSON, whatever it contains.
    #[test]
    fn every_character_is_written_like_serde_json_at_every_position() {
        let characters = (0..0x300).chain(0x1_f600..0x1_f604).filter_map(char::from_u32);
        for character in characters.chain(['\u{2028}', '\u{d7ff}', '\u{ffff}', '\u{10ffff}']) {
            for before in [0, 1, 7, 8, 15, 16, 17, 31, 40] {
                for after in [0, 1, 7, 9, 16] {
                    let text = format!("{}{character}{}", "a".repeat(before), " ".repeat(after));
                    let expected = serde_json::to_string(&text).unwrap();
                    assert_eq!(written(&text), expected);
                    assert_eq!(written(&Pieces(&text)), expected);
                }
            }
        }
    }

    #[test]
    fn every_type_in_records_is_written_like_serde_json() {
        let thing = Thing {
            text: "a \"b\"\n",
            none: None,
            left_out: None,
            truths: [true, false],
            numbers: vec![i64::MIN, -1, 0, i64::MAX],
            large: u64::MAX,
            empty: Vec::new(),
            nothing: Empty {},
            unit: Unit::OneOfThem,
            wrapped: Wrapped("w"),
        };
        assert_eq!(written(&thing), serde_json::to_string(&thing).unwrap());
        let several = [Some(&thing), None, Some(&thing)];
        assert_eq!(written(&several), serde_json::to_string(&several).unwrap());
        assert_eq!(written(&(1.5, 'c', ())), serde_json::to_string(&(1.5, 'c', ())).unwrap());
    }

    #[test]
    fn finished_json_is_written_unchanged() {
        struct Bag;
        impl Serialize for Bag {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                verbatim("{\"a\": 1.0}", serializer)
            }
        }
        assert_eq!(written(&["\"", ""]), r#"["\"",""]"#);
        assert_eq!(written(&(Bag, "{\"")), r#"[{"a": 1.0},"{\""]"#);
    }

    #[test]
    fn a_type_that_records_do_not_have_is_an_error() {
        assert!(write(&BTreeMap::from([(1, 2)]), &mut Vec::new()).is_err());
    }
}
