//! Names the leaves in which two lines of one record differ.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::change::Field;
use super::class::Class;
use super::differences::Side;
use super::field_table::{class_of_unknown_field, rows_below};
use super::record::NotARecord;
use super::verdict::Touched;
use crate::resource::Dataset;

/// Objects that belong to the customer. They are leaves, whatever is in them.
const CUSTOMERS: [&str; 7] = [
    "public_metadata",
    "private_metadata",
    "unsafe_metadata",
    "raw",
    "claims",
    "actor",
    "mappings",
];

/// The leaves that differ and that no setting touches, in the order of the record.
///
/// A field that the line of the `older` side has not got came with a newer version of the program, and is no change.
pub(super) fn differing<'a>(
    (from, to): (&'a RawValue, &'a RawValue),
    older: Side,
    dataset: Dataset,
    touched: &Touched,
) -> Result<Vec<Field<'a>>, NotARecord> {
    let mut fields = Vec::new();
    let (from_members, to_members) = (Members::of(from)?, Members::of(to)?);
    walk("", (&from_members, &to_members), older, &mut fields)?;
    fields.retain(|field| !touched.touches(dataset, &field.path));
    Ok(fields)
}

/// Objects this deep are leaves: records have three levels, and a forged line may have millions.
const DEEPEST: usize = 32;

fn walk<'a>(
    path: &str,
    (from, to): (&Members<'a>, &Members<'a>),
    older: Side,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), NotARecord> {
    for (name, before) in &from.0 {
        match to.get(name) {
            Some(after) => compare(&join(path, name), before, after, older, fields)?,
            None if older == Side::From => fields.push(Field {
                path: Cow::Owned(join(path, name)),
                before,
                after: RawValue::NULL,
            }),
            None => {}
        }
    }
    let is_new = |(name, _): &&(Cow<'a, str>, &'a RawValue)| from.get(name).is_none();
    for (name, after) in to.0.iter().filter(|_| older == Side::To).filter(is_new) {
        let path = Cow::Owned(join(path, name));
        fields.push(Field { path, before: RawValue::NULL, after });
    }
    Ok(())
}

fn compare<'a>(
    path: &str,
    before: &'a RawValue,
    after: &'a RawValue,
    older: Side,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), NotARecord> {
    if before.get() == after.get() {
        return Ok(());
    }
    let name = path.rsplit('.').next().unwrap_or(path);
    let both_objects = before.get().starts_with('{') && after.get().starts_with('{');
    let is_too_deep = path.bytes().filter(|&byte| byte == b'.').count() >= DEEPEST;
    if both_objects && !is_too_deep && !CUSTOMERS.contains(&name) {
        return walk(path, (&Members::of(before)?, &Members::of(after)?), older, fields);
    }
    fields.push(Field { path: Cow::Owned(path.to_owned()), before, after });
    Ok(())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The class of a changed record: the first one that one of its fields has.
///
/// `updated_at` changes with everything else, so it counts only when nothing else differs.
pub(super) fn class_of_change(dataset: Dataset, fields: &[Field<'_>]) -> Class {
    let counting = fields.iter().filter(|field| field.path != "updated_at");
    counting.map(|field| class_of_field(dataset, field)).min().unwrap_or(Class::Activity)
}

fn class_of_field(dataset: Dataset, field: &Field<'_>) -> Class {
    let mut rows = rows_below(dataset, &field.path).peekable();
    let Some(first) = rows.peek() else { return class_of_unknown_field(dataset) };
    let (own, is_array) = (first.class, first.path.contains("[]"));
    let Some(other) = rows.find(|row| row.class != own) else { return own };
    if !is_array {
        // An object that appears or goes as a whole.
        return rows_below(dataset, &field.path).map(|row| row.class).min().unwrap_or(own);
    }
    // Of an array of objects, the class of what identifies an element, unless only flags or counters differ.
    let is_own = |name: &str| {
        let element = format!("{}[].{name}", field.path);
        rows_below(dataset, &element).all(|row| row.class == own)
    };
    if elements_agree(field, is_own) { other.class } else { own }
}

/// Whether both arrays have the same elements as far as their fields `count`.
fn elements_agree(field: &Field<'_>, counts: impl Fn(&str) -> bool) -> bool {
    let elements = |value: &RawValue| -> Option<Vec<Vec<(String, String)>>> {
        let elements: Vec<Members<'_>> = serde_json::from_str(value.get()).ok()?;
        let own = |members: &Members<'_>| {
            let members = members.0.iter().filter(|(name, _)| counts(name));
            members.map(|(name, value)| (name.to_string(), value.get().to_owned())).collect()
        };
        Some(elements.iter().map(own).collect())
    };
    match (elements(field.before), elements(field.after)) {
        (Some(before), Some(after)) => before == after,
        _ => false,
    }
}

/// The members of a JSON object, in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    fn of(value: &'a RawValue) -> Result<Self, NotARecord> {
        serde_json::from_str(value.get()).map_err(|_| NotARecord)
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllMembers;

        impl<'de> Visitor<'de> for AllMembers {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(AllMembers)
    }
}

/// A name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    /// The differing leaves, as `path: before > after`, and the class of the change.
    fn compared(dataset: Dataset, from: &str, to: &str, older: Side) -> (Vec<String>, Class) {
        let (from, to) = (raw(from), raw(to));
        let fields = differing((&from, &to), older, dataset, &Touched::NOTHING).unwrap();
        let shown = fields
            .iter()
            .map(|field| format!("{}: {} > {}", field.path, field.before, field.after));
        (shown.collect(), class_of_change(dataset, &fields))
    }

    // Promise: `before` and `after` are the lines' own text, byte for byte, and leaves are named in the record's order.
    #[test]
    fn leaves_are_named_with_their_own_text() {
        let from = r#"{"id":"a","profile":{"x":1.0,"claims":{"a":1},"emails":[1],"v":null,"w":{"p":1,"q":2}},"role":{"id":"r"}}"#;
        let to = r#"{"id":"a","profile":{"x":1.00,"claims":{"a":2},"emails":[1,2],"v":{"p":1},"w":{"p":1,"q":"\u00fc"}},"role":null}"#;
        let expected = [
            "profile.x: 1.0 > 1.00",
            r#"profile.claims: {"a":1} > {"a":2}"#,
            "profile.emails: [1] > [1,2]",
            r#"profile.v: null > {"p":1}"#,
            r#"profile.w.q: 2 > "\u00fc""#,
            r#"role: {"id":"r"} > null"#,
        ];
        assert_eq!(compared(Dataset::ApiKeys, from, to, Side::From).0, expected);
    }

    // Promise: a field that the older line has not got is no change; one that the newer line has not got is one.
    #[test]
    fn a_field_that_is_absent_in_the_older_line_is_no_change() {
        let (with, without) = (r#"{"id":"a","profile":{"new":1}}"#, r#"{"id":"a","profile":{}}"#);
        assert!(compared(Dataset::Users, without, with, Side::From).0.is_empty());
        assert!(compared(Dataset::Users, with, without, Side::To).0.is_empty());
        assert_eq!(
            compared(Dataset::Users, with, without, Side::From).0,
            ["profile.new: 1 > null"]
        );
        assert_eq!(compared(Dataset::Users, without, with, Side::To).0, ["profile.new: null > 1"]);
    }

    // Promise: a changed record has the first class that one of its fields has, and `updated_at` counts alone only.
    #[test]
    fn the_first_class_counts() {
        let class = |dataset, from: &str, to: &str| compared(dataset, from, to, Side::From).1;
        let users = |from: &str, to: &str| class(Dataset::Users, from, to);
        assert_eq!(users(r#"{"updated_at":1}"#, r#"{"updated_at":2}"#), Class::Activity);
        assert_eq!(
            class(Dataset::Grants, r#"{"updated_at":1}"#, r#"{"updated_at":2}"#),
            Class::Activity
        );
        let active = r#"{"updated_at":1,"profile":{"last_active_at":1}}"#;
        assert_eq!(
            users(active, r#"{"updated_at":2,"profile":{"last_active_at":2}}"#),
            Class::Activity
        );
        assert_eq!(
            users(r#"{"display_name":"a","status":"e"}"#, r#"{"display_name":"b","status":"d"}"#),
            Class::Access
        );
        assert_eq!(
            users(
                r#"{"updated_at":1,"display_name":"a"}"#,
                r#"{"updated_at":2,"display_name":"b"}"#
            ),
            Class::Identity
        );
        assert_eq!(users(r#"{"future":1}"#, r#"{"future":2}"#), Class::Identity);
        let keys = |from, to| class(Dataset::ApiKeys, from, to);
        assert_eq!(
            keys(r#"{"profile":{"last_used_at":1}}"#, r#"{"profile":{"last_used_at":2}}"#),
            Class::Activity
        );
        assert_eq!(keys(r#"{"future":1}"#, r#"{"future":2}"#), Class::Security);
    }

    // Promise: addresses and numbers are identity, unless only their flags differ.
    #[test]
    fn flags_of_addresses_are_security() {
        let emails = |address: &str, primary: bool| {
            format!(
                r#"{{"profile":{{"emails":[{{"address":"{address}","primary":{primary},"verified":true}}]}}}}"#
            )
        };
        let class = |from: &str, to: &str| compared(Dataset::Users, from, to, Side::From).1;
        assert_eq!(class(&emails("a", true), &emails("a", false)), Class::Security);
        assert_eq!(class(&emails("a", true), &emails("b", true)), Class::Identity);
        assert_eq!(class(&emails("a", true), &emails("b", false)), Class::Identity);
        assert_eq!(class(&emails("a", true), r#"{"profile":{"emails":[]}}"#), Class::Identity);
        let roles = |count: u8, id: &str| {
            format!(r#"{{"profile":{{"roles":[{{"id":"{id}","members_count":{count}}}]}}}}"#)
        };
        let sets = |from: &str, to: &str| compared(Dataset::RoleSets, from, to, Side::From).1;
        assert_eq!(sets(&roles(1, "a"), &roles(2, "a")), Class::Activity);
        assert_eq!(sets(&roles(1, "a"), &roles(2, "b")), Class::Access);
    }
}
