//! Holds all tables of a sandbox and applies every change to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::time::Instant;

use crate::lists::{
    ALL, List, ORGANIZATION_MEMBERSHIPS, ORGANIZATION_PERMISSIONS, ORGANIZATION_ROLES,
    ORGANIZATIONS, USERS,
};
use crate::rows::draw::{identifier, list_seed, mix};
use crate::rows::{
    Facts, MembershipRecipe, Place, Recipe, RoleOfMembership, Row, Style, Surroundings,
    organization_row, user_row,
};
use crate::table::Table;

/// One change to the data, for tests that need to know which rows did not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When it was made.
    pub at: Instant,
    /// Number of requests that had arrived before it.
    pub requests_before: u64,
    /// The list, named as in its path (`users`).
    pub list: &'static str,
    /// Id of the row.
    pub id: String,
    /// The row's `created_at` (after an update: the new one), in milliseconds since 1970.
    pub created_at: i64,
    /// What was done.
    pub kind: ChangeKind,
}

/// Kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The row was inserted, perhaps with a past `created_at`.
    Inserted,
    /// The row's content changed, and its place if `created_at` changed.
    Updated,
    /// The row was deleted.
    Deleted,
}

/// Why a row was not added or changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowRefused {
    /// The row has no text field `id`.
    #[error("a row of {list} has no `id`")]
    NoId {
        /// The list.
        list: &'static str,
    },
    /// A row with this id exists already.
    #[error("{list} has a row {id} already")]
    Taken {
        /// The list.
        list: &'static str,
        /// The id.
        id: String,
    },
    /// No such row exists.
    #[error("{list} has no row {id}")]
    Unknown {
        /// The list.
        list: &'static str,
        /// The id.
        id: String,
    },
}

#[derive(Debug)]
pub(crate) struct Data {
    tables: Vec<Table>,
    style: Arc<Style>,
    seed: u64,
    /// Rows drawn so far, by list.
    drawn: HashMap<&'static str, u64>,
    next_sequence: u64,
    /// The latest `created_at` of all rows.
    latest: i64,
    /// Grows with every change.
    revision: u64,
    /// Places of deleted rows.
    gone: HashMap<Arc<str>, Place>,
    history: Vec<Change>,
    pub(crate) requests_seen: AtomicU64,
    pub(crate) instance_id: String,
    pub(crate) environment: String,
}

impl Data {
    pub(crate) fn new(seed: u64, style: Arc<Style>) -> Self {
        let mut random = fastrand::Rng::with_seed(list_seed(seed, "instance"));
        Self {
            tables: ALL.iter().map(|_| Table::default()).collect(),
            latest: style.now,
            style,
            seed,
            drawn: HashMap::new(),
            next_sequence: 0,
            revision: 0,
            gone: HashMap::new(),
            history: Vec::new(),
            requests_seen: AtomicU64::new(0),
            instance_id: identifier(&mut random, "ins_"),
            environment: "development".to_owned(),
        }
    }

    pub(crate) fn style(&self) -> &Arc<Style> {
        &self.style
    }

    pub(crate) fn latest(&self) -> i64 {
        self.latest
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn history(&self) -> &[Change] {
        &self.history
    }

    pub(crate) fn forget_history(&mut self) {
        self.history.clear();
    }

    pub(crate) fn place_of_deleted(&self, id: &str) -> Option<Place> {
        self.gone.get(id).copied()
    }

    /// The table of a list.
    ///
    /// # Panics
    /// If there is no such list: a mistake in the calling test must not look like an empty list.
    pub(crate) fn table(&self, list: &str) -> &Table {
        &self.tables[find_list(list).0]
    }

    pub(crate) fn table_at(&self, index: usize) -> &Table {
        &self.tables[index]
    }

    pub(crate) fn next_place(&mut self, created_at: i64) -> Place {
        self.next_sequence += 1;
        (created_at, self.next_sequence)
    }

    pub(crate) fn next_seed(&mut self, list: &str) -> u64 {
        let name = find_list(list).1.name;
        let drawn = self.drawn.entry(name).or_default();
        *drawn += 1;
        mix(list_seed(self.seed, name), *drawn)
    }

    /// Number of members and of pending invitations of an organization.
    pub(crate) fn organization_counts(&self, id: &str) -> (usize, usize) {
        let members = self.table(ORGANIZATION_MEMBERSHIPS).of_organization(id).len();
        let invitations = self.table("organization_invitations").of_organization(id);
        let pending = invitations.iter().filter(|row| row.value()["status"] == "pending").count();
        (members, pending)
    }

    /// The row as Clerk returns it with all optional fields.
    pub(crate) fn full_value(&self, list: &str, row: &Row) -> Value {
        let mut value = row.value();
        if list == ORGANIZATIONS {
            let (members, pending) = self.organization_counts(&row.id);
            value["members_count"] = members.into();
            value["pending_invitations_count"] = pending.into();
        }
        value
    }

    /// What a membership states about the role with this key.
    pub(crate) fn role_of_membership(&self, key: &str) -> Arc<RoleOfMembership> {
        let role = self
            .table(ORGANIZATION_ROLES)
            .rows()
            .iter()
            .map(|row| row.value())
            .find(|role| role["key"] == key);
        let permissions = role.as_ref().and_then(|role| role["permissions"].as_array());
        Arc::new(RoleOfMembership {
            key: key.to_owned(),
            name: role.as_ref().and_then(|role| role["name"].as_str()).map(str::to_owned),
            permissions: permissions
                .into_iter()
                .flatten()
                .filter_map(|permission| permission["key"].as_str().map(str::to_owned))
                .collect(),
        })
    }

    /// Inserts a finished row at its place. False if its id is taken.
    pub(crate) fn put(&mut self, list: &str, row: Row) -> bool {
        let (index, list) = find_list(list);
        let (id, created_at) = (row.id.to_string(), row.place.0);
        let inserted = self.tables[index].insert(row);
        if inserted {
            self.gone.remove(id.as_str());
            self.latest = self.latest.max(created_at);
            self.record(list.name, id, created_at, ChangeKind::Inserted);
        }
        inserted
    }

    /// Inserts a finished row, given as JSON with an `id`. False if its id is taken.
    pub(crate) fn put_value(&mut self, list: &str, row: &Value, created_at: i64) -> bool {
        let place = self.next_place(created_at);
        let id = row["id"].as_str().unwrap_or_default();
        self.put(list, Row::written(id.into(), place, row))
    }

    /// Adds a row given by a caller, at its `created_at`, or at the latest time if it has none.
    pub(crate) fn insert(&mut self, list: &str, row: Value) -> Result<(), RowRefused> {
        let name = find_list(list).1.name;
        let row = without_counts(name, row);
        let id = row["id"].as_str().ok_or(RowRefused::NoId { list: name })?.to_owned();
        let created_at = row["created_at"].as_i64().unwrap_or(self.latest);
        if self.put_value(name, &row, created_at) {
            Ok(())
        } else {
            Err(RowRefused::Taken { list: name, id })
        }
    }

    /// Changes a row. A changed `created_at` moves it; its `id` stays.
    pub(crate) fn update(
        &mut self,
        list: &str,
        id: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<(), RowRefused> {
        let (index, list) = find_list(list);
        let unknown = || RowRefused::Unknown { list: list.name, id: id.to_owned() };
        let old = Arc::clone(self.tables[index].get(id).ok_or_else(unknown)?);
        let mut value = old.value();
        change(&mut value);
        value["id"] = id.into();
        let value = without_counts(list.name, value);
        let created_at = value["created_at"].as_i64().unwrap_or(old.place.0);
        let place = if created_at == old.place.0 { old.place } else { self.next_place(created_at) };
        self.tables[index].remove(id);
        self.tables[index].insert(Row::written(Arc::clone(&old.id), place, &value));
        self.latest = self.latest.max(created_at);
        self.record(list.name, id.to_owned(), created_at, ChangeKind::Updated);
        Ok(())
    }

    /// Deletes a row and everything that belongs to it. False if there is no such row.
    pub(crate) fn delete(&mut self, list: &str, id: &str) -> bool {
        let (index, list) = find_list(list);
        let Some(row) = self.tables[index].remove(id) else {
            return false;
        };
        self.gone.insert(Arc::clone(&row.id), row.place);
        self.record(list.name, id.to_owned(), row.place.0, ChangeKind::Deleted);
        for (belonging, ids) in self.belonging_to(list.name, id) {
            for id in ids {
                self.delete(belonging, &id);
            }
        }
        if list.name == ORGANIZATION_PERMISSIONS {
            self.take_from(ORGANIZATION_ROLES, "permissions", id);
        }
        if list.name == "machines" {
            self.take_from("machines", "scoped_machines", id);
        }
        true
    }

    /// Adds a synthetic user.
    pub(crate) fn add_user(&mut self, created_at: i64) -> String {
        let (seed, place) = (self.next_seed(USERS), self.next_place(created_at));
        let row = user_row(seed, place, &self.style);
        let id = row.id.to_string();
        self.put(USERS, row);
        id
    }

    /// Adds a synthetic organization.
    pub(crate) fn add_organization(&mut self, created_at: i64) -> String {
        let (seed, place) = (self.next_seed(ORGANIZATIONS), self.next_place(created_at));
        let row = organization_row(seed, place, &self.style);
        let id = row.id.to_string();
        self.put(ORGANIZATIONS, row);
        id
    }

    /// Adds a user's membership of an organization.
    pub(crate) fn add_membership(
        &mut self,
        organization_id: &str,
        user_id: &str,
        role_key: &str,
        created_at: i64,
    ) -> Result<String, RowRefused> {
        let find = |list: &'static str, id: &str| {
            let unknown = || RowRefused::Unknown { list, id: id.to_owned() };
            self.table(list).get(id).map(Arc::clone).ok_or_else(unknown)
        };
        let (organization, user) = (find(ORGANIZATIONS, organization_id)?, find(USERS, user_id)?);
        let role = self.role_of_membership(role_key);
        let seed = self.next_seed(ORGANIZATION_MEMBERSHIPS);
        let recipe = MembershipRecipe { seed, organization, user, role };
        let id = recipe.id();
        let place = self.next_place(created_at);
        let recipe = Recipe::Membership(Box::new(recipe));
        self.put(
            ORGANIZATION_MEMBERSHIPS,
            Row::synthetic(id.as_str().into(), place, Facts::default(), recipe),
        );
        Ok(id)
    }

    /// Adds a row to one of the smaller lists; `None` for a list that is not made of samples.
    pub(crate) fn add_sample(&mut self, index: usize, created_at: i64) -> Option<String> {
        let list = &ALL[index];
        let sample = list.sample?;
        let mut random = fastrand::Rng::with_seed(self.next_seed(list.name));
        let some = |table: &Table, random: &mut fastrand::Rng| {
            let rows = table.rows();
            (!rows.is_empty()).then(|| Arc::clone(&rows[random.usize(0..rows.len())]))
        };
        let mut user_id = || {
            let user = some(self.table(USERS), &mut random);
            user.map_or_else(|| identifier(&mut random, "user_"), |row| row.id.to_string())
        };
        let user_id = user_id();
        let organization = match some(self.table(ORGANIZATIONS), &mut random) {
            Some(row) => row.value(),
            None => serde_json::json!({
                "id": identifier(&mut random, "org_"), "name": "Gone", "slug": "gone",
                "image_url": "", "has_image": false,
            }),
        };
        let machine = some(self.table("machines"), &mut random);
        let machine_id =
            machine.map_or_else(|| identifier(&mut random, "mch_"), |row| row.id.to_string());
        let related = match list.name {
            "machines" => Some("machines"),
            "billing_subscription_items" => Some("billing_plans"),
            _ => None,
        };
        let related = related.map(|list| self.table(list).rows()).unwrap_or_default();
        let related = match related.len() {
            0 => Vec::new(),
            rows => {
                let mut chosen = vec![random.usize(0..rows), random.usize(0..rows)];
                chosen.dedup();
                chosen.into_iter().map(|row| related[row].value()).collect()
            }
        };
        let row = sample(&mut Surroundings {
            random: &mut random,
            number: self.tables[index].rows().len(),
            created_at,
            instance_id: &self.instance_id,
            user_id,
            organization,
            machine_id,
            related,
            roles: self.table(ORGANIZATION_ROLES).rows().iter().map(|row| row.value()).collect(),
        });
        let id = row["id"].as_str().map(str::to_owned);
        self.put_value(list.name, &row, created_at);
        id
    }

    /// The rows that are deleted along with a user, an organization or a machine.
    fn belonging_to(&self, list: &str, id: &str) -> Vec<(&'static str, Vec<String>)> {
        ALL.iter()
            .zip(&self.tables)
            .map(|(other, table)| {
                let (owned, within): (&[Arc<Row>], &[Arc<Row>]) = match list {
                    USERS | "machines" => (table.of_owner(id), &[]),
                    ORGANIZATIONS => (table.of_owner(id), table.of_organization(id)),
                    _ => (&[], &[]),
                };
                let rows = owned.iter().chain(within);
                (other.name, rows.map(|row| row.id.to_string()).collect())
            })
            .filter(|(_, ids): &(_, Vec<String>)| !ids.is_empty())
            .collect()
    }

    /// Removes a deleted row from a field of the rows of a list.
    fn take_from(&mut self, list: &str, field: &str, gone: &str) {
        let holders: Vec<Arc<Row>> = self
            .table(list)
            .rows()
            .iter()
            .filter(|row| row.text().contains(gone))
            .map(Arc::clone)
            .collect();
        for holder in holders {
            // It was found just now, under the same lock.
            let _ = self.update(list, &holder.id, |value| {
                if let Some(held) = value[field].as_array_mut() {
                    held.retain(|it| it["id"] != gone);
                }
            });
        }
    }

    fn record(&mut self, list: &'static str, id: String, created_at: i64, kind: ChangeKind) {
        self.revision += 1;
        let (at, requests_before) = (Instant::now(), self.requests_seen.load(Ordering::Relaxed));
        self.history.push(Change { at, requests_before, list, id, created_at, kind });
    }
}

/// Finds a list by name.
///
/// # Panics
/// If there is none: a mistake in the calling test must not look like an empty list.
pub(crate) fn find_list(name: &str) -> (usize, &'static List) {
    match List::named(name) {
        Some(found) => found,
        None => panic!("the sandbox has no list named {name:?}"),
    }
}

/// Removes an organization's counts: they are computed when it is read, never stored.
fn without_counts(list: &str, mut row: Value) -> Value {
    if list == ORGANIZATIONS
        && let Some(fields) = row.as_object_mut()
    {
        fields.shift_remove("members_count");
        fields.shift_remove("pending_invitations_count");
    }
    row
}
