//! The table of lists: path, order, paging, datasets and translation of each. A further list is a
//! further entry here and its translation: `docs/adding-a-list.md`.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clerk::wire;
use crate::resource::{Dataset, Resource};
use crate::snapshot::translate::plain;

use super::naming::Naming;
use super::page::{PageContext, PageError, ReadPage, RowReader, read_page, read_row, read_rows};
use super::walk::PAGE_ROWS;

/// One list of Clerk's Backend API.
#[derive(Debug)]
pub struct Endpoint {
    /// The resource that opts the list in.
    pub resource: Resource,
    /// Which of the resource's lists it is; most have one, which is the first.
    pub part: u8,
    /// Below `/v1`.
    pub path: &'static str,
    /// Sent with every page, beside `limit`, `offset` and the like.
    pub query: &'static [(&'static str, &'static str)],
    /// Rows of a page: the most that Clerk allows. Asked for more it may silently give ten.
    pub page_rows: u64,
    /// When it is read.
    pub phase: Phase,
    /// How its pages are found.
    pub paging: Paging,
    /// How it can be read in parts, where it can.
    pub by_owner: Option<ByOwner>,
    /// What its rows become, in order of their sections.
    pub feeds: &'static [Feed],
    /// How one of its rows is asked for by itself, where Clerk allows it. Several that take the same
    /// fields are tried in turn.
    pub named_by: &'static [Naming],
    /// Where the memberships of one of its rows are listed, by the row's id: their grants are the
    /// row's.
    pub memberships: Option<fn(&str) -> String>,
    /// How its rows are read.
    pub rows: Rows,
}

/// How the rows of a page are read.
#[derive(Debug, Clone, Copy)]
pub enum Rows {
    /// All of a page by code of their own, which is fast: for the lists that are long.
    Whole(fn(&[u8], &PageContext) -> Result<ReadPage, PageError>),
    /// One by one, by code that is shared: for all others.
    Single(RowReader),
}

impl Endpoint {
    /// Reads one page's body.
    ///
    /// # Errors
    /// [`PageError`], naming the field and never its value.
    pub fn read(&self, body: &[u8], context: &PageContext) -> Result<ReadPage, PageError> {
        match self.rows {
            Rows::Whole(read) => read(body, context),
            Rows::Single(row) => read_rows(body, context, row),
        }
    }

    /// Whether it is read, and not made of what another list has brought.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.phase != Phase::Derived
    }

    /// Whether a row has grants beside its own record.
    #[must_use]
    pub fn has_grants(&self) -> bool {
        let further = self.feeds.iter().skip(1);
        self.memberships.is_some() || further.into_iter().any(|it| it.dataset == Dataset::Grants)
    }

    /// Whether this list as a whole says how many rows it has.
    #[must_use]
    pub const fn is_counted_as_a_whole(&self) -> bool {
        matches!(self.by_owner, None | Some(ByOwner { whole: WholeList::Complete, .. }))
    }

    /// How the checkpoint calls it.
    #[must_use]
    pub const fn name(&self) -> ListName {
        ListName { resource: self.resource, part: self.part }
    }
}

/// Names a list: by its resource, and by a number where the resource is read from several, such as
/// `invitations.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListName {
    resource: Resource,
    part: u8,
}

impl ListName {
    /// One of several lists of a resource.
    #[must_use]
    pub const fn of(resource: Resource, part: u8) -> Self {
        Self { resource, part }
    }
}

impl From<Resource> for ListName {
    /// The first list of a resource, and mostly the only one.
    fn from(resource: Resource) -> Self {
        Self { resource, part: 0 }
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            0 => self.resource.fmt(formatter),
            part => write!(formatter, "{}.{part}", self.resource),
        }
    }
}

impl From<ListName> for String {
    fn from(name: ListName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for ListName {
    type Error = NoSuchList;

    fn try_from(name: String) -> Result<Self, NoSuchList> {
        let mut names = ENDPOINTS.iter().map(Endpoint::name);
        names.find(|it| it.to_string() == name).ok_or(NoSuchList)
    }
}

/// A name that no list has.
#[derive(Debug, thiserror::Error)]
#[error("there is no list of that name")]
pub struct NoSuchList;

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
    /// What nothing refers to, and is not needed for anything else.
    Others,
    /// What rows of others may have become meanwhile.
    Last,
    /// What is made of other lists when they are done: nothing is read for it.
    Derived,
}

impl Phase {
    /// Every phase in which lists are read, in order.
    pub const ALL: [Self; 6] = [
        Self::Permissions,
        Self::Roles,
        Self::Holders,
        Self::Memberships,
        Self::Others,
        Self::Last,
    ];
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
    Offset(Order),
    /// Not at all: one answer has all rows.
    Whole,
}

/// In which order a list that is read by offset has its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first: what is created comes at the end.
    Creation,
    /// Newest first, or whatever the server likes: where a page stands is told by known rows alone.
    Any,
}

/// Every row of a list belongs to a row of another, under which it is listed as well.
#[derive(Debug, Clone, Copy)]
pub struct ByOwner {
    /// The list of owners.
    pub owners: Resource,
    /// Whether only owners that were active lately are asked for theirs (`SESSIONS_LOOKBACK_DAYS`).
    pub active_only: bool,
    /// How one owner's part is asked for.
    pub part: PartOfOwner,
    /// What there is beside the parts.
    pub whole: WholeList,
}

/// How the part of a list is asked for that belongs to one owner.
#[derive(Debug, Clone, Copy)]
pub enum PartOfOwner {
    /// By a path of its own, made from the owner's id.
    Path(fn(&str) -> String),
    /// By this parameter, which takes the owner's id.
    Filter(&'static str),
}

/// What a list that is also listed by owner is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeList {
    /// Complete, and read rather than the parts.
    Complete,
    /// Tried, but it may be refused or answer in part.
    Doubtful,
    /// Not listed at all.
    Missing,
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

impl Feed {
    /// The lines of one list alone, of which each can be made by itself.
    #[must_use]
    pub const fn of(dataset: Dataset) -> Self {
        Self { dataset, section: 0, needs: None }
    }
}

/// Most datasets that one list feeds.
pub const MOST_FEEDS: usize = 2;

/// Ascending: a row that is created during the walk comes at the end and moves no other
/// (`+created_at` would decode to a space).
const ASCENDING: (&str, &str) = ("order_by", "created_at");

/// Without it organizations do not tell how many members they have.
const COUNTED: &[(&str, &str)] = &[("include_members_count", "true")];

fn memberships_of_organization(organization: &str) -> String {
    format!("/organizations/{organization}/memberships")
}

/// Every list. Where a dataset has rows of several, the count of the last that was read stands for
/// it.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        resource: Resource::OrganizationPermissions,
        part: 0,
        path: "/organization_permissions",
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Permissions,
        paging: Paging::Offset(Order::Creation),
        by_owner: None,
        feeds: &[Feed::of(Dataset::OrganizationPermissions), Feed::of(Dataset::Entitlements)],
        named_by: &[Naming::path("/organization_permissions/{id}")],
        memberships: None,
        rows: Rows::Single(|row| read_row::<wire::OrganizationPermission<'_>>(row)),
    },
    Endpoint {
        resource: Resource::OrganizationRoles,
        part: 0,
        path: "/organization_roles",
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Roles,
        paging: Paging::Offset(Order::Creation),
        by_owner: None,
        feeds: &[Feed::of(Dataset::OrganizationRoles), Feed::of(Dataset::Grants)],
        named_by: &[Naming::path("/organization_roles/{id}")],
        memberships: None,
        rows: Rows::Single(|row| read_row::<wire::OrganizationRole<'_>>(row)),
    },
    Endpoint {
        feeds: &[
            Feed::of(Dataset::Machines),
            Feed { section: 2, ..Feed::of(Dataset::Entitlements) },
        ],
        named_by: &[Naming::path("/machines/{id}")],
        ..listed(
            Resource::Machines,
            "/machines",
            &[],
            Rows::Single(|row| read_row::<plain::Machine<'_>>(row)),
        )
    },
    // Once more, for the machines that each may call.
    Endpoint {
        part: 1,
        phase: Phase::Last,
        ..listed(
            Resource::Machines,
            "/machines",
            &[Feed { section: 2, ..Feed::of(Dataset::Grants) }],
            Rows::Single(|row| read_row::<plain::Scopes<'_>>(row)),
        )
    },
    Endpoint {
        resource: Resource::Users,
        part: 0,
        path: "/users",
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Holders,
        paging: Paging::Cursor { count_path: "/users/count" },
        by_owner: None,
        feeds: &[Feed::of(Dataset::Users)],
        named_by: &[
            Naming::path("/users/{id}"),
            Naming::filter("/users", &[("email_address", "{email_address}")]),
            Naming::filter("/users", &[("username", "{username}")]),
            // A sign before it says whether it is to be there or not.
            Naming::filter("/users", &[("external_id", "+{external_id}")]),
        ],
        memberships: Some(|user| format!("/users/{user}/organization_memberships")),
        rows: Rows::Whole(|body, context| read_page::<wire::User<'_>>(body, context)),
    },
    Endpoint {
        resource: Resource::Organizations,
        part: 0,
        path: "/organizations",
        query: &[ASCENDING, COUNTED[0]],
        page_rows: PAGE_ROWS,
        phase: Phase::Holders,
        paging: Paging::Offset(Order::Creation),
        by_owner: None,
        feeds: &[
            Feed::of(Dataset::Organizations),
            Feed {
                section: 1,
                needs: Some(Resource::OrganizationRoles),
                ..Feed::of(Dataset::Entitlements)
            },
        ],
        named_by: &[
            Naming { query: COUNTED, ..Naming::path("/organizations/{id}") },
            Naming { query: COUNTED, ..Naming::path("/organizations/{slug}") },
        ],
        memberships: Some(memberships_of_organization),
        rows: Rows::Whole(|body, context| read_page::<wire::Organization<'_>>(body, context)),
    },
    Endpoint {
        resource: Resource::OrganizationMemberships,
        part: 0,
        path: "/organization_memberships",
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Memberships,
        paging: Paging::Offset(Order::Creation),
        by_owner: Some(ByOwner {
            owners: Resource::Organizations,
            active_only: false,
            part: PartOfOwner::Path(memberships_of_organization),
            whole: WholeList::Complete,
        }),
        feeds: &[Feed {
            section: 1,
            needs: Some(Resource::OrganizationRoles),
            ..Feed::of(Dataset::Grants)
        }],
        named_by: &[Naming::filter(
            "/organizations/{organization_id}/memberships",
            &[("user_id", "+{user_id}")],
        )],
        memberships: None,
        rows: Rows::Whole(|body, context| {
            read_page::<wire::OrganizationMembership<'_>>(body, context)
        }),
    },
    Endpoint {
        named_by: &[Naming::path("/role_sets/{id}")],
        ..listed(
            Resource::RoleSets,
            "/role_sets",
            &[Feed::of(Dataset::RoleSets)],
            Rows::Single(|row| read_row::<plain::RoleSet<'_>>(row)),
        )
    },
    Endpoint {
        query: &[],
        paging: Paging::Whole,
        named_by: &[Naming::among("/domains", &[])],
        ..listed(
            Resource::Domains,
            "/domains",
            &[Feed::of(Dataset::Domains)],
            Rows::Single(|row| read_row::<plain::Domain<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        named_by: &[Naming::path("/redirect_urls/{id}")],
        ..listed(
            Resource::RedirectUrls,
            "/redirect_urls",
            &[Feed::of(Dataset::RedirectUrls)],
            Rows::Single(|row| read_row::<plain::RedirectUrl<'_>>(row)),
        )
    },
    Endpoint {
        named_by: &[Naming::path("/organizations/{organization_id}/invitations/{id}")],
        ..listed(
            Resource::OrganizationInvitations,
            "/organization_invitations",
            &[Feed::of(Dataset::OrganizationInvitations)],
            Rows::Single(|row| read_row::<plain::OrganizationInvitation<'_>>(row)),
        )
    },
    // Without a status Clerk lists those that are not revoked. These are read first: one that is
    // revoked meanwhile may then be in both, and never in neither.
    Endpoint {
        query: &[ASCENDING, PAGINATED],
        named_by: &[
            Naming::filter("/invitations", &[("query", "{id}"), PAGINATED]),
            Naming::filter("/invitations", &[("query", "{id}"), PAGINATED, ("status", "revoked")]),
        ],
        ..listed(
            Resource::Invitations,
            "/invitations",
            &[Feed::of(Dataset::Invitations)],
            Rows::Single(|row| read_row::<plain::Invitation<'_>>(row)),
        )
    },
    Endpoint {
        part: 1,
        query: &[ASCENDING, PAGINATED, ("status", "revoked")],
        phase: Phase::Last,
        ..listed(
            Resource::Invitations,
            "/invitations",
            &[Feed { section: 1, ..Feed::of(Dataset::Invitations) }],
            Rows::Single(|row| read_row::<plain::Invitation<'_>>(row)),
        )
    },
    Endpoint {
        named_by: &[Naming::among(
            "/organization_domains",
            &[("organization_id", "{organization_id}")],
        )],
        ..listed(
            Resource::OrganizationDomains,
            "/organization_domains",
            &[Feed::of(Dataset::OrganizationDomains)],
            Rows::Single(|row| read_row::<plain::OrganizationDomain<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        ..listed(
            Resource::AllowlistIdentifiers,
            "/allowlist_identifiers",
            &[Feed::of(Dataset::AllowlistIdentifiers)],
            Rows::Single(|row| read_row::<plain::AllowlistIdentifier<'_>>(row)),
        )
    },
    Endpoint {
        query: &[],
        paging: Paging::Whole,
        named_by: &[Naming::among("/blocklist_identifiers", &[])],
        ..listed(
            Resource::BlocklistIdentifiers,
            "/blocklist_identifiers",
            &[Feed::of(Dataset::BlocklistIdentifiers)],
            Rows::Single(|row| read_row::<plain::BlocklistIdentifier<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        named_by: &[Naming::path("/jwt_templates/{id}")],
        ..listed(
            Resource::JwtTemplates,
            "/jwt_templates",
            &[Feed::of(Dataset::JwtTemplates)],
            Rows::Single(|row| read_row::<plain::JwtTemplate<'_>>(row)),
        )
    },
    Endpoint {
        named_by: &[Naming::path("/oauth_applications/{id}")],
        ..listed(
            Resource::OauthApplications,
            "/oauth_applications",
            &[Feed::of(Dataset::OauthApplications)],
            Rows::Single(|row| read_row::<plain::OauthApplication<'_>>(row)),
        )
    },
    Endpoint {
        query: &[],
        paging: Paging::Offset(Order::Any),
        named_by: &[Naming::path("/enterprise_connections/{id}")],
        ..listed(
            Resource::EnterpriseConnections,
            "/enterprise_connections",
            &[Feed::of(Dataset::EnterpriseConnections)],
            Rows::Single(|row| read_row::<plain::EnterpriseConnection<'_>>(row)),
        )
    },
    Endpoint {
        named_by: &[Naming::filter("/waitlist_entries", &[("query", "{id}")])],
        ..listed(
            Resource::WaitlistEntries,
            "/waitlist_entries",
            &[Feed::of(Dataset::WaitlistEntries)],
            Rows::Single(|row| read_row::<plain::WaitlistEntry<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        ..listed(
            Resource::BillingPlans,
            "/billing/plans",
            &[Feed::of(Dataset::BillingPlans)],
            Rows::Single(|row| read_row::<plain::BillingPlan<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED, ("include_free", "true")],
        paging: Paging::Offset(Order::Any),
        ..listed(
            Resource::BillingSubscriptionItems,
            "/billing/subscription_items",
            &[Feed::of(Dataset::BillingSubscriptionItems)],
            Rows::Single(|row| read_row::<plain::BillingSubscriptionItem<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        by_owner: Some(ByOwner {
            owners: Resource::Users,
            active_only: true,
            part: PartOfOwner::Filter("user_id"),
            whole: WholeList::Doubtful,
        }),
        named_by: &[Naming::path("/sessions/{id}")],
        ..listed(
            Resource::Sessions,
            "/sessions",
            &[Feed::of(Dataset::Sessions)],
            Rows::Single(|row| read_row::<plain::Session<'_>>(row)),
        )
    },
    Endpoint {
        named_by: &[Naming::path("/api_keys/{id}")],
        ..api_keys(0, Resource::Users, &[Feed::of(Dataset::ApiKeys)])
    },
    api_keys(1, Resource::Organizations, &[Feed { section: 1, ..Feed::of(Dataset::ApiKeys) }]),
    api_keys(2, Resource::Machines, &[Feed { section: 2, ..Feed::of(Dataset::ApiKeys) }]),
    // Made of the users that are read for it.
    Endpoint {
        phase: Phase::Derived,
        paging: Paging::Cursor { count_path: "/users/count" },
        ..listed(
            Resource::DailyActiveUsers,
            "/users",
            &[Feed { needs: Some(Resource::Users), ..Feed::of(Dataset::DailyActiveUsers) }],
            Rows::Whole(|body, context| read_page::<wire::User<'_>>(body, context)),
        )
    },
];

/// An entry without anything special: a list of up to 500 rows a page, oldest first, that nothing
/// refers to.
const fn listed(
    resource: Resource,
    path: &'static str,
    feeds: &'static [Feed],
    rows: Rows,
) -> Endpoint {
    Endpoint {
        resource,
        part: 0,
        path,
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Others,
        paging: Paging::Offset(Order::Creation),
        by_owner: None,
        feeds,
        named_by: &[],
        memberships: None,
        rows,
    }
}

/// One owner's API keys, those included that are no longer good for anything. 100 a page are the most
/// (Clerk OpenAPI, GET /api_keys).
const fn api_keys(part: u8, owners: Resource, feeds: &'static [Feed]) -> Endpoint {
    Endpoint {
        part,
        query: &[("include_invalid", "true")],
        page_rows: 100,
        paging: Paging::Offset(Order::Any),
        by_owner: Some(ByOwner {
            owners,
            active_only: false,
            part: PartOfOwner::Filter("subject"),
            whole: WholeList::Missing,
        }),
        ..listed(
            Resource::ApiKeys,
            "/api_keys",
            feeds,
            Rows::Single(|row| read_row::<plain::ApiKey<'_>>(row)),
        )
    }
}

/// Of lists whose shape is a bare array otherwise, without a count.
const PAGINATED: (&str, &str) = ("paginated", "true");

/// The entry of a list.
#[must_use]
#[expect(clippy::expect_used, reason = "a test below holds the table to every resource")]
pub fn endpoint(list: impl Into<ListName>) -> &'static Endpoint {
    let list = list.into();
    ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.name() == list)
        .expect("every resource has an entry, and no list is named without one")
}

/// Every list of these resources.
pub fn lists_of(resources: &BTreeSet<Resource>) -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().filter(|endpoint| resources.contains(&endpoint.resource))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_its_lists_by_number() {
        for &resource in Resource::ALL {
            let lists = ENDPOINTS.iter().filter(|endpoint| endpoint.resource == resource);
            let parts: Vec<u8> = lists.map(|endpoint| endpoint.part).collect();
            assert!(!parts.is_empty(), "{resource} has no list");
            assert_eq!(parts, (0..parts.len() as u8).collect::<Vec<_>>(), "{resource}");
        }
    }

    #[test]
    fn every_dataset_is_fed_by_some_list() {
        for dataset in Dataset::ALL {
            let feeds = ENDPOINTS.iter().flat_map(|endpoint| endpoint.feeds);
            assert!(feeds.into_iter().any(|feed| feed.dataset == *dataset), "{dataset}");
        }
    }

    #[test]
    fn a_list_reads_and_writes_as_its_name() {
        for endpoint in ENDPOINTS {
            let json = serde_json::to_string(&endpoint.name()).unwrap();
            assert_eq!(serde_json::from_str::<ListName>(&json).unwrap(), endpoint.name());
        }
        assert_eq!(ListName::from(Resource::Users).to_string(), "users");
        for name in ["users.0", "users.1", "grants", ""] {
            assert!(ListName::try_from(name.to_owned()).is_err(), "{name}");
        }
    }

    #[test]
    fn no_list_feeds_more_than_rows_can_count() {
        assert!(ENDPOINTS.iter().all(|endpoint| endpoint.feeds.len() <= MOST_FEEDS));
    }
}
