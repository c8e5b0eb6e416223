//! Finds the path of the JSON value that serde rejected.
//!
//! serde_json reports how far it had read, which is enough. A library that tracks the path while reading is compiled
//! once per row type, which makes the zip a twentieth larger (docs/decisions/0017-a-quick-start-and-a-small-binary.md).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use serde_json::Error;

/// One step of a path: from a value to a field or element inside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    json: &'a str,
    newest: Newest,
    /// Offset just after the bracket or comma before the field or element.
    after: usize,
    /// Offset of the value's first byte, once some of it has been read.
    begin: Option<usize>,
}

/// The field or element being read in an array or object that is still open.
#[derive(Clone, Copy, Debug)]
enum Newest {
    /// None, or a field whose key has not been read yet.
    Unnamed,
    /// A field; offset of its key.
    Field(usize),
    Element(usize),
}

/// The path to the value that `error` is about, empty for the whole document. If reading stopped at the end of an array
/// or object, that is its last value, or the array or object itself if something is missing in it (`is_lacking`).
pub(super) fn path_of<'a>(json: &'a str, error: &Error, is_lacking: bool) -> Vec<Step<'a>> {
    let before: usize =
        json.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let read = &json.as_bytes()[..json.len().min(before + error.column())];
    let step = |newest, after| Step { json, newest, after, begin: None };
    let mut open: Vec<Step<'_>> = Vec::new();
    let mut closed = None;
    let mut at = 0;
    while let Some(&byte) = read.get(at) {
        let begin = at;
        at = if byte == b'"' { end_of_string(read, begin) } else { begin + 1 };
        let newest = open.last_mut();
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'}' | b']' => {
                closed = open.pop();
                continue;
            }
            b',' => {
                if let Some(Step { newest, after, begin, .. }) = newest {
                    (*after, *begin) = (at, None);
                    *newest = match *newest {
                        Newest::Element(index) => Newest::Element(index + 1),
                        Newest::Field(_) | Newest::Unnamed => Newest::Unnamed,
                    };
                }
            }
            b':' => {}
            b'"' if newest.as_ref().is_some_and(|it| matches!(it.newest, Newest::Unnamed)) => {
                newest.into_iter().for_each(|it| it.newest = Newest::Field(begin));
            }
            _ => {
                newest.into_iter().for_each(|it| it.begin = it.begin.or(Some(begin)));
                match byte {
                    b'{' => open.push(step(Newest::Unnamed, at)),
                    b'[' => open.push(step(Newest::Element(0), at)),
                    _ => {}
                }
            }
        }
        closed = None;
    }
    open.extend(closed.filter(|_| !is_lacking));
    open.retain(|step| !matches!(step.newest, Newest::Unnamed));
    open
}

impl<'a> Step<'a> {
    /// Whether the step leads to an element of an array.
    pub(super) const fn is_element(&self) -> bool {
        matches!(self.newest, Newest::Element(_))
    }

    /// Range of the key in the JSON, with its quotes; `None` for an element.
    pub(super) fn key(&self) -> Option<Range<usize>> {
        let Newest::Field(begin) = self.newest else { return None };
        Some(begin..end_of_string(self.json.as_bytes(), begin))
    }

    /// The name of the field; `None` for an element, or if the key is not valid text.
    pub(super) fn name(&self) -> Option<Cow<'a, str>> {
        let quoted = self.json.get(self.key()?)?;
        serde_json::from_str::<super::Text<'a>>(quoted).ok().map(super::Text::into_inner)
    }

    /// Range of the value in the JSON.
    pub(super) fn value(&self) -> Option<Range<usize>> {
        let bytes = self.json.as_bytes();
        let behind = self.key().map_or(self.after, |key| key.end);
        let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b':');
        let begin = match self.begin {
            Some(begin) => begin,
            None => behind + bytes.get(behind..)?.iter().position(|byte| !is_between(byte))?,
        };
        Some(begin..end_of_value(bytes, begin))
    }
}

/// Offset just after the value that begins at `begin`.
fn end_of_value(json: &[u8], begin: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = begin;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(json, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return if depth == 0 { at } else { at + 1 },
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    json.len()
}

/// Offset just after the string that begins at `begin`, or the end of what was read.
fn end_of_string(read: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    loop {
        match read.get(at) {
            None => return read.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// Formats a path: `email_addresses[0].id`, or `.` for the whole document.
pub(super) fn written(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        // Writing to a `String` cannot fail.
        let _infallible = match (step.newest, step.name()) {
            (Newest::Element(index), _) => write!(text, "[{index}]"),
            (_, None) => Ok(()),
            (_, Some(key)) if text.is_empty() => text.write_str(&key),
            (_, Some(key)) => write!(text, ".{key}"),
        };
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
pub(super) mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use crate::clerk::wire::{
        DecodeError, Object, OrganizationMembership, OrganizationRole, User, decode, decode_page,
    };
    use crate::translate::plain;

    /// Copies of `row`, each with one value replaced or left out, in every possible way.
    pub(in crate::clerk::wire) fn spoiled(row: &Value) -> Vec<Value> {
        let mut all: Vec<Value> = ["", "x"].map(Value::from).into();
        all.extend([json!(null), json!(7), json!(1.5), json!(u64::MAX), json!(true)]);
        all.extend([json!({}), json!([]), json!([7, "x"]), json!({"x": {"id": [{}]}})]);
        all.extend([json!([[]]), json!([[["x"]], {}]), json!([{"x": [[]]}, [{}]])]);
        match row {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let mut without = fields.clone();
                    without.remove(key);
                    all.push(without.into());
                    all.extend(spoiled(value).into_iter().map(|value| {
                        let mut fields = fields.clone();
                        fields[key] = value;
                        fields.into()
                    }));
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    all.extend(spoiled(element).into_iter().map(|element| {
                        let mut elements = elements.clone();
                        elements[index] = element;
                        elements.into()
                    }));
                }
            }
            _ => {}
        }
        all
    }

    fn followed<'a, T: Deserialize<'a>>(json: &'a str) -> Option<String> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let result: Result<T, _> = serde_path_to_error::deserialize(&mut deserializer);
        result.err().map(|error| error.path().to_string())
    }

    fn place_of(error: DecodeError) -> String {
        match error.path.rsplit_once('.') {
            Some((parent, _)) if error.problem == "missing" && !parent.is_empty() => {
                parent.to_owned()
            }
            _ if error.problem == "missing" => ".".to_owned(),
            _ => error.path,
        }
    }

    /// For every fault in a row, the path is the one found by a library that tracks it while reading. For a missing
    /// field it is that of the enclosing object.
    macro_rules! assert_places {
        ($row:ty, $json:expr) => {
            let row = $json;
            let mut wrong = 0;
            for spoiled in spoiled(&json!([row, row])) {
                for json in [spoiled.to_string(), serde_json::to_string_pretty(&spoiled).unwrap()] {
                    let found = decode::<Vec<Object<$row>>>(json.as_bytes()).err().map(place_of);
                    assert_eq!(found, followed::<Vec<Object<$row>>>(&json), "{json}");
                    wrong += usize::from(found.is_some());
                }
            }
            assert!(wrong > 100, "{wrong}");
        };
    }

    #[test]
    fn the_path_leads_to_the_rejected_value() {
        assert_places!(
            User<'_>,
            json!({
                "id": "user_1", "username": "a \\\" \u{e9}", "banned": false, "created_at": 1,
                "email_addresses": [{"id": "e1", "email_address": "a@b.c",
                    "verification": {"status": "verified"}}, {"id": "e2"}],
                "passkeys": [{"id": "p"}], "public_metadata": {"id": [1, {}]},
                "external_accounts": [], "unknown": [{"id": {}}], "last_active_at": 2,
            })
        );
        assert_places!(
            OrganizationMembership<'_>,
            json!({
                "role": "org:admin", "permissions": ["a", "b"], "created_at": 1,
                "organization": {"id": "org_1"},
                "public_user_data": {"first_name": "x", "user_id": "user_1"}, "id": "orgmem_1",
            })
        );
        assert_places!(
            OrganizationRole<'_>,
            json!({
                "id": "role_1", "key": "org:x", "name": "X", "created_at": 1,
                "permissions": [{"id": "perm_1", "key": "a"}, {"id": "perm_2", "key": "b"}],
            })
        );
        assert_places!(
            plain::Session<'_>,
            json!({
                "latest_activity": {"is_mobile": true, "city": null}, "tasks": [{"key": "x"}],
                "actor": {"sub": "user_2"}, "expire_at": 3, "id": "sess_1",
            })
        );
        assert_places!(
            plain::RoleSet<'_>,
            json!({
                "id": "s", "roles": [{"id": "r", "key": "k"}], "default_role": {"id": "r"},
                "role_set_migration": {"migrated_members": 1}, "updated_at": 253402300800000_i64,
            })
        );
    }

    #[test]
    fn the_path_is_found_in_a_page() {
        let page = r#"{"total_count": 1, "data": [{"id":"a"}, {"id":"b" , "banned": [1]}] }"#;
        let error = decode_page::<User<'_>>(page.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "`data[1].banned`: expected a boolean");
    }
}
