//! Reads a row without the values that have the wrong type.
//!
//! - Rows are read strictly first, which is fast and gives exact errors. Only a row that fails is repaired.
//! - A repair sets the offending value to `null` in a copy of the row's JSON and reads the copy again.
//! - None of this code is generic over the row type, so it is compiled once (docs/decisions/0023-odd-values.md).

use std::collections::BTreeSet;

use super::decode::{AN_OBJECT, DecodeError};
use super::place::{Step, path_of};

/// A row made readable.
#[derive(Debug)]
pub(crate) struct Repaired {
    /// The row's JSON, with `null` in place of the values that could not be read.
    pub(crate) json: String,
    /// The fields that could not be read, by Clerk's names, such as `email_addresses.verification.status`.
    pub(crate) unreadable: BTreeSet<String>,
}

/// Most values repaired one by one: enough for some fields in every element of a list. After that, each further repair
/// drops the row's whole field that contains the value.
const MAX_VALUES: usize = 128;
/// Most fields dropped after that: more than any row has.
const MAX_FIELDS: usize = 64;

/// Repairs the JSON of a row.
///
/// - `problem` is the error from reading the row as it is, and `problem_of` reads a repaired copy.
/// - `is_needed` says whether the row requires a field, or a field inside it.
///
/// # Errors
/// [`DecodeError`] if a required field cannot be read, or the row is not an object.
pub(crate) fn repair(
    row: &str,
    problem: serde_json::Error,
    is_needed: impl Fn(&str) -> bool,
    problem_of: impl Fn(&str) -> Option<serde_json::Error>,
) -> Result<Repaired, DecodeError> {
    let mut json = row.to_owned();
    let mut unreadable = BTreeSet::new();
    let mut problem = problem;
    for repairs in 0..MAX_VALUES + MAX_FIELDS {
        let mut path = path_of(&json, &problem, false);
        if repairs >= MAX_VALUES {
            path.truncate(1);
        }
        let name = name_of(&path);
        let is_field = path.last().is_some_and(|step| step.is_element() || step.name().is_some());
        let Some(edit) =
            Edit::of(&json, &path, &problem).filter(|_| !is_field || !is_needed(&name))
        else {
            return Err(DecodeError::at(&json, &problem));
        };
        if edit.takes_a_value {
            unreadable.insert(name);
        }
        json.replace_range(edit.range, edit.by);
        match problem_of(&json) {
            None => return Ok(Repaired { json, unreadable }),
            Some(next) => problem = next,
        }
    }
    Err(DecodeError::at(&json, &problem))
}

/// The field names along the path, joined with dots. Array elements have none.
fn name_of(path: &[Step<'_>]) -> String {
    path.iter().filter_map(Step::name).collect::<Vec<_>>().join(".")
}

/// A change to a row's JSON that removes one problem.
struct Edit {
    range: std::ops::Range<usize>,
    by: &'static str,
    /// Whether a value is lost.
    takes_a_value: bool,
}

impl Edit {
    fn of(json: &str, path: &[Step<'_>], problem: &serde_json::Error) -> Option<Self> {
        let step = path.last()?;
        let message = problem.to_string();
        if message.starts_with("missing field") {
            return None;
        }
        if let Some(key) = step.key()
            && (step.name().is_none() || message.starts_with("duplicate field"))
        {
            // An unknown field is ignored, and no field has an empty name. Of two fields with the same name the first
            // counts.
            return Some(Self { range: key, by: "\"\"", takes_a_value: false });
        }
        let range = step.value()?;
        let value = json.get(range.clone())?;
        // A list of objects cannot hold `null`, but an empty object works as well.
        let is_object =
            step.is_element() && message.contains(&format!(", expected {AN_OBJECT} at"));
        let by = if is_object { "{}" } else { "null" };
        (value != by).then_some(Self { range, by, takes_a_value: value != "null" })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::super::place::tests::spoiled;
    use super::super::{Object, OrganizationMembership, User};
    use super::*;
    use crate::translate::plain::RoleSet;

    /// The row can be read once its spoiled field is repaired, and the other fields are as they were.
    fn assert_repaired<'a, R: Deserialize<'a>>(
        json: &'a str,
        spoiled: &str,
        needed: &[&str],
        fields: &[&str],
    ) {
        fn problem_of<'a, R: Deserialize<'a>>(json: &'a str) -> Option<serde_json::Error> {
            serde_json::from_str::<Object<R>>(json).err()
        }
        let Some(problem) = problem_of::<R>(json) else { return };
        let is_needed = |field: &str| needed.contains(&field);
        // Rows of any lifetime: what is read is not kept.
        let read = |copy: &str| problem_of::<R>(Box::leak(copy.to_owned().into_boxed_str()));
        let repaired = repair(json, problem, is_needed, read);
        let repaired = repaired.unwrap_or_else(|error| panic!("{json}: {error}"));
        let (before, after): (Value, Value) =
            (serde_json::from_str(json).unwrap(), serde_json::from_str(&repaired.json).unwrap());
        let has_null = json.contains("null");
        assert!(has_null || !repaired.unreadable.is_empty(), "{json}");
        assert!(repaired.unreadable.iter().all(|name| name.starts_with(spoiled)), "{json}");
        for field in fields.iter().filter(|field| **field != spoiled) {
            assert_eq!(before.get(field), after.get(field), "{json}");
        }
    }

    /// Every spoiled copy of a field that is not needed can be read without the spoiled value.
    macro_rules! assert_all_repaired {
        ($row:ty, $json:expr, $needed:expr) => {
            let row = $json;
            let fields: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
            let spoiled_fields = fields.iter().filter(|field| !$needed.contains(field));
            for field in spoiled_fields {
                for value in spoiled(&row[field]) {
                    let mut copy = row.clone();
                    copy[field] = value;
                    for json in [copy.to_string(), serde_json::to_string_pretty(&copy).unwrap()] {
                        assert_repaired::<$row>(&json, field, &$needed, &fields);
                    }
                }
            }
        };
    }

    #[test]
    fn whatever_a_field_that_is_not_needed_holds_the_row_is_read() {
        assert_all_repaired!(
            User<'_>,
            json!({
                "id": "user_1", "username": "a", "banned": false,
                "email_addresses": [{"id": "e1", "email_address": "a@b.c",
                    "verification": {"status": "verified"}}, {"id": "e2"}],
                "passkeys": [{"id": "p"}], "external_accounts": [{"id": "x"}], "created_at": 1,
            }),
            ["id"]
        );
        assert_all_repaired!(
            OrganizationMembership<'_>,
            json!({
                "id": "orgmem_1", "role": "org:admin", "permissions": ["a", "b"],
                "organization": {"id": "org_1"},
                "public_user_data": {"first_name": "x", "user_id": "user_1"}, "created_at": 1,
            }),
            ["id", "role", "organization"]
        );
        assert_all_repaired!(
            RoleSet<'_>,
            json!({
                "id": "s", "roles": [{"id": "r", "key": "k"}, {}], "default_role": {"id": "r"},
                "role_set_migration": {"migrated_members": 1}, "updated_at": 1,
            }),
            ["id"]
        );
    }
}
