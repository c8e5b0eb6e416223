//! The grants that memberships give.

use std::borrow::Cow;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cursor::Cursor;

/// A user's grant on an organization: that of every member, or that of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<'a> {
    /// Id of the organization.
    pub organization: Cow<'a, str>,
    /// Id of the user.
    pub user: Cow<'a, str>,
    /// Id and key of the role; `None` in the grant of every member.
    pub role: Option<(Cow<'a, str>, Cow<'a, str>)>,
    /// JSON of the array of permission keys; `None` if there is none.
    pub permissions: Option<&'a str>,
    /// Id of the membership, if the grant names it.
    pub membership: Option<Cow<'a, str>>,
    /// When the membership was created.
    pub created_at: Option<Cow<'a, str>>,
}

/// A line that is not a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAGrant;

impl<'a> Grant<'a> {
    /// The grant of a line; `None` if it is not a user's grant on an organization, but a role's or a machine's.
    ///
    /// # Errors
    /// [`NotAGrant`].
    pub fn of_line(line: &'a [u8]) -> Result<Option<Self>, NotAGrant> {
        match as_written(line) {
            Some(grant) => Ok(grant),
            None => parsed(line),
        }
    }

    /// The permission keys; those that could not be read are left out.
    #[must_use]
    pub fn permission_keys(&self) -> Option<Vec<String>> {
        permission_keys(self.permissions?)
    }
}

/// The keys in the JSON of an array; those that could not be read are left out.
#[must_use]
pub fn permission_keys(array: &str) -> Option<Vec<String>> {
    let keys: Vec<Option<String>> = serde_json::from_str(array).ok()?;
    Some(keys.into_iter().flatten().collect())
}

/// A permission's key, as it is looked for in many grants.
#[derive(Debug, Clone)]
pub struct PermissionKey {
    key: String,
    /// The key as JSON, if that needs no escape.
    plain: Option<Finder<'static>>,
}

impl PermissionKey {
    /// This key.
    #[must_use]
    pub fn new(key: &str) -> Self {
        let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        let plain =
            key.bytes().all(is_plain).then(|| Finder::new(&format!("\"{key}\"")).into_owned());
        Self { key: key.to_owned(), plain }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the JSON of an array of keys holds it.
    #[must_use]
    pub fn is_in(&self, array: &str) -> bool {
        match &self.plain {
            // Without a backslash, the key in its quotes is found if and only if it is an element.
            Some(finder) if memchr::memchr(b'\\', array.as_bytes()).is_none() => {
                finder.find(array.as_bytes()).is_some()
            }
            _ => permission_keys(array).is_some_and(|keys| keys.contains(&self.key)),
        }
    }
}

fn as_written(line: &[u8]) -> Option<Option<Grant<'_>>> {
    let mut cursor = Cursor::new(line);
    cursor.pass("{\"kind\":\"grant\",\"id\":")?;
    cursor.string()?;
    cursor.pass(",\"entitlement_id\":")?;
    cursor.string()?;
    cursor.pass(",\"resource\":{\"type\":")?;
    if cursor.string()? != "organization" {
        return Some(None);
    }
    cursor.pass(",\"id\":")?;
    let organization = cursor.string()?;
    cursor.pass("},\"slug\":")?;
    cursor.string()?;
    cursor.pass(",\"principal\":{\"type\":")?;
    if cursor.string()? != "user" {
        return Some(None);
    }
    cursor.pass(",\"id\":")?;
    let user = cursor.string()?;
    cursor.pass("},\"role\":")?;
    let role = match cursor.pass("null") {
        Some(()) => None,
        None => {
            cursor.pass("{\"id\":")?;
            let id = cursor.string()?;
            cursor.pass(",\"key\":")?;
            let key = cursor.string()?;
            cursor.pass("}")?;
            Some((id.into(), key.into()))
        }
    };
    cursor.pass(",\"permissions\":")?;
    let permissions = cursor.strings_or_null()?;
    cursor.pass(",\"source\":")?;
    let membership = match cursor.pass("null") {
        Some(()) => None,
        None => {
            cursor.pass("{\"type\":")?;
            cursor.string()?;
            cursor.pass(",\"id\":")?;
            let id = cursor.string()?;
            cursor.pass("}")?;
            Some(id.into())
        }
    };
    cursor.pass(",\"created_at\":")?;
    let created_at = cursor.string_or_null()?.map(Cow::Borrowed);
    cursor.pass(",\"updated_at\":")?;
    Some(Some(Grant {
        organization: organization.into(),
        user: user.into(),
        role,
        permissions,
        membership,
        created_at,
    }))
}

/// A grant as JSON of any form.
#[derive(Deserialize)]
struct Parsed<'a> {
    #[serde(borrow)]
    resource: Reference<'a>,
    #[serde(borrow)]
    principal: Reference<'a>,
    #[serde(borrow)]
    role: Option<RoleReference<'a>>,
    #[serde(borrow)]
    permissions: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<Reference<'a>>,
    #[serde(borrow)]
    created_at: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(rename = "type", borrow)]
    object_type: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RoleReference<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
}

fn parsed(line: &[u8]) -> Result<Option<Grant<'_>>, NotAGrant> {
    let grant: Parsed<'_> = serde_json::from_slice(line).map_err(|_| NotAGrant)?;
    if grant.resource.object_type != "organization" || grant.principal.object_type != "user" {
        return Ok(None);
    }
    Ok(Some(Grant {
        organization: grant.resource.id,
        user: grant.principal.id,
        role: grant.role.map(|role| (role.id, role.key)),
        permissions: grant.permissions.map(RawValue::get),
        membership: grant.source.map(|source| source.id),
        created_at: grant.created_at,
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use clerk_snapshot::testing::records;

    use super::*;

    // Promise: a line gives the same grant in the form in which it is written and in any other form of its JSON.
    #[test]
    fn every_form_of_a_line_gives_the_same_grant() {
        let role = ("role_1", "org:admin");
        let lines = [
            records::member_grant("org_1", "user_1", "orgmem_1"),
            records::role_grant(
                "org_1",
                "user_1",
                "orgmem_1",
                role,
                &["org:a:read", "org:a:manage"],
            ),
            records::role_grant("org_\"1\"", "üser\\", "\n", ("]", ","), &["]", "\"", "\\"]),
            records::role_grant("org_1", "user_1", "orgmem_1", role, &[]),
        ];
        for line in lines {
            let written = format!("{line}\n");
            let grant = Grant::of_line(written.as_bytes()).unwrap().unwrap();
            assert_eq!(grant, parsed(written.as_bytes()).unwrap().unwrap());
            let spaced = serde_json::to_string_pretty(&line).unwrap();
            let other = Grant::of_line(spaced.as_bytes()).unwrap().unwrap();
            assert_eq!(other.permission_keys(), grant.permission_keys());
            assert_eq!(Grant { permissions: None, ..other }, Grant { permissions: None, ..grant });
        }
        let plain = records::member_grant("org_1", "user_1", "orgmem_1").to_string();
        assert!(as_written(plain.as_bytes()).is_some(), "the fast way is taken");
    }

    #[test]
    fn grants_of_roles_and_machines_are_none_of_a_user() {
        for line in
            [records::permission_grant("perm_1", "role_1"), records::call_grant("mch_1", "mch_2")]
        {
            assert_eq!(Grant::of_line(line.to_string().as_bytes()), Ok(None));
            let spaced = serde_json::to_string_pretty(&line).unwrap();
            assert_eq!(Grant::of_line(spaced.as_bytes()), Ok(None));
        }
        assert_eq!(Grant::of_line(b"{\"kind\":\"grant\"}"), Err(NotAGrant));
    }

    // Promise: a permission is found by its whole key, in every form of JSON.
    #[test]
    fn a_permission_is_found_by_its_whole_key() {
        let key = PermissionKey::new("org:a:read");
        assert!(key.is_in(r#"["org:b:read","org:a:read"]"#));
        assert!(key.is_in(r#"["\u006frg:a:read"]"#));
        for other in [r#"["org:a:read_all"]"#, r#"["xorg:a:read"]"#, "[null]", "[]"] {
            assert!(!key.is_in(other), "{other}");
        }
        assert!(PermissionKey::new("a\"b").is_in(r#"["a\"b"]"#));
    }
}
