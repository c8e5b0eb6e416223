//! Defines the four kinds of lines in a snapshot.
//!
//! The fields of each struct are in the order in which its keys are written. What Clerk did not state is `None` and
//! written as `null`.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::json;
use crate::resource::named;
use crate::timestamp::Timestamp;

/// Something that exists, such as a user, an organization, a role or a permission.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename = "resource")]
pub struct ResourceRecord<'a, P> {
    /// Type of the object.
    #[serde(rename = "type")]
    pub object_type: ObjectType,
    /// Clerk's id.
    pub id: &'a str,
    /// Name to display; never empty.
    pub display_name: DisplayName<'a>,
    /// Whether it is enabled.
    pub status: Status,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// Further data, by type.
    pub profile: P,
    /// Clerk's own object without secrets. The outer `None` omits the key.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_raw")]
    pub raw: Option<Option<Box<RawValue>>>,
}

fn serialize_raw<S: Serializer>(
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
    /// Made from resource and slug.
    pub id: EntitlementId<'a>,
    /// The resource it is held on.
    pub resource: ObjectReference<'a>,
    /// Identifies the entitlement within the resource.
    pub slug: &'a str,
    /// What holding it means.
    pub purpose: Purpose,
    /// Name to display.
    pub display_name: DisplayName<'a>,
    /// The types of object that can hold it.
    pub grantable_to: [ObjectType; 1],
    /// The role that it represents, if any.
    pub role: Option<RoleReference<'a>>,
}

/// A principal's holding of an entitlement.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename = "grant")]
pub struct GrantRecord<'a> {
    /// Made from entitlement and principal.
    pub id: GrantId<'a>,
    /// The entitlement.
    pub entitlement_id: EntitlementId<'a>,
    /// The resource it is held on.
    pub resource: ObjectReference<'a>,
    /// Identifies the entitlement within the resource.
    pub slug: &'a str,
    /// The holder.
    pub principal: ObjectReference<'a>,
    /// The role that it represents, if any.
    pub role: Option<RoleReference<'a>>,
    /// The keys of the role's permissions, as stated in the membership.
    pub permissions: Option<Vec<Option<&'a str>>>,
    /// Clerk's object that states the grant, if that is not the principal itself.
    pub source: Option<ObjectReference<'a>>,
    /// When the grant was created.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

impl<'a> GrantRecord<'a> {
    /// A grant of `entitlement` to `principal`, without further data.
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

/// A count for one day.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename = "metric")]
pub struct MetricRecord<'a> {
    /// Name of the metric.
    pub name: &'a str,
    /// The day in UTC: `2026-11-20`.
    pub date: &'a str,
    /// The count.
    pub value: u64,
}

named! {
    /// The types of objects that records describe or refer to, by their names in records.
    ObjectType, "type":
    /// A user.
    User = "user",
    /// An organization.
    Organization = "organization",
    /// A role of organizations.
    OrganizationRole = "organization_role",
    /// A permission of organizations.
    OrganizationPermission = "organization_permission",
    /// A user's membership of an organization; only used as a source.
    OrganizationMembership = "organization_membership",
    /// A set of roles.
    RoleSet = "role_set",
    /// A domain of the application.
    Domain = "domain",
    /// An allowed redirect URL.
    RedirectUrl = "redirect_url",
    /// An invitation to an organization.
    OrganizationInvitation = "organization_invitation",
    /// An invitation to the application.
    Invitation = "invitation",
    /// A domain of an organization.
    OrganizationDomain = "organization_domain",
    /// An identifier that may sign up.
    AllowlistIdentifier = "allowlist_identifier",
    /// An identifier that may not sign up.
    BlocklistIdentifier = "blocklist_identifier",
    /// A template for tokens.
    JwtTemplate = "jwt_template",
    /// An OAuth application.
    OauthApplication = "oauth_application",
    /// A connection to an identity provider.
    EnterpriseConnection = "enterprise_connection",
    /// A program that calls others.
    Machine = "machine",
    /// A person waiting for an invitation.
    WaitlistEntry = "waitlist_entry",
    /// A plan that can be subscribed to.
    BillingPlan = "billing_plan",
    /// A subscription to a plan.
    BillingSubscriptionItem = "billing_subscription_item",
    /// A user's sign-in, current or past.
    Session = "session",
    /// A key created by a user, an organization or a machine.
    ApiKey = "api_key",
}

/// Whether a resource is enabled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not known to be disabled.
    Enabled,
    /// A banned, locked or deprovisioned user, an inactive connection, or a revoked or expired key.
    Disabled,
}

impl Status {
    /// Disabled if any of these reasons is true.
    #[must_use]
    pub fn unless_any(reasons: &[Option<bool>]) -> Self {
        if reasons.contains(&Some(true)) { Self::Disabled } else { Self::Enabled }
    }
}

/// What holding an entitlement means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The holder belongs to the resource, or has a role in it.
    Assignment,
    /// The holder has the permission that is the resource.
    Permission,
}

/// Refers to an object by type and id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ObjectReference<'a> {
    /// Type of the object.
    #[serde(rename = "type")]
    pub object_type: ObjectType,
    /// Clerk's id.
    pub id: &'a str,
}

/// Refers to a role by its stable id and by the key that memberships use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct RoleReference<'a> {
    /// Clerk's id.
    pub id: &'a str,
    /// The key.
    pub key: &'a str,
}

/// Identifies an entitlement: `<type>:<id>:<slug>`. Compare it but do not split it, because keys and ids may contain
/// colons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntitlementId<'a> {
    /// The resource.
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
    /// The entitlement.
    pub entitlement: EntitlementId<'a>,
    /// The holder.
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

/// A name to display: one name, or two joined by a space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisplayName<'a> {
    /// One name.
    One(&'a str),
    /// Two names, such as a first and a last name.
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

/// Faster than `write!`; it runs several times per line.
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

    // Promise: the result is one valid JSON string, whatever the parts contain.
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
