//! Changes the instance while it is being read.

use std::sync::Arc;

use crate::data::Data;
use crate::lists::{ORGANIZATION_MEMBERSHIPS, ORGANIZATION_ROLES, ORGANIZATIONS, USERS};
use crate::rows::Row;
use crate::rows::draw::one_in;

/// Inserts and deletes rows between pages, in the same way for the same seed and sequence of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChurnPlan {
    /// Seed of all random choices.
    pub seed: u64,
    /// Number of pages between changes; at least 1.
    pub every_pages: u64,
    /// Rows inserted into each list.
    pub inserts: usize,
    /// Rows deleted from each list.
    pub deletes: usize,
    /// One insertion in this many gets a random earlier creation time; 0 for none.
    pub backdate_one_in: u32,
    /// The lists that change.
    pub lists: Vec<&'static str>,
    /// No change happens after this many pages.
    pub last_page: u64,
}

impl Default for ChurnPlan {
    fn default() -> Self {
        Self {
            seed: 1,
            every_pages: 1,
            inserts: 1,
            deletes: 1,
            backdate_one_in: 4,
            lists: vec![USERS, ORGANIZATIONS, ORGANIZATION_MEMBERSHIPS],
            last_page: u64::MAX,
        }
    }
}

/// A plan in progress.
#[derive(Debug)]
pub(crate) struct Churn {
    plan: ChurnPlan,
    random: fastrand::Rng,
    pages: u64,
}

impl Churn {
    pub(crate) fn new(plan: ChurnPlan) -> Self {
        Self { random: fastrand::Rng::with_seed(plan.seed), plan, pages: 0 }
    }

    /// Counts a page and applies the changes that follow it.
    pub(crate) fn page_read(&mut self, data: &mut Data) {
        self.pages += 1;
        if self.pages > self.plan.last_page
            || !self.pages.is_multiple_of(self.plan.every_pages.max(1))
        {
            return;
        }
        for list in self.plan.lists.clone() {
            for _ in 0..self.plan.inserts {
                self.insert(data, list);
            }
            for _ in 0..self.plan.deletes {
                if let Some(row) = some_row(&mut self.random, data, list) {
                    data.delete(list, &row.id);
                }
            }
        }
    }

    fn insert(&mut self, data: &mut Data, list: &'static str) {
        let created_at = self.creation_time(data, list);
        match list {
            USERS => {
                data.add_user(created_at);
            }
            ORGANIZATIONS => {
                data.add_organization(created_at);
            }
            ORGANIZATION_MEMBERSHIPS => self.insert_membership(data, created_at),
            other => {
                let (index, _) = crate::data::find_list(other);
                data.add_sample(index, created_at);
            }
        }
    }

    /// Inserts a membership. A user is a member of an organization only once; a few draws find one who is not a member.
    fn insert_membership(&mut self, data: &mut Data, created_at: i64) {
        for _ in 0..10 {
            let organization = some_row(&mut self.random, data, ORGANIZATIONS);
            let user = some_row(&mut self.random, data, USERS);
            let (Some(organization), Some(user)) = (organization, user) else {
                return;
            };
            let member = data.table(ORGANIZATION_MEMBERSHIPS).of_owner(&user.id);
            if member.iter().any(|row| row.organization_id.as_ref() == Some(&organization.id)) {
                continue;
            }
            let role =
                some_row(&mut self.random, data, ORGANIZATION_ROLES).map(|role| role.value());
            let key = role.as_ref().and_then(|role| role["key"].as_str()).unwrap_or("org:member");
            // Both were found just now, under the same lock.
            let _ = data.add_membership(&organization.id, &user.id, key, created_at);
            return;
        }
    }

    fn creation_time(&mut self, data: &Data, list: &str) -> i64 {
        let latest = data.latest();
        let backdated =
            self.plan.backdate_one_in > 0 && one_in(&mut self.random, self.plan.backdate_one_in);
        match data.table(list).rows().first() {
            Some(first) if backdated && first.place.0 < latest => {
                self.random.i64(first.place.0..latest)
            }
            _ => latest + 1,
        }
    }
}

fn some_row(random: &mut fastrand::Rng, data: &Data, list: &str) -> Option<Arc<Row>> {
    let rows = data.table(list).rows();
    (!rows.is_empty()).then(|| Arc::clone(&rows[random.usize(0..rows.len())]))
}
