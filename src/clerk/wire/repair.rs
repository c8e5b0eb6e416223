//! Reads a row that holds values of other types than they should be, without these values.
//!
//! Rows are read strictly, which is fast and says exactly what is wrong. Only a row that cannot be read
//! so is repaired: the value at fault becomes `null` in a copy of the row's JSON, and the copy is read
//! again. Nothing of it is compiled once more for every list
//! (docs/decisions/0023-odd-values.md).

use std::collections::BTreeSet;

use super::decode::{AN_OBJECT, DecodeError};
use super::place::{Step, path_of};

/// A row that can be read.
#[derive(Debug)]
pub(crate) struct Repaired {
    /// The row, `null` in the place of what could not be read.
    pub(crate) json: String,
    /// The fields that could not be read, by the names that Clerk gives them, such as
    /// `email_addresses.verification.status`.
    pub(crate) unreadable: BTreeSet<String>,
}

/// Values that are repaired one by one: some fields of every element of a list. Past them, the whole of
/// the row's field is given up in which the next one stands.
const MOST_VALUES: usize = 128;
/// Then as many fields: more than any row has.
const MOST_FIELDS: usize = 64;

/// Repairs the JSON of a row. `problem_of` reads it; `problem` is what it says of the row as it is.
/// `is_needed` says of a field whether the row is nothing without it, or without a field inside of it.
///
/// # Errors
/// [`DecodeError`] about a field that is needed, or when the row is no object.
pub(crate) fn repair(
    row: &str,
    problem: serde_json::Error,
    is_needed: impl Fn(&str) -> bool,
    problem_of: impl Fn(&str) -> Option<serde_json::Error>,
) -> Result<Repaired, DecodeError> {
    let mut json = row.to_owned();
    let mut unreadable = BTreeSet::new();
    let mut problem = problem;
    for repairs in 0..MOST_VALUES + MOST_FIELDS {
        let mut path = path_of(&json, &problem, false);
        if repairs >= MOST_VALUES {
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

/// The names of the fields on the way, with dots between them. Elements have none.
fn name_of(path: &[Step<'_>]) -> String {
    path.iter().filter_map(Step::name).collect::<Vec<_>>().join(".")
}

/// A change of a row's JSON that takes a fault out of it.
struct Edit {
    range: std::ops::Range<usize>,
    by: &'static str,
    /// Whether something is lost by it.
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
            // No field is called so, and an unknown one is ignored. Of two of a name the first counts.
            return Some(Self { range: key, by: "\"\"", takes_a_value: false });
        }
        let range = step.value()?;
        let value = json.get(range.clone())?;
        // A list of objects has no room for `null`; an object that says nothing does as well.
        let is_object =
            step.is_element() && message.contains(&format!(", expected {AN_OBJECT} at"));
        let by = if is_object { "{}" } else { "null" };
        (value != by).then_some(Self { range, by, takes_a_value: value != "null" })
    }
}
