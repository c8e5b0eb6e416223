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
