//! Makes flat rows of records: a column for each field of the schema, in its order.
//!
//! - A field of `profile` is called as it is there, one of another object after both: `role_id`, `emails_address`. Where
//!   that name is taken, a field of `profile` gets `profile_` in front.
//! - What an array holds is joined with `; `. An element that is not known keeps its place, so that the columns of one
//!   array belong together.
//! - What belongs to the customer, such as metadata or claims, is JSON in one column. `raw` has none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use clerk_snapshot::resource::Dataset;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::output::{Cell, Column, List, Row};
use crate::schemas;

/// The flat form of a dataset.
#[derive(Debug)]
pub struct Flat {
    /// Its name and columns.
    pub list: &'static List,
    /// Where each column's value is in a record.
    paths: Vec<Vec<String>>,
}

/// A record, flat.
#[derive(Debug, Clone)]
pub struct FlatRow {
    list: &'static List,
    cells: Vec<Cell<'static>>,
}

/// The flat form of each dataset, made once.
static FLAT: LazyLock<BTreeMap<Dataset, Flat>> =
    LazyLock::new(|| Dataset::ALL.iter().map(|&dataset| (dataset, Flat::new(dataset))).collect());

/// Fields that are the same in each record of a dataset, and Clerk's own object.
const LEFT_OUT: [&str; 3] = ["kind", "type", "raw"];

/// The field whose fields stand beside the others.
const PROFILE: &str = "profile";

impl Flat {
    /// The flat form of a dataset.
    ///
    /// # Panics
    /// Never: there is one of each dataset.
    #[must_use]
    pub fn of(dataset: Dataset) -> &'static Self {
        &FLAT[&dataset]
    }

    #[expect(clippy::expect_used, reason = "a test reads every schema of the program")]
    fn new(dataset: Dataset) -> Self {
        let schema: Value = serde_json::from_str(schemas::of(dataset)).expect("a schema is JSON");
        let mut paths = Vec::new();
        for alternative in alternatives(&schema) {
            for (name, field) in fields(alternative) {
                if !LEFT_OUT.contains(&name.as_str()) {
                    add_paths(field, &mut vec![name.clone()], &mut paths);
                }
            }
        }
        // A field that is null in one kind of record and an object in another has the columns of the object.
        let is_parent = |path: &Vec<String>| {
            paths.iter().any(|other| other.len() > path.len() && other.starts_with(path))
        };
        let paths: Vec<_> = paths.iter().filter(|path| !is_parent(path)).cloned().collect();
        let columns = names(&paths).into_iter().map(|name| {
            // Made once for each dataset, and used until the program ends.
            let name: &'static str = Box::leak(name.into_boxed_str());
            Column::shown(name, name)
        });
        let columns: &'static [Column] = Box::leak(columns.collect());
        Self { list: Box::leak(Box::new(List { name: dataset.name(), columns })), paths }
    }

    /// The flat form of a line; `None` if it is not JSON.
    #[must_use]
    pub fn row(&self, line: &[u8]) -> Option<FlatRow> {
        let record: Value = serde_json::from_slice(line).ok()?;
        let cells = self.paths.iter().map(|path| cell(&record, path)).collect();
        Some(FlatRow { list: self.list, cells })
    }
}

/// The names of the columns with these paths.
fn names(paths: &[Vec<String>]) -> Vec<String> {
    let is_in_profile = |path: &[String]| path.first().is_some_and(|first| first == PROFILE);
    let mut taken: Vec<String> =
        paths.iter().filter(|path| !is_in_profile(path)).map(|path| path.join("_")).collect();
    let name = |path: &Vec<String>| {
        let name = path.join("_");
        let short = name.strip_prefix("profile_").filter(|_| is_in_profile(path));
        let Some(short) = short.filter(|short| !taken.iter().any(|it| it == short)) else {
            return name;
        };
        taken.push(short.to_owned());
        short.to_owned()
    };
    paths.iter().map(name).collect()
}

/// The kinds of records that a schema describes.
fn alternatives(schema: &Value) -> Vec<&Value> {
    match &schema["oneOf"] {
        Value::Array(kinds) => kinds.iter().collect(),
        _ => vec![schema],
    }
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// Adds the paths of the leaves below a field, each once.
fn add_paths(field: &Value, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let inside = if field["items"]["properties"].is_object() { &field["items"] } else { field };
    if fields(inside).next().is_none() {
        if !paths.contains(path) {
            // Where another kind of record has null, the fields stand in its place.
            let parent = paths.iter().position(|other| path.starts_with(other));
            paths.insert(parent.unwrap_or(paths.len()), path.clone());
        }
        return;
    }
    for (name, field) in fields(inside) {
        path.push(name.clone());
        add_paths(field, path, paths);
        path.pop();
    }
}

/// The value at a path. What is in arrays is joined.
fn cell(record: &Value, path: &[String]) -> Cell<'static> {
    let Some((name, rest)) = path.split_first() else { return of_value(record) };
    match &record[name.as_str()] {
        Value::Array(elements) => {
            let cells = elements.iter().map(|element| match element {
                Value::Object(_) if !rest.is_empty() => cell(element, rest),
                other => of_value(other),
            });
            let texts: Vec<Cell<'static>> = cells.collect();
            let texts: Vec<Cow<'_, str>> = texts.iter().map(Cell::text).collect();
            if texts.is_empty() { Cell::Empty } else { texts.join("; ").into() }
        }
        value => cell(value, rest),
    }
}

fn of_value(value: &Value) -> Cell<'static> {
    match value {
        Value::Null => Cell::Empty,
        Value::Bool(flag) => Cell::Flag(*flag),
        Value::String(text) => Cell::Text(text.clone().into()),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Cell::Number(number),
            (None, Some(number)) => Cell::Signed(number),
            (None, None) => Cell::Text(number.to_string().into()),
        },
        Value::Array(_) | Value::Object(_) => Cell::Text(value.to_string().into()),
    }
}

impl Row for FlatRow {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![self.cells.clone()]
    }
}

impl Serialize for FlatRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.cells.len()))?;
        for (column, cell) in self.list.columns.iter().zip(&self.cells) {
            match cell {
                Cell::Empty => map.serialize_entry(column.name, &())?,
                Cell::Text(text) => map.serialize_entry(column.name, text)?,
                Cell::Number(number) => map.serialize_entry(column.name, number)?,
                Cell::Signed(number) => map.serialize_entry(column.name, number)?,
                Cell::Flag(flag) => map.serialize_entry(column.name, flag)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use clerk_snapshot::testing::records;
    use serde_json::json;

    use super::*;

    fn flat(dataset: Dataset, record: &Value) -> Value {
        let row = Flat::of(dataset).row(record.to_string().as_bytes()).unwrap();
        serde_json::to_value(row).unwrap()
    }

    // Promise: each column has a name of its own, whatever the dataset.
    #[test]
    fn names_of_columns_are_unique_and_stable() {
        for &dataset in Dataset::ALL {
            let names: Vec<_> = Flat::of(dataset).list.columns.iter().map(|it| it.name).collect();
            let unique: BTreeSet<_> = names.iter().collect();
            assert_eq!(unique.len(), names.len(), "{dataset}: {names:?}");
        }
        let names = |dataset| -> Vec<&str> {
            Flat::of(dataset).list.columns.iter().map(|it| it.name).collect()
        };
        assert_eq!(
            names(Dataset::Grants).join(" "),
            "id entitlement_id resource_type resource_id slug principal_type principal_id role_id \
             role_key permissions source_type source_id created_at updated_at"
        );
        assert_eq!(names(Dataset::DailyActiveUsers), ["name", "date", "value"]);
        let invitations = names(Dataset::OrganizationInvitations);
        assert!(invitations.contains(&"status") && invitations.contains(&"profile_status"));
        assert_eq!(names(Dataset::Users)[..4], ["id", "display_name", "status", "created_at"]);
    }

    // Promise: arrays are joined, elements of one array keep their places, and metadata is JSON.
    #[test]
    fn a_record_becomes_one_flat_row() {
        let mut user = records::user("user_1");
        user["profile"]["emails"] = json!([
            {"address": null, "primary": false, "verified": true},
            {"address": "a@example.com", "primary": true, "verified": null},
        ]);
        user["profile"]["web3_wallets"] = json!(["0x1", null]);
        user["profile"]["public_metadata"] = json!({"team": ["a", "b"]});
        let row = flat(Dataset::Users, &user);
        assert_eq!(row["emails_address"], "; a@example.com");
        assert_eq!(row["emails_verified"], "true; ");
        assert_eq!(row["web3_wallets"], "0x1; ");
        assert_eq!(row["phones_number"], Value::Null);
        assert_eq!(row["public_metadata"], r#"{"team":["a","b"]}"#);
        assert_eq!(row["unsafe_metadata"], Value::Null);
        assert_eq!(row["passkeys"], 0);
        assert_eq!(row["banned"], false);
        let grant =
            records::role_grant("org_1", "user_1", "orgmem_1", ("role_1", "org:a"), &["b", "c"]);
        let row = flat(Dataset::Grants, &grant);
        assert_eq!((&row["role_key"], &row["permissions"]), (&json!("org:a"), &json!("b; c")));
        let member = flat(Dataset::Grants, &records::member_grant("org_1", "user_1", "orgmem_1"));
        assert_eq!((&member["role_id"], &member["permissions"]), (&Value::Null, &Value::Null));
        let entitlement = flat(Dataset::Entitlements, &records::member_entitlement("org_1"));
        assert_eq!(entitlement["grantable_to"], "user");
    }
}
