//! Changes the instance as one day at work would: the demo shows the difference between two snapshots.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::data::Data;
use crate::lists::{ORGANIZATION_MEMBERSHIPS, ORGANIZATION_ROLES, ORGANIZATIONS, USERS};
use crate::rows::Row;

/// The role whose holders administer an organization.
const ADMINISTRATOR: &str = "org:admin";
/// The role that new members get.
const MEMBER: &str = "org:member";

/// Somebody joins an organization, a member becomes its administrator, another one leaves it, a user is banned, a user is
/// deleted, and so is an organization with all its memberships. The same instance changes in the same way every time.
///
/// What the instance has no rows for is left out.
pub(crate) fn pass(data: &mut Data) {
    let now = data.latest() + 1;
    let mut organizations = largest_first(data);
    if organizations.len() > 1
        && let Some(smallest) = organizations.pop()
    {
        data.delete(ORGANIZATIONS, &smallest);
    }
    // One of middling size, whose administrators fit on a screen.
    if let Some(middle) = organizations.get(organizations.len() / 2) {
        let user = data.add_user(now);
        // Both exist, under the same lock.
        let _ = data.add_membership(middle, &user, MEMBER, now);
        promote(data, middle, now);
    }
    if let Some(largest) = organizations.first()
        && let Some(membership) =
            data.table(ORGANIZATION_MEMBERSHIPS).of_organization(largest).first()
    {
        let membership = Arc::clone(membership);
        data.delete(ORGANIZATION_MEMBERSHIPS, &membership.id);
    }
    if let Some(banned) = a_member(data, organizations.get(1), |user| user["banned"] == false) {
        // The user exists, under the same lock.
        let _ = data.update(USERS, &banned, |user| {
            user["banned"] = true.into();
            user["updated_at"] = now.into();
        });
    }
    if let Some(gone) = a_member(data, organizations.get(2), |_| true) {
        data.delete(USERS, &gone);
    }
}

/// The ids of the organizations, those with the most members first.
fn largest_first(data: &Data) -> Vec<String> {
    let memberships = data.table(ORGANIZATION_MEMBERSHIPS);
    let mut organizations: Vec<(usize, String)> = data
        .table(ORGANIZATIONS)
        .rows()
        .iter()
        .map(|row| (memberships.of_organization(&row.id).len(), row.id.to_string()))
        .collect();
    organizations.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    organizations.into_iter().map(|(_, id)| id).collect()
}

/// Makes a member who is no administrator one.
fn promote(data: &mut Data, organization: &str, now: i64) {
    let members = data.table(ORGANIZATION_MEMBERSHIPS).of_organization(organization);
    let Some(member) = members.iter().find(|row| row.value()["role"] == MEMBER).map(Arc::clone)
    else {
        return;
    };
    let roles = data.table(ORGANIZATION_ROLES).rows().iter().map(|row| row.value());
    let Some(role) = roles.into_iter().find(|role| role["key"] == ADMINISTRATOR) else { return };
    let permissions = role["permissions"].as_array().into_iter().flatten();
    let keys: Vec<Value> = permissions.map(|permission| permission["key"].clone()).collect();
    // The membership exists, under the same lock.
    let _ = data.update(ORGANIZATION_MEMBERSHIPS, &member.id, |membership| {
        membership["role"] = ADMINISTRATOR.into();
        membership["role_name"] = role["name"].clone();
        membership["permissions"] = json!(keys);
        membership["updated_at"] = now.into();
    });
}

/// The id of the first member of an organization who is wanted.
fn a_member(
    data: &Data,
    organization: Option<&String>,
    is_wanted: impl Fn(&Value) -> bool,
) -> Option<String> {
    let members: &[Arc<Row>] = data.table(ORGANIZATION_MEMBERSHIPS).of_organization(organization?);
    members.iter().find_map(|member| {
        let member = member.value();
        let id = member["public_user_data"]["user_id"].as_str()?;
        data.table(USERS).get(id).filter(|user| is_wanted(&user.value())).map(|_| id.to_owned())
    })
}
