//! Odd values in rows: fields with values of the wrong type, and their effect on records.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use clerk_sandbox::{Effect, FaultRule, Population, RowEdit, Sandbox};
use fastrand::Rng;
use serde_json::{Value, json};

use super::further::{Further, path_of};
use super::schedule::Lie;
use crate::support::lists::PLAIN_LISTS;
use crate::support::oracle::RESOURCES;
use crate::support::plain::FIRST;
use crate::support::snapshot::Snapshot;

/// How deeply nested the fields are that become odd.
const DEPTH: usize = 3;

/// Fields that identify a row, its owner or its rights. Another value of the right type would
/// describe another row, which no program could notice; a value of the wrong type is odd.
const IDENTIFYING: [(&str, &[&str]); 7] = [
    ("users", &["/last_active_at"]),
    ("organization_memberships", &["/role", "/organization", "/public_user_data", "/permissions"]),
    ("organization_roles", &["/key", "/permissions"]),
    ("organization_permissions", &["/key"]),
    ("api_keys", &["/subject"]),
    ("sessions", &["/user_id"]),
    ("machines", &["/scoped_machines"]),
];

/// The fields of every list in the rows of the sandbox.
fn fields() -> &'static BTreeMap<&'static str, Vec<String>> {
    static FIELDS: OnceLock<BTreeMap<&str, Vec<String>>> = OnceLock::new();
    FIELDS.get_or_init(|| {
        let population = Population::default().users(12).organizations(4).memberships(12);
        let sandbox = Sandbox::new(population.permissions(4));
        let plain = PLAIN_LISTS.iter().map(|list| list.resource).chain(["api_keys"]);
        for list in plain.clone() {
            for number in 0..4 {
                sandbox.add_sample(list, FIRST + number);
            }
        }
        let lists = RESOURCES.into_iter().chain(plain);
        lists.map(|list| (list, fields_of(&sandbox.rows(list)))).collect()
    })
}

fn fields_of(rows: &[Value]) -> Vec<String> {
    let mut fields = Vec::new();
    rows.iter().for_each(|row| gather(row, "", &mut fields));
    fields.sort();
    fields.dedup();
    fields
}

fn gather(value: &Value, pointer: &str, fields: &mut Vec<String>) {
    if pointer.matches('/').count() >= DEPTH {
        return;
    }
    let mut below = |name: String, value| {
        let pointer = format!("{pointer}/{name}");
        gather(value, &pointer, fields);
        fields.push(pointer);
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            below(name.replace('~', "~0").replace('/', "~1"), value);
        }),
        // An element becomes odd only through its own fields.
        Value::Array(elements) => {
            if let Some(first) = elements.first().filter(|first| first.is_object()) {
                gather(first, &format!("{pointer}/0"), fields);
            }
        }
        _ => {}
    }
}

/// Gives a field of one row of some list an odd value, in these calls.
pub(super) fn some_value(
    further: Option<&Further>,
    random: &mut Rng,
    (first, last): (u64, u64),
) -> (FaultRule, Lie) {
    let lists: Vec<&str> =
        RESOURCES.into_iter().chain(further.into_iter().flat_map(Further::lists)).collect();
    let list = lists[random.usize(0..lists.len())];
    let fields = &fields()[list];
    // Required fields are chosen more often, because they are few.
    let needed = ["/id", "/created_at", "/key", "/role", "/organization/id", "/organization"];
    let pointer = match random.u32(0..8) {
        0 => needed[random.usize(0..needed.len())].to_owned(),
        1 if list == "organization_memberships" => "/public_user_data".to_owned(),
        2 if list == "organization_memberships" => "/public_user_data/user_id".to_owned(),
        _ => fields[random.usize(0..fields.len())].clone(),
    };
    let value = match random.u32(0..20) {
        0..=2 => Some(Value::Null),
        3 => None,
        4 => Some(json!(true)),
        5 => Some(json!(7)),
        6 => Some(json!(-1)),
        7 => Some(json!(1.5)),
        8 => Some(json!(1e300)),
        9 => Some(json!("odd")),
        10 => Some(json!("")),
        11 => Some(json!([])),
        12 => Some(json!({})),
        13 => Some(json!([null, {"id": 3}])),
        14 => Some(json!({"id": [[]]})),
        15 => Some(json!(0)),
        16 => Some(json!(-62_135_596_800_000_i64)),
        17 => Some(json!(1_700_000_000_123.5)),
        18 => Some(json!(18_446_744_073_709_551_615_u64)),
        _ => Some(json!("7")),
    };
    let edit = RowEdit { id: String::new(), pointer, value };
    let lie = if describes_another(list, &edit) { Lie::Rows } else { Lie::Value };
    let RowEdit { pointer, value, .. } = edit;
    let row = random.usize(0..6);
    let rule = FaultRule::on(path_of(list)).calls(first, last);
    (rule.effect(Effect::EditRow { row, pointer, value }), lie)
}

/// Whether an odd value could be true, and would then describe other rows or rights.
fn describes_another(list: &str, edit: &RowEdit) -> bool {
    let is_text =
        edit.value.as_ref().is_some_and(|value| value.as_str() != Some("") && value.is_string());
    let is_number = edit.value.as_ref().is_some_and(Value::is_number);
    match edit.pointer.as_str() {
        "/id" => is_text,
        "/created_at" => is_number,
        pointer => {
            let telling = IDENTIFYING.iter().find(|(name, _)| *name == list);
            let tells = telling.is_some_and(|(_, beginnings)| {
                beginnings.iter().any(|beginning| pointer.starts_with(beginning))
            });
            tells && (is_text || is_number && pointer.ends_with("_at"))
        }
    }
}

/// Whether the program may end with `ClerkProtocol` because of this field.
pub(super) fn is_needed(path: &str, edit: &RowEdit) -> bool {
    let list = path.strip_prefix("/v1/").unwrap_or(path);
    let is_member = list == "organization_memberships" || list.ends_with("/memberships");
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let good = |is_good: &dyn Fn(&Value) -> bool| edit.value.as_ref().is_some_and(is_good);
    match edit.pointer.as_str() {
        "/id" => !good(&is_text),
        "/created_at" => {
            !good(&|value| value.as_f64().is_some_and(|time| time > 0.0 && time < 1e15))
        }
        "/organization" if is_member => !good(&|value| is_text(&value["id"])),
        "/organization/id" | "/role" if is_member => !good(&is_text),
        "/key" => {
            ["organization_roles", "organization_permissions"].contains(&list) && !good(&is_text)
        }
        pointer if list == "organization_roles" && pointer.starts_with("/permissions") => {
            ["/id", "/key"].iter().any(|end| pointer.ends_with(end)) && !good(&is_text)
                || pointer == "/permissions" && !good(&Value::is_null)
        }
        _ => false,
    }
}

/// Whether it removes the user of a membership.
pub(super) fn makes_nobody(path: &str, edit: &RowEdit) -> bool {
    path.ends_with("memberships") && edit.pointer.starts_with("/public_user_data")
}

/// Whether it removes permissions of a role or scopes of a machine.
pub(super) fn takes_rights(edit: &RowEdit) -> bool {
    ["/scoped_machines", "/permissions"].iter().any(|it| edit.pointer.starts_with(it))
}

/// The type of a record's field, if Clerk states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Number,
    /// Milliseconds, which are RFC 3339 in the record.
    Moment,
}

/// Fields of Clerk's that have the same name in the profile.
const KINDS: [(&str, Kind, &[&str]); 10] = [
    ("users", Kind::Text, &["username", "first_name", "last_name", "external_id", "locale"]),
    (
        "users",
        Kind::Flag,
        &[
            "banned",
            "locked",
            "deprovisioned",
            "password_enabled",
            "two_factor_enabled",
            "totp_enabled",
            "backup_code_enabled",
            "create_organization_enabled",
            "delete_self_enabled",
        ],
    ),
    (
        "users",
        Kind::Moment,
        &[
            "last_sign_in_at",
            "last_active_at",
            "mfa_enabled_at",
            "mfa_disabled_at",
            "legal_accepted_at",
        ],
    ),
    ("organizations", Kind::Text, &["slug", "created_by", "role_set_key"]),
    ("organizations", Kind::Flag, &["admin_delete_enabled"]),
    ("organizations", Kind::Number, &["members_count", "max_allowed_memberships"]),
    ("organizations", Kind::Moment, &["last_active_at"]),
    ("organization_roles", Kind::Text, &["description"]),
    ("organization_roles", Kind::Flag, &["is_creator_eligible"]),
    ("organization_permissions", Kind::Text, &["description", "type"]),
];

impl Kind {
    /// Whether a record may hold this value.
    fn may_be(self, value: &Value) -> bool {
        value.is_null()
            || match self {
                Self::Text => value.is_string(),
                Self::Flag => value.is_boolean(),
                Self::Number => value.is_number(),
                Self::Moment => value.as_str().is_some_and(|text| text.ends_with('Z')),
            }
    }

    /// Whether this value cannot be read.
    fn is_odd(self, value: &Value) -> bool {
        !value.is_null()
            && match self {
                Self::Text => !value.is_string(),
                Self::Flag => !value.is_boolean(),
                Self::Number | Self::Moment => !value.is_number(),
            }
    }
}

/// No field of a record has a value of the wrong type.
pub(super) fn assert_typed(snapshot: &Snapshot) {
    for (list, kind, fields) in KINDS {
        let rows = snapshot.datasets.get(list).into_iter().flatten();
        for row in rows {
            for field in fields {
                let value = &row["profile"][field];
                assert!(kind.may_be(value), "{list}: {field} of {} is {value}", row["id"]);
            }
        }
    }
}

/// The field of the record, if any, that an edit makes unreadable.
fn unreadable_field<'a>(list: &str, edit: &'a RowEdit) -> Option<&'a str> {
    let field = edit.pointer.strip_prefix('/').filter(|field| !field.contains('/'))?;
    let value = edit.value.as_ref()?;
    let mut kinds =
        KINDS.iter().filter(|(name, _, fields)| *name == list && fields.contains(&field));
    kinds.next().filter(|(_, kind, _)| kind.is_odd(value)).map(|_| field)
}

/// A value that could not be read is null in the record, and counted in the manifest. `served` are
/// the edits of all rows that the run was shown, each of them once.
pub(super) fn assert_counted(list: &str, snapshot: &Snapshot, served: &[RowEdit]) {
    let counts = snapshot.manifest["datasets"][list]["unreadable_fields"].as_object();
    let counted: u64 = counts.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    let odd = served.iter().filter(|edit| {
        unreadable_field(list, edit).is_some_and(|field| {
            let row = snapshot.datasets[list].iter().find(|row| row["id"] == *edit.id);
            row.is_some_and(|row| row["profile"][field].is_null())
        })
    });
    let odd = odd.count() as u64;
    assert!(odd <= counted, "{list}: {odd} fields could not be read, {counted} are counted");
}
