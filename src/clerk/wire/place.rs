//! Where in some JSON the value stands that serde did not like.
//!
//! serde_json says how far it had read, and that is enough. A library that follows the path while it
//! reads is compiled once more for every type of row: a twentieth of the zip
//! (docs/decisions/0017-a-quick-start-and-a-small-binary.md).

use std::fmt::Write as _;

use serde_json::Error;

/// The newest value of an array or object that is not closed yet.
#[derive(Clone, Copy)]
enum Newest<'a> {
    /// None, or one whose key is to come.
    Unnamed,
    Field(&'a str),
    Element(usize),
}

/// The path of the value that `error` is about, such as `data[3].id`, or `.` for the whole. Where that
/// was read to the end of an array or object, it is about the last value in there, or about all of it
/// if it lacks something (`is_lacking`).
pub(super) fn path_of(json: &str, error: &Error, is_lacking: bool) -> String {
    let before: usize =
        json.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let read = &json.as_bytes()[..json.len().min(before + error.column())];
    let mut open: Vec<Newest<'_>> = Vec::new();
    let mut closed = None;
    let mut at = 0;
    while let Some(&byte) = read.get(at) {
        let begin = at;
        at = if byte == b'"' { end_of_string(read, begin) } else { begin + 1 };
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'}' | b']' => {
                closed = open.pop();
                continue;
            }
            b',' => match open.last_mut() {
                Some(Newest::Element(index)) => *index += 1,
                Some(newest) => *newest = Newest::Unnamed,
                None => {}
            },
            b'"' => {
                if let Some(newest @ Newest::Unnamed) = open.last_mut() {
                    *newest = Newest::Field(json.get(begin + 1..at - 1).unwrap_or_default());
                }
            }
            b'{' => open.push(Newest::Unnamed),
            b'[' => open.push(Newest::Element(0)),
            _ => {}
        }
        closed = None;
    }
    open.extend(closed.filter(|_| !is_lacking));
    written(&open)
}

/// Where the string ends that begins at `begin`, or all that was read.
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

fn written(path: &[Newest<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        // A `String` takes everything.
        let _infallible = match step {
            Newest::Unnamed => Ok(()),
            Newest::Field(key) if text.is_empty() => text.write_str(key),
            Newest::Field(key) => write!(text, ".{key}"),
            Newest::Element(index) => write!(text, "[{index}]"),
        };
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use crate::clerk::wire::{
        DecodeError, Object, OrganizationMembership, OrganizationRole, User, decode, decode_page,
    };
    use crate::snapshot::translate::plain;

    /// Every way to have one value of `row` replaced by another or left out.
    fn spoiled(row: &Value) -> Vec<Value> {
        let mut all: Vec<Value> = ["", "x"].map(Value::from).into();
        all.extend([json!(null), json!(7), json!(1.5), json!(u64::MAX), json!(true)]);
        all.extend([json!({}), json!([]), json!([7, "x"]), json!({"x": {"id": [{}]}})]);
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

    /// Whatever is wrong in a row, its place is the one that a library finds which follows the path
    /// while it reads; that of what is missing is its object's.
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
    fn the_place_is_where_reading_went_wrong() {
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
    fn the_place_is_found_in_a_page() {
        let page = r#"{"total_count": 1, "data": [{"id":"a"}, {"id":"b" , "banned": [1]}] }"#;
        let error = decode_page::<User<'_>>(page.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "`data[1].banned`: expected a boolean");
    }
}
