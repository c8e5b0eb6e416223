//! The table of lists: path, order, paging, datasets and translation of each. A further list is a
//! further entry here, its wire type and its translation.

use crate::clerk::wire;
use crate::resource::{Dataset, Resource};

use super::page::{PageContext, PageError, ReadPage, read_page};

/// One list of Clerk's Backend API.
#[derive(Debug)]
pub struct Endpoint {
    /// The resource that opts the list in, and names it in the checkpoint.
    pub resource: Resource,
    /// Below `/v1`.
    pub path: &'static str,
    /// Sent with every page, beside `limit`, `offset` and the like.
    pub query: &'static [(&'static str, &'static str)],
    /// When it is read.
    pub phase: Phase,
    /// How its pages are found.
    pub paging: Paging,
    /// How it can be read in parts, where it can.
    pub by_owner: Option<ByOwner>,
    /// What its rows become, in order of their sections.
    pub feeds: &'static [Feed],
    /// Reads one page's body.
    pub read: fn(&[u8], &PageContext) -> Result<ReadPage, PageError>,
}

/// When a list is read: what others refer to comes first. Lists of one phase are read side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// What roles refer to.
    Permissions,
    /// What translates memberships and organizations.
    Roles,
    /// What memberships refer to.
    Holders,
    /// What refers to holders.
    Memberships,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 4] = [Self::Permissions, Self::Roles, Self::Holders, Self::Memberships];
}

/// How the pages of a list are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// By the id of the last row seen; the count comes from a request of its own.
    Cursor {
        /// Path of the count.
        count_path: &'static str,
    },
    /// By offset, each page overlapping the one before by a row.
    Offset,
}

/// Every row of a list belongs to a row of another, under which it is listed as well.
#[derive(Debug, Clone, Copy)]
pub struct ByOwner {
    /// The list of owners.
    pub owners: Resource,
    /// The path of one owner's part, by the owner's id.
    pub path: fn(&str) -> String,
}

/// A dataset that a list's rows become lines of.
#[derive(Debug, Clone, Copy)]
pub struct Feed {
    /// The dataset.
    pub dataset: Dataset,
    /// Where these lines stand among those of other lists: lower sections come first.
    pub section: u16,
    /// Another list that some of these lines cannot be made without.
    pub needs: Option<Resource>,
}

/// Most datasets that one list feeds.
pub const MOST_FEEDS: usize = 2;

/// Ascending: a row that is created during the walk comes at the end and moves no other
/// (`+created_at` would decode to a space).
const ASCENDING: (&str, &str) = ("order_by", "created_at");

/// Every list, in the order they are read: what others refer to comes first.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        resource: Resource::OrganizationPermissions,
        path: "/organization_permissions",
        query: &[ASCENDING],
        phase: Phase::Permissions,
        paging: Paging::Offset,
        by_owner: None,
        feeds: &[
            Feed { dataset: Dataset::OrganizationPermissions, section: 0, needs: None },
            Feed { dataset: Dataset::Entitlements, section: 0, needs: None },
        ],
        read: |body, context| read_page::<wire::OrganizationPermission<'_>>(body, context),
    },
    Endpoint {
        resource: Resource::OrganizationRoles,
        path: "/organization_roles",
        query: &[ASCENDING],
        phase: Phase::Roles,
        paging: Paging::Offset,
        by_owner: None,
        feeds: &[
            Feed { dataset: Dataset::OrganizationRoles, section: 0, needs: None },
            Feed { dataset: Dataset::Grants, section: 0, needs: None },
        ],
        read: |body, context| read_page::<wire::OrganizationRole<'_>>(body, context),
    },
    Endpoint {
        resource: Resource::Users,
        path: "/users",
        query: &[ASCENDING],
        phase: Phase::Holders,
        paging: Paging::Cursor { count_path: "/users/count" },
        by_owner: None,
        feeds: &[Feed { dataset: Dataset::Users, section: 0, needs: None }],
        read: |body, context| read_page::<wire::User<'_>>(body, context),
    },
    Endpoint {
        resource: Resource::Organizations,
        path: "/organizations",
        query: &[ASCENDING, ("include_members_count", "true")],
        phase: Phase::Holders,
        paging: Paging::Offset,
        by_owner: None,
        feeds: &[
            Feed { dataset: Dataset::Organizations, section: 0, needs: None },
            Feed {
                dataset: Dataset::Entitlements,
                section: 1,
                needs: Some(Resource::OrganizationRoles),
            },
        ],
        read: |body, context| read_page::<wire::Organization<'_>>(body, context),
    },
    Endpoint {
        resource: Resource::OrganizationMemberships,
        path: "/organization_memberships",
        query: &[ASCENDING],
        phase: Phase::Memberships,
        paging: Paging::Offset,
        by_owner: Some(ByOwner {
            owners: Resource::Organizations,
            path: |organization| format!("/organizations/{organization}/memberships"),
        }),
        feeds: &[Feed {
            dataset: Dataset::Grants,
            section: 1,
            needs: Some(Resource::OrganizationRoles),
        }],
        read: |body, context| read_page::<wire::OrganizationMembership<'_>>(body, context),
    },
];

/// The entry of a resource.
#[must_use]
#[expect(clippy::expect_used, reason = "a test below holds the table to every resource")]
pub fn endpoint(resource: Resource) -> &'static Endpoint {
    ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.resource == resource)
        .expect("every resource has an entry")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_one_entry() {
        for &resource in Resource::ALL {
            let entries = ENDPOINTS.iter().filter(|endpoint| endpoint.resource == resource);
            assert_eq!(entries.count(), 1, "{resource:?}");
        }
    }

    #[test]
    fn no_list_feeds_more_than_rows_can_count() {
        assert!(ENDPOINTS.iter().all(|endpoint| endpoint.feeds.len() <= MOST_FEEDS));
    }
}
