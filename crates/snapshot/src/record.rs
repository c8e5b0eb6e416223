//! The four kinds of line a snapshot is made of.
//!
//! A struct's fields stand in the order in which its keys are written. What Clerk did not say is
//! `None` and written as `null`.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::json;
use crate::resource::named;
use crate::timestamp::Timestamp;

/// Something that exists: a user, an organization, a role, a permission.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename = "resource")]
pub struct ResourceRecord<'a, P> {
    /// What it is.
    #[serde(rename = "type")]
    pub object_type: ObjectType,
    /// Clerk's id.
    pub id: &'a str,
    /// What to call it in front of a person; never empty.
    pub display_name: DisplayName<'a>,
    /// Whether it can be used.
    pub status: Status,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// What else is known, by type.
    pub profile: P,
    /// Clerk's own object, less what must never be written out. The outer `None` leaves the key
    /// out.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_it_stands")]
    pub raw: Option<Option<Box<RawValue>>>,
}

fn as_it_stands<S: Serializer>(
    raw: &Option<Option<Box<RawValue>>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match raw.iter().flatten().next() {
        Some(raw) => json::verbatim(raw.get(), serializer),
        None => serializer.serialize_none(),
    }
}

/// Something that can be held on a resource.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename = "entitlement")]
pub struct EntitlementRecord<'a> {
    /// Of which resource and slug.
    pub id: EntitlementId<'a>,
    /// On what.
    pub resource: ObjectReference<'a>,
    /// Which of the resource's entitlements.
    pub slug: &'a str,
    /// What holding it means.
    pub purpose: Purpose,
    /// What to call it in front of a person.
    pub display_name: DisplayName<'a>,
    /// What can hold it.
    pub grantable_to: [ObjectType; 1],
    /// The role that it stands for, if any.
    pub role: Option<RoleReference<'a>>,
}

/// That a principal holds an entitlement.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename = "grant")]
pub struct GrantRecord<'a> {
    /// Of which entitlement and principal.
    pub id: GrantId<'a>,
    /// What is held.
    pub entitlement_id: EntitlementId<'a>,
    /// On what.
    pub resource: ObjectReference<'a>,
    /// Which of the resource's entitlements.
    pub slug: &'a str,
    /// Who holds it.
    pub principal: ObjectReference<'a>,
    /// The role that it stands for, if any.
    pub role: Option<RoleReference<'a>>,
    /// The keys of the permissions that come with the role, as the membership carries them.
    pub permissions: Option<Vec<Option<&'a str>>>,
    /// The object of Clerk's that says so, where it is not the principal itself.
    pub source: Option<ObjectReference<'a>>,
    /// Since when.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

impl<'a> GrantRecord<'a> {
    /// The grant of `entitlement` to `principal`, of which nothing else is known yet.
    pub fn new(entitlement: EntitlementId<'a>, principal: ObjectReference<'a>) -> Self {
        Self {
            id: GrantId { entitlement, principal },
            entitlement_id: entitlement,
            resource: entitlement.resource,
            slug: entitlement.slug,
            principal,
            role: None,
            permissions: None,
            source: None,
            created_at: None,
            updated_at: None,
        }
    }
}

/// A number of a day.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename = "metric")]
pub struct MetricRecord<'a> {
    /// What is counted.
    pub name: &'a str,
    /// The day in UTC: `2026-11-20`.
    pub date: &'a str,
    /// How many.
    pub value: u64,
}

named! {
    /// The types of objects that records are about or refer to, by their names in records.
    ObjectType, "type":
    /// A user.
    User = "user",
    /// An organization.
    Organization = "organization",
    /// A role of organizations.
    OrganizationRole = "organization_role",
    /// A permission of organizations.
    OrganizationPermission = "organization_permission",
    /// A membership of a user in an organization: only ever a source.
    OrganizationMembership = "organization_membership",
    /// A set of roles.
    RoleSet = "role_set",
    /// A domain of the application.
    Domain = "domain",
    /// A URL that may be redirected to.
    RedirectUrl = "redirect_url",
    /// An invitation to an organization.
    OrganizationInvitation = "organization_invitation",
    /// An invitation to the application.
    Invitation = "invitation",
    /// A domain of an organization.
    OrganizationDomain = "organization_domain",
    /// Who may sign up.
    AllowlistIdentifier = "allowlist_identifier",
    /// Who may not sign up.
    BlocklistIdentifier = "blocklist_identifier",
    /// What tokens say.
    JwtTemplate = "jwt_template",
    /// An OAuth application.
    OauthApplication = "oauth_application",
    /// A connection to an identity provider.
    EnterpriseConnection = "enterprise_connection",
    /// A program that calls others.
    Machine = "machine",
    /// Who waits to be invited.
    WaitlistEntry = "waitlist_entry",
    /// What can be subscribed to.
    BillingPlan = "billing_plan",
    /// A plan that is subscribed to.
    BillingSubscriptionItem = "billing_subscription_item",
    /// That a user is, or was, signed in.
    Session = "session",
    /// A key that a user, an organization or a machine has made.
    ApiKey = "api_key",
}

/// Whether a resource can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing says it cannot.
    Enabled,
    /// A user that is banned, locked or deprovisioned; a connection that is not active; a key that
    /// is revoked or has expired.
    Disabled,
}

impl Status {
    /// Of what cannot be used when one of these is true.
    #[must_use]
    pub fn unless_any(reasons: &[Option<bool>]) -> Self {
        if reasons.contains(&Some(true)) { Self::Disabled } else { Self::Enabled }
    }
}

/// What holding an entitlement means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To belong to the resource, or to have a role in it.
    Assignment,
    /// To be allowed what the resource, a permission, allows.
    Permission,
}

/// One object, by type and id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ObjectReference<'a> {
    /// What it is.
    #[serde(rename = "type")]
    pub object_type: ObjectType,
    /// Clerk's id.
    pub id: &'a str,
}

/// One role, by its stable id and by the key that memberships use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct RoleReference<'a> {
    /// Clerk's id.
    pub id: &'a str,
    /// The key.
    pub key: &'a str,
}

/// Identifies an entitlement: `<type>:<id>:<slug>`. Keys and ids may contain colons: it is for
/// comparing, not for taking apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntitlementId<'a> {
    /// On what.
    pub resource: ObjectReference<'a>,
    /// `member`, `assigned`, or a role's id.
    pub slug: &'a str,
}

impl fmt::Display for EntitlementId<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_joined(
            formatter,
            [self.resource.object_type.name(), ":", self.resource.id, ":", self.slug],
        )
    }
}

impl Serialize for EntitlementId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Identifies a grant: `<entitlement>:<principal's type>:<principal's id>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantId<'a> {
    /// What is held.
    pub entitlement: EntitlementId<'a>,
    /// Who holds it.
    pub principal: ObjectReference<'a>,
}

impl fmt::Display for GrantId<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entitlement.fmt(formatter)?;
        write_joined(formatter, [":", self.principal.object_type.name(), ":", self.principal.id])
    }
}

impl Serialize for GrantId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What to call something in front of a person: one name, or two with a space between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisplayName<'a> {
    /// One name.
    One(&'a str),
    /// Two, such as a first and a last name.
    Two(&'a str, &'a str),
}

impl fmt::Display for DisplayName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::One(name) => formatter.write_str(name),
            Self::Two(first, last) => write_joined(formatter, [first, " ", last]),
        }
    }
}

impl Serialize for DisplayName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Cheaper than `write!`, and this runs several times a line.
fn write_joined<const N: usize>(
    formatter: &mut fmt::Formatter<'_>,
    parts: [&str; N],
) -> fmt::Result {
    parts.into_iter().try_for_each(|part| formatter.write_str(part))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_written_as_its_name() {
        for object_type in ObjectType::ALL {
            let json = serde_json::to_string(&object_type).unwrap();
            assert_eq!(json, format!("\"{}\"", object_type.name()));
        }
    }

    // Promise: one valid JSON string whatever stands in the parts.
    #[test]
    fn joined_parts_are_escaped() {
        let name = DisplayName::Two("Ada \"the first\"", "Love\nlace");
        assert_eq!(serde_json::to_string(&name).unwrap(), r#""Ada \"the first\" Love\nlace""#);
        let id = EntitlementId {
            resource: ObjectReference { object_type: ObjectType::Organization, id: "o\\" },
            slug: "member",
        };
        assert_eq!(serde_json::to_string(&id).unwrap(), r#""organization:o\\:member""#);
    }
}
