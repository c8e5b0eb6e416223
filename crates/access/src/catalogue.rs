//! The roles and permissions of a snapshot, of which there are few, and how arguments name them.

use std::collections::{BTreeMap, BTreeSet};

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;
use clerk_store::nearest::nearest;
use serde::Serialize;

use crate::archive::{Archive, Lines, ScanError};
use crate::error::ArgumentError;
use crate::lines::catalogue::{Keyed, PermissionOfRole};
use crate::lines::grant::PermissionKey;
use crate::progress::Progress;

/// The roles of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    by_id: BTreeMap<String, Keyed>,
}

/// A role as answers show it. The name is not known if the snapshot has not got the roles.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RoleOfHolder {
    /// The id.
    pub id: String,
    /// The key.
    pub key: String,
    /// The name.
    pub name: Option<String>,
}

/// Which roles are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFilter {
    ids: BTreeSet<String>,
    /// What was given, if no role of the snapshot is called so: grants may name a role that the snapshot has not got.
    text: Option<String>,
}

impl Roles {
    /// Reads the roles of a snapshot.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn read(
        archive: &Archive,
        snapshot: &Snapshot,
        progress: &Progress,
    ) -> Result<Self, ScanError> {
        let roles = read_keyed(archive, snapshot, Dataset::OrganizationRoles, progress).await?;
        Ok(Self { by_id: roles.into_iter().map(|role| (role.id.clone(), role)).collect() })
    }

    /// The role that a grant names by id and key.
    #[must_use]
    pub fn show(&self, id: &str, key: &str) -> RoleOfHolder {
        let name = self.by_id.get(id).map(|role| role.name.clone());
        RoleOfHolder { id: id.to_owned(), key: key.to_owned(), name }
    }

    /// The ids of all roles, in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }

    /// The name of a role, if the snapshot has it.
    #[must_use]
    pub fn name(&self, id: &str) -> Option<&str> {
        self.by_id.get(id).map(|role| role.name.as_str())
    }

    /// The keys of a role's permissions, for a membership that does not say which it carries.
    #[must_use]
    pub fn permissions(&self, id: &str) -> Vec<String> {
        let permissions = self.by_id.get(id).and_then(|role| role.profile.permissions.as_ref());
        permissions.into_iter().flatten().map(|permission| permission.key.clone()).collect()
    }

    /// ROLE: an id, a key, or a name that one role has.
    ///
    /// # Errors
    /// [`ArgumentError::Ambiguous`].
    pub fn choose(&self, text: &str) -> Result<RoleFilter, ArgumentError> {
        let ids: BTreeSet<_> = self.ids_of(text)?.into_iter().collect();
        let text = ids.is_empty().then(|| text.to_owned());
        Ok(RoleFilter { ids, text })
    }

    /// The ids of the roles that a text names.
    ///
    /// # Errors
    /// [`ArgumentError::Ambiguous`].
    pub fn ids_of(&self, text: &str) -> Result<Vec<String>, ArgumentError> {
        let found = choose("role", "key", text, &self.by_id.values().collect::<Vec<_>>())?;
        Ok(found.into_iter().map(|role| role.id.clone()).collect())
    }

    /// The key that a text was probably meant to be.
    #[must_use]
    pub fn nearest(&self, text: &str) -> Option<&str> {
        nearest_key(text, self.by_id.values().map(|role| role.profile.key.as_str()))
    }

    fn all_permissions(&self) -> impl Iterator<Item = &PermissionOfRole> {
        self.by_id.values().flat_map(|role| role.profile.permissions.iter().flatten())
    }
}

impl RoleFilter {
    /// Whether no role of the snapshot is called so.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.text.is_some()
    }

    /// Whether a grant's role is one of them.
    #[must_use]
    pub fn holds(&self, id: &str, key: &str) -> bool {
        match &self.text {
            None => self.ids.contains(id),
            Some(text) => id == text || key == text,
        }
    }
}

/// The permissions of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    all: Vec<Keyed>,
}

/// Which permission is asked for.
#[derive(Debug, Clone)]
pub struct ChosenPermission {
    /// Its key.
    pub key: PermissionKey,
    /// Whether the snapshot has a permission, or a role with a permission, of that id, key or name.
    pub is_known: bool,
}

impl Permissions {
    /// Reads the permissions of a snapshot.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn read(
        archive: &Archive,
        snapshot: &Snapshot,
        progress: &Progress,
    ) -> Result<Self, ScanError> {
        let dataset = Dataset::OrganizationPermissions;
        Ok(Self { all: read_keyed(archive, snapshot, dataset, progress).await? })
    }

    /// PERMISSION: an id, a key, or a name that one permission has. A text that names none is taken for a key:
    /// memberships may carry keys of permissions that the snapshot has not got.
    ///
    /// # Errors
    /// [`ArgumentError::Ambiguous`].
    pub fn choose(&self, text: &str, roles: &Roles) -> Result<ChosenPermission, ArgumentError> {
        let found = self.named(text)?;
        let of_roles = || {
            let mut named = roles.all_permissions().filter(|it| it.id == text || it.key == text);
            named.next().map(|permission| permission.key.clone())
        };
        let known =
            found.first().map(|permission| permission.profile.key.clone()).or_else(of_roles);
        let is_known = known.is_some();
        let key = PermissionKey::new(&known.unwrap_or_else(|| text.to_owned()));
        Ok(ChosenPermission { key, is_known })
    }

    /// The ids of the permissions that a text names.
    ///
    /// # Errors
    /// [`ArgumentError::Ambiguous`].
    pub fn ids_of(&self, text: &str) -> Result<Vec<String>, ArgumentError> {
        Ok(self.named(text)?.into_iter().map(|permission| permission.id.clone()).collect())
    }

    /// The key, of all permissions or those of roles, that a text was probably meant to be.
    #[must_use]
    pub fn nearest<'a>(&'a self, text: &str, roles: &'a Roles) -> Option<&'a str> {
        let own = self.all.iter().map(|permission| permission.profile.key.as_str());
        let of_roles = roles.all_permissions().map(|permission| permission.key.as_str());
        nearest_key(text, own.chain(of_roles))
    }

    fn named(&self, text: &str) -> Result<Vec<&Keyed>, ArgumentError> {
        choose("permission", "key", text, &self.all.iter().collect::<Vec<_>>())
    }
}

/// The key that a text was probably meant to be. All keys begin with `org:`, which says nothing of how near they are,
/// and which people leave out.
fn nearest_key<'a>(text: &str, keys: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |key: &'a str| key.strip_prefix(KEY_PREFIX).unwrap_or(key);
    let keys: Vec<&str> = keys.collect();
    let text = text.strip_prefix(KEY_PREFIX).unwrap_or(text);
    let near = nearest(text, keys.iter().map(|key| bare(key)))?;
    keys.into_iter().find(|key| bare(key) == near)
}

/// How the keys of roles and permissions begin.
const KEY_PREFIX: &str = "org:";

/// Those with the id, else with the key, else with the name, which must then be one.
fn choose<'a>(
    kind: &'static str,
    other: &'static str,
    text: &str,
    all: &[&'a Keyed],
) -> Result<Vec<&'a Keyed>, ArgumentError> {
    let ways: [fn(&Keyed) -> &str; 3] = [|it| &it.id, |it| &it.profile.key, |it| &it.name];
    for (place, way) in ways.into_iter().enumerate() {
        let found: Vec<_> = all.iter().copied().filter(|it| way(it) == text).collect();
        if place == 2 && found.len() > 1 {
            let example = found[0].id.clone();
            return Err(ArgumentError::Ambiguous {
                kind,
                name: text.to_owned(),
                count: found.len(),
                other,
                example,
            });
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

async fn read_keyed(
    archive: &Archive,
    snapshot: &Snapshot,
    dataset: Dataset,
    progress: &Progress,
) -> Result<Vec<Keyed>, ScanError> {
    let read = |lines: &mut Lines| {
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()? {
            let keyed: Option<Keyed> = serde_json::from_slice(line).ok();
            all.push(keyed.ok_or_else(|| lines.not_a_record())?);
        }
        Ok(all)
    };
    let mut all = Vec::new();
    let take = |part: Vec<Keyed>| {
        all.extend(part);
        Ok(())
    };
    archive.scan(snapshot, dataset, progress, read, take).await?;
    all.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(all)
}
