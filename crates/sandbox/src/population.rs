//! Generates the synthetic rows of a sandbox.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::data::Data;
use crate::lists::{
    ALL, ORGANIZATION_MEMBERSHIPS, ORGANIZATION_PERMISSIONS, ORGANIZATION_ROLES, ORGANIZATIONS,
    USERS,
};
use crate::rows::draw::{DAY_MS, list_seed, mix};
use crate::rows::{
    Facts, MembershipRecipe, Recipe, RoleOfMembership, Row, Style, organization_row, permission,
    role, user_row,
};

/// The synthetic content of a sandbox. The same population gives the same bytes on every machine.
///
/// Users and organizations are created over the three years before `now`: slowly at first, then in one import that
/// gives many of them almost the same `created_at`, then evenly. Throughout, a few rows share a millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population {
    /// Seed of all random choices.
    pub seed: u64,
    /// Rows of `/users`, about 3 KB each.
    pub users: usize,
    /// Rows of `/organizations`. One in seven has no member.
    pub organizations: usize,
    /// Rows of `/organization_memberships`; fewer if there are not enough users and organizations. One user in five is
    /// a member of no organization, and the first organizations are much larger than the last.
    pub memberships: usize,
    /// Rows of `/organization_roles`: `org:admin`, `org:member`, then custom ones.
    pub roles: usize,
    /// Rows of `/organization_permissions`: Clerk's eight `org:sys_…`, then custom ones.
    pub permissions: usize,
    /// Rows of each of the smaller lists.
    pub other_rows: usize,
    /// The latest `created_at`, in milliseconds since 1970.
    pub now: i64,
    /// Number of users that share the `created_at` at the start of the import.
    pub largest_tie: usize,
    /// Memberships whose role is `admin` or `basic_member`, keys that no role has.
    pub legacy_memberships: usize,
    /// Memberships whose role is a custom key that no role has.
    pub unknown_role_memberships: usize,
    /// Whether users have verification statuses, strategies and providers that no schema lists.
    pub unknown_values: bool,
    /// Whether phone numbers have `backup_codes`.
    pub backup_codes: bool,
    /// Bytes added to every user's `public_metadata`.
    pub metadata_bytes: usize,
}

impl Default for Population {
    fn default() -> Self {
        Self {
            seed: 1,
            users: 100,
            organizations: 10,
            memberships: 200,
            roles: 4,
            permissions: 12,
            other_rows: 3,
            // 2026-11-01T00:00:00Z, fixed so that a seed gives the same rows on any day.
            now: 1_793_491_200_000,
            largest_tie: 4,
            legacy_memberships: 0,
            unknown_role_memberships: 0,
            unknown_values: false,
            backup_codes: false,
            metadata_bytes: 0,
        }
    }
}

impl Population {
    /// What `clerk-sandbox` serves unless it is told otherwise, and so what the demonstrations copy: 3,000 users, 200
    /// organizations and 6,000 memberships. The examples in the documentation and in `events/` name rows of it.
    #[must_use]
    pub fn demo() -> Self {
        Self::default().users(3000).organizations(200).memberships(6000)
    }

    /// No rows at all.
    pub fn none() -> Self {
        Self {
            users: 0,
            organizations: 0,
            memberships: 0,
            roles: 0,
            permissions: 0,
            other_rows: 0,
            ..Self::default()
        }
    }

    /// Sets [`Population::seed`].
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets [`Population::users`].
    #[must_use]
    pub fn users(self, users: usize) -> Self {
        Self { users, ..self }
    }

    /// Sets [`Population::organizations`].
    #[must_use]
    pub fn organizations(self, organizations: usize) -> Self {
        Self { organizations, ..self }
    }

    /// Sets [`Population::memberships`].
    #[must_use]
    pub fn memberships(self, memberships: usize) -> Self {
        Self { memberships, ..self }
    }

    /// Sets [`Population::roles`].
    #[must_use]
    pub fn roles(self, roles: usize) -> Self {
        Self { roles, ..self }
    }

    /// Sets [`Population::permissions`].
    #[must_use]
    pub fn permissions(self, permissions: usize) -> Self {
        Self { permissions, ..self }
    }

    /// Sets [`Population::other_rows`].
    #[must_use]
    pub fn other_rows(self, other_rows: usize) -> Self {
        Self { other_rows, ..self }
    }

    /// Sets [`Population::now`], in milliseconds since 1970.
    #[must_use]
    pub fn now(self, now: i64) -> Self {
        Self { now, ..self }
    }

    /// Sets [`Population::largest_tie`].
    #[must_use]
    pub fn largest_tie(self, largest_tie: usize) -> Self {
        Self { largest_tie, ..self }
    }

    /// Sets [`Population::legacy_memberships`].
    #[must_use]
    pub fn legacy_memberships(self, legacy_memberships: usize) -> Self {
        Self { legacy_memberships, ..self }
    }

    /// Sets [`Population::unknown_role_memberships`].
    #[must_use]
    pub fn unknown_role_memberships(self, unknown_role_memberships: usize) -> Self {
        Self { unknown_role_memberships, ..self }
    }

    /// Sets [`Population::unknown_values`].
    #[must_use]
    pub fn unknown_values(self, unknown_values: bool) -> Self {
        Self { unknown_values, ..self }
    }

    /// Sets [`Population::backup_codes`].
    #[must_use]
    pub fn backup_codes(self, backup_codes: bool) -> Self {
        Self { backup_codes, ..self }
    }

    /// Sets [`Population::metadata_bytes`].
    #[must_use]
    pub fn metadata_bytes(self, metadata_bytes: usize) -> Self {
        Self { metadata_bytes, ..self }
    }

    /// Generates the rows.
    pub(crate) fn build(&self) -> Data {
        let style = Arc::new(Style {
            now: self.now,
            unknown_values: self.unknown_values,
            backup_codes: self.backup_codes,
            metadata_bytes: self.metadata_bytes,
        });
        let mut data = Data::new(self.seed, style);
        self.add_permissions(&mut data);
        self.add_roles(&mut data);
        self.add_organizations(&mut data);
        self.add_users(&mut data);
        self.add_memberships(&mut data);
        for (index, list) in ALL.iter().enumerate() {
            if list.sample.is_some() {
                for number in 0..self.other_rows {
                    data.add_sample(index, self.time_of(number, self.other_rows));
                }
            }
        }
        // Initial rows are not changes.
        data.forget_history();
        data
    }

    fn add_permissions(&self, data: &mut Data) {
        for number in 0..self.permissions {
            let created_at = self.time_of(number, self.permissions);
            let row = permission(data.next_seed(ORGANIZATION_PERMISSIONS), number, created_at);
            data.put_value(ORGANIZATION_PERMISSIONS, &row, created_at);
        }
    }

    fn add_roles(&self, data: &mut Data) {
        let permissions: Vec<Value> =
            data.table(ORGANIZATION_PERMISSIONS).rows().iter().map(|row| row.value()).collect();
        for number in 0..self.roles {
            let created_at = self.time_of(number, self.roles);
            let seed = data.next_seed(ORGANIZATION_ROLES);
            let system = |permission: &&Value| permission["type"] == "system";
            let (key, name, granted): (_, _, Vec<Value>) = match number {
                0 => (
                    "org:admin".into(),
                    "Admin".into(),
                    permissions.iter().filter(system).cloned().collect(),
                ),
                1 => {
                    let reading = |row: &&Value| {
                        row["key"].as_str().is_some_and(|key| key.ends_with(":read"))
                    };
                    let granted =
                        permissions.iter().filter(system).filter(reading).cloned().collect();
                    ("org:member".into(), "Member".into(), granted)
                }
                _ => {
                    let chosen = |(index, row): (usize, &Value)| {
                        mix(seed, index as u64).is_multiple_of(3).then(|| row.clone())
                    };
                    let granted = permissions.iter().enumerate().filter_map(chosen).collect();
                    (format!("org:custom_{number}"), format!("Custom role {number}"), granted)
                }
            };
            data.put_value(
                ORGANIZATION_ROLES,
                &role(seed, &key, &name, &granted, created_at),
                created_at,
            );
        }
    }

    fn add_organizations(&self, data: &mut Data) {
        for number in 0..self.organizations {
            let seed = data.next_seed(ORGANIZATIONS);
            let place = data.next_place(self.time_of(number, self.organizations));
            let style = Arc::clone(data.style());
            data.put(ORGANIZATIONS, organization_row(seed, place, &style));
        }
    }

    fn add_users(&self, data: &mut Data) {
        for number in 0..self.users {
            let seed = data.next_seed(USERS);
            let place = data.next_place(self.time_of(number, self.users));
            let style = Arc::clone(data.style());
            data.put(USERS, user_row(seed, place, &style));
        }
    }

    fn add_memberships(&self, data: &mut Data) {
        let mut random = fastrand::Rng::with_seed(list_seed(self.seed, "who belongs where"));
        let organizations: Vec<Arc<Row>> = data.table(ORGANIZATIONS).rows().to_vec();
        let users: Vec<Arc<Row>> = data
            .table(USERS)
            .rows()
            .iter()
            .enumerate()
            .filter(|(at, _)| at % 5 != 4)
            .map(|(_, row)| Arc::clone(row))
            .collect();
        // A single organization gets all members; otherwise one organization in seven stays empty.
        let open: Vec<usize> =
            (0..organizations.len()).filter(|at| organizations.len() == 1 || at % 7 != 3).collect();
        if open.is_empty() || users.is_empty() {
            return;
        }
        let offsets: Vec<usize> = open.iter().map(|_| random.usize(0..users.len())).collect();
        let mut members = vec![0usize; open.len()];
        let wanted = self.memberships.min(open.len() * users.len());
        let mut drafts = Vec::with_capacity(wanted);
        for number in 0..wanted {
            // Squaring a uniform random number makes the first organizations the largest.
            let draw = random.f64();
            let mut at = ((draw * draw) * open.len() as f64) as usize % open.len();
            while members[at] == users.len() {
                at = (at + 1) % open.len();
            }
            let user = &users[(offsets[at] + members[at]) % users.len()];
            members[at] += 1;
            let organization = &organizations[open[at]];
            // A membership cannot be older than its user or organization.
            let created_at = self
                .time_of(number, wanted)
                .max(user.place.0)
                .max(organization.place.0)
                .min(self.now);
            drafts.push((created_at, Arc::clone(organization), Arc::clone(user)));
        }
        drafts.sort_by_key(|(created_at, ..)| *created_at);

        let roles = RolesOfMemberships::of(self, data);
        for (number, (created_at, organization, user)) in drafts.into_iter().enumerate() {
            let seed = data.next_seed(ORGANIZATION_MEMBERSHIPS);
            let role = roles.draw(number, seed);
            let recipe = MembershipRecipe { seed, organization, user, role };
            let row = Row::synthetic(
                recipe.id().into(),
                data.next_place(created_at),
                Facts::default(),
                Recipe::Membership(Box::new(recipe)),
            );
            data.put(ORGANIZATION_MEMBERSHIPS, row);
        }
    }

    /// Creation time of row `number` out of `count`: never decreasing, ending at `now`.
    fn time_of(&self, number: usize, count: usize) -> i64 {
        const SPAN_MS: f64 = 3.0 * 365.0 * DAY_MS as f64;
        if number + 1 >= count {
            return self.now;
        }
        let import = count * 2 / 5;
        let number = if (import..import + self.largest_tie.min(count / 2)).contains(&number) {
            import
        } else if mix(self.seed, number as u64 / 4).is_multiple_of(8) {
            // In one block of four rows in eight, all rows share a millisecond.
            number - number % 4
        } else {
            number
        };
        let share = number as f64 / count as f64;
        let elapsed = match share {
            share if share < 0.4 => share / 0.4 * 0.5,
            // The import: a tenth of all rows within about a quarter of an hour.
            share if share < 0.5 => 0.5 + (share - 0.4) * 1e-4,
            share => 0.501 + (share - 0.5) / 0.5 * 0.499,
        };
        self.now - SPAN_MS as i64 + (elapsed * SPAN_MS) as i64
    }
}

/// The roles given to memberships.
struct RolesOfMemberships {
    known: Vec<Arc<RoleOfMembership>>,
    legacy: [Arc<RoleOfMembership>; 2],
    unknown: Arc<RoleOfMembership>,
    legacy_count: usize,
    unknown_count: usize,
}

impl RolesOfMemberships {
    fn of(population: &Population, data: &Data) -> Self {
        let keys: HashSet<String> = data
            .table(ORGANIZATION_ROLES)
            .rows()
            .iter()
            .filter_map(|row| row.value()["key"].as_str().map(str::to_owned))
            .collect();
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort();
        Self {
            known: keys.iter().map(|key| data.role_of_membership(key)).collect(),
            legacy: ["admin", "basic_member"].map(|key| data.role_of_membership(key)),
            unknown: data.role_of_membership("org:retired_role"),
            legacy_count: population.legacy_memberships,
            unknown_count: population.unknown_role_memberships,
        }
    }

    fn draw(&self, number: usize, seed: u64) -> Arc<RoleOfMembership> {
        if number < self.legacy_count {
            return Arc::clone(&self.legacy[number % 2]);
        }
        if number < self.legacy_count + self.unknown_count || self.known.is_empty() {
            return Arc::clone(&self.unknown);
        }
        let named = |key: &str| self.known.iter().find(|role| role.key == key);
        let chosen = match seed % 10 {
            0 => named("org:admin"),
            1 | 2 => self.known.get((seed / 10) as usize % self.known.len()),
            _ => named("org:member"),
        };
        Arc::clone(chosen.unwrap_or(&self.known[0]))
    }
}
