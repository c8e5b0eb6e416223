//! An instance of a few hundred rows with every oddity that rows can have, as records and as the answers that they
//! should give. The answers are computed from the records in the plainest way, so that they can be an oracle.

use std::collections::{BTreeMap, BTreeSet};

use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, records};
use serde_json::{Value, json};

/// Roles by id: key, name and permissions.
pub(crate) const ROLES: [(&str, &str, &str, &[&str]); 3] = [
    ("role_admin", "org:admin", "Admin", &["org:sys_profile:delete", "org:sys_memberships:read"]),
    ("role_member", "org:member", "Member", &["org:sys_memberships:read"]),
    // A role whose key is the name of a permission elsewhere.
    ("role_odd", "org:reports:delete", "Odd", &[]),
];

/// Names that sort, show or break in unusual ways.
const NAMES: [&str; 12] = [
    "Ada Lovelace",
    "ada lovelace",
    "Émile",
    "émile",
    "STRASSE",
    "straße",
    "=cmd|' /C calc'!A0",
    "\u{202e}evil\u{1b}[2J",
    "Line\nbreak",
    "\"Quoted\", \\back",
    "東京",
    "<script>",
];

/// The rows of an instance.
pub(crate) struct World {
    pub(crate) users: Vec<Value>,
    pub(crate) organizations: Vec<Value>,
    pub(crate) roles: Vec<Value>,
    pub(crate) permissions: Vec<Value>,
    pub(crate) grants: Vec<Value>,
}

impl World {
    /// The same rows each time.
    pub(crate) fn new() -> Self {
        let users = (0..60).map(user).collect();
        let organizations = (0..16).map(organization).collect();
        let roles = ROLES.iter().map(|(id, key, name, permissions)| {
            let permissions: Vec<_> = permissions.iter().map(|key| (*key, *key)).collect();
            let mut role = records::role(id, key, &permissions);
            role["display_name"] = (*name).into();
            role
        });
        let keys = ["org:sys_profile:delete", "org:sys_memberships:read", "org:reports:delete"];
        let permissions = keys.iter().enumerate().map(|(number, key)| {
            let mut permission = records::permission(&format!("perm_{number}"), key);
            permission["display_name"] = format!("Permission {number}").into();
            permission
        });
        let mut grants = vec![
            records::permission_grant("perm_0", "role_admin"),
            records::call_grant("mch_1", "mch_2"),
        ];
        for number in 0..200 {
            grants.extend(membership(number));
        }
        Self {
            users,
            organizations,
            roles: roles.collect(),
            permissions: permissions.collect(),
            grants,
        }
    }

    /// A snapshot of the rows, on a day of November.
    pub(crate) fn snapshot(&self, day: u32) -> SnapshotBuilder {
        let mut snapshot = SnapshotBuilder::on_day(day)
            .with(Dataset::Users, self.users.clone())
            .with(Dataset::Organizations, self.organizations.clone())
            .with(Dataset::OrganizationRoles, self.roles.clone())
            .with(Dataset::OrganizationPermissions, self.permissions.clone())
            .with(Dataset::Grants, self.grants.clone());
        // So many that a membership's two grants are in two parts now and then.
        snapshot.lines_per_part = 7;
        snapshot
    }

    /// What `holders` and `can` list: of all memberships the roles that are wanted, or `None` for one without a role.
    pub(crate) fn holders(
        &self,
        is_wanted: impl Fn(&Membership<'_>, Option<&Role<'_>>) -> bool,
    ) -> Vec<Value> {
        let mut rows = Vec::new();
        for membership in self.memberships() {
            let roles = membership.roles.iter().map(Some);
            let none = membership.roles.is_empty().then_some(None);
            for role in roles.chain(none).filter(|role| is_wanted(&membership, *role)) {
                rows.push(json!({
                    "user": self.user(membership.user),
                    "organization": self.organization(membership.organization),
                    "role": role.map(|role| self.role(role)),
                    "membership_id": membership.id,
                    "since": membership.since,
                }));
            }
        }
        rows.sort_by_key(|row| {
            let folded = |value: &Value| caseless(value.as_str().unwrap_or_default());
            let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
            let (organization, user) = (&row["organization"], &row["user"]);
            (
                folded(&organization["name"]),
                id(organization),
                folded(&user["display_name"]),
                id(user),
            )
        });
        rows
    }

    /// What `who` lists for the users that are wanted.
    pub(crate) fn people(&self, is_wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut users: Vec<_> = self.users.iter().filter(|user| is_wanted(user)).collect();
        users.sort_by_key(|user| {
            (
                caseless(user["display_name"].as_str().unwrap()),
                user["id"].as_str().unwrap().to_owned(),
            )
        });
        let people = users.into_iter().map(|user| {
            let own = self.memberships().into_iter().filter(|membership| user["id"] == membership.user);
            let mut own: Vec<_> = own.collect();
            own.sort_by_key(|membership| {
                let name = self.organization(membership.organization)["name"].as_str().unwrap_or_default().to_owned();
                (caseless(&name), membership.id)
            });
            let memberships = own.into_iter().map(|membership| {
                let permissions: BTreeSet<_> =
                    membership.roles.iter().flat_map(|role| role.permissions.iter().copied()).collect();
                json!({
                    "organization": self.organization(membership.organization),
                    "membership_id": membership.id,
                    "roles": membership.roles.iter().map(|role| self.role(role)).collect::<Vec<_>>(),
                    "permissions": permissions,
                    "since": membership.since,
                })
            });
            json!({"user": user, "memberships": memberships.collect::<Vec<_>>()})
        });
        people.collect()
    }

    /// The memberships that the grants give.
    pub(crate) fn memberships(&self) -> Vec<Membership<'_>> {
        let mut all = BTreeMap::new();
        for grant in &self.grants {
            if grant["resource"]["type"] != "organization" || grant["principal"]["type"] != "user" {
                continue;
            }
            let id = grant["source"]["id"].as_str().unwrap();
            let membership = all.entry(id).or_insert_with(|| Membership {
                id,
                user: grant["principal"]["id"].as_str().unwrap(),
                organization: grant["resource"]["id"].as_str().unwrap(),
                since: grant["created_at"].as_str().unwrap(),
                roles: Vec::new(),
            });
            if let Some(role) = grant["role"].as_object() {
                let keys = grant["permissions"].as_array().unwrap();
                membership.roles.push(Role {
                    id: role["id"].as_str().unwrap(),
                    key: role["key"].as_str().unwrap(),
                    permissions: keys.iter().map(|key| key.as_str().unwrap()).collect(),
                });
            }
        }
        all.into_values().collect()
    }

    fn user(&self, id: &str) -> Value {
        let user = self.users.iter().find(|user| user["id"] == id).unwrap();
        json!({
            "id": id, "display_name": user["display_name"],
            "primary_email": user["profile"]["primary_email"], "status": user["status"],
        })
    }

    fn organization(&self, id: &str) -> Value {
        let organization =
            self.organizations.iter().find(|organization| organization["id"] == id).unwrap();
        json!({"id": id, "name": organization["display_name"], "slug": organization["profile"]["slug"]})
    }

    fn role(&self, role: &Role<'_>) -> Value {
        let name = ROLES.iter().find(|(id, ..)| *id == role.id).map(|(_, _, name, _)| *name);
        json!({"id": role.id, "key": role.key, "name": name})
    }
}

/// A membership of the world.
pub(crate) struct Membership<'a> {
    pub(crate) id: &'a str,
    pub(crate) user: &'a str,
    pub(crate) organization: &'a str,
    pub(crate) since: &'a str,
    pub(crate) roles: Vec<Role<'a>>,
}

/// A role that a membership gives.
pub(crate) struct Role<'a> {
    pub(crate) id: &'a str,
    pub(crate) key: &'a str,
    pub(crate) permissions: Vec<&'a str>,
}

/// What all cases of a text have in common. The names above need no more than this of Unicode's case folding.
pub(crate) fn caseless(text: &str) -> String {
    text.to_lowercase().replace('ß', "ss")
}

fn user(number: usize) -> Value {
    let id = format!("user_{number:03}");
    let mut user = records::user(&id);
    user["display_name"] = NAMES[number % NAMES.len()].into();
    let profile = &mut user["profile"];
    match number % 5 {
        0 => profile["external_id"] = format!("hr:{number}").into(),
        1 => profile["username"] = format!("User_{number}").into(),
        2 => {
            let second = format!("Second.{number}@BÜCHER.example");
            let emails = profile["emails"].as_array_mut().unwrap();
            emails.push(json!({"address": second, "primary": false, "verified": false}));
        }
        3 => {
            profile["primary_email"] = Value::Null;
            profile["emails"] = json!([]);
        }
        _ => {}
    }
    if number.is_multiple_of(9) {
        user["status"] = "disabled".into();
    }
    user
}

fn organization(number: usize) -> Value {
    // Several share a name, and one has no slug.
    let name = NAMES[number * 5 % 7];
    let mut organization = records::organization(&format!("org_{number:02}"), name);
    organization["profile"]["slug"] = match number {
        11 => Value::Null,
        _ => format!("slug-{number}").into(),
    };
    organization
}

/// A membership's grants: of every seventh the role does not resolve.
fn membership(number: usize) -> Vec<Value> {
    let id = format!("orgmem_{:03}", (number * 77) % 200);
    let user = format!("user_{:03}", (number * 7) % 60);
    let organization = format!("org_{:02}", number / 60 * 4 + number % 4);
    let (role, key, _, permissions) = ROLES[number % ROLES.len()];
    let mut grants = vec![records::member_grant(&organization, &user, &id)];
    if !number.is_multiple_of(7) {
        grants.push(records::role_grant(&organization, &user, &id, (role, key), permissions));
    }
    for grant in &mut grants {
        grant["created_at"] =
            format!("2026-01-{:02}T00:00:00.{number:03}Z", number % 28 + 1).into();
    }
    grants
}
