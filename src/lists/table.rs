//! The table of Clerk's lists. To add a list, add an entry here and its translation: see `docs/adding-a-list.md`.

use std::collections::BTreeSet;

use clerk_snapshot::resource::{Dataset, Resource};

use crate::clerk::wire;
use crate::lists::endpoint::PAGE_ROWS;
use crate::lists::endpoint::{
    ByOwner, Destination, Endpoint, ListName, Order, Paging, Phase, Rows, RowsOfOwner, WholeList,
};
use crate::lists::page::{read_page, read_row};
use crate::lists::row_request::RowRequest;
use crate::translate::plain;

/// Oldest first, so that a row created during the sync appears at the end and moves no other (`+created_at` would
/// decode to a space).
const ASCENDING: (&str, &str) = ("order_by", "created_at");

/// Without it Clerk leaves out the number of members.
const COUNTED: &[(&str, &str)] = &[("include_members_count", "true")];

const USERS: Rows = Rows::PageAtOnce(
    |body, context, needed| read_page::<wire::User<'_>>(body, context, needed),
    |row| read_row::<wire::User<'_>>(row),
);

fn memberships_of_organization(organization: &str) -> String {
    format!("/organizations/{organization}/memberships")
}

/// Every list. If a dataset has rows of several resources, its source count is that of the last of
/// them, in the order of this table.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        resource: Resource::OrganizationPermissions,
        index: 0,
        path: "/organization_permissions",
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Permissions,
        paging: Paging::Offset(Order::Creation),
        by_owner: None,
        destinations: &[
            Destination::of(Dataset::OrganizationPermissions),
            Destination::of(Dataset::Entitlements),
        ],
        row_requests: &[RowRequest::path("/organization_permissions/{id}")],
        memberships: None,
        needed: &["key"],
        rows: Rows::Single(|row| read_row::<wire::OrganizationPermission<'_>>(row)),
    },
    Endpoint {
        resource: Resource::OrganizationRoles,
        index: 0,
        path: "/organization_roles",
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Roles,
        paging: Paging::Offset(Order::Creation),
        by_owner: None,
        destinations: &[
            Destination::of(Dataset::OrganizationRoles),
            Destination::of(Dataset::Grants),
        ],
        row_requests: &[RowRequest::path("/organization_roles/{id}")],
        memberships: None,
        needed: &["key", "permissions.id", "permissions.key"],
        rows: Rows::Single(|row| read_row::<wire::OrganizationRole<'_>>(row)),
    },
    Endpoint {
        destinations: &[
            Destination::of(Dataset::Machines),
            Destination { section: 2, ..Destination::of(Dataset::Entitlements) },
        ],
        row_requests: &[RowRequest::path("/machines/{id}")],
        ..listed(
            Resource::Machines,
            "/machines",
            &[],
            Rows::Single(|row| read_row::<plain::Machine<'_>>(row)),
        )
    },
    // Read a second time, for the machines that each machine may call.
    Endpoint {
        index: 1,
        phase: Phase::Last,
        ..listed(
            Resource::Machines,
            "/machines",
            &[Destination { section: 2, ..Destination::of(Dataset::Grants) }],
            Rows::Single(|row| read_row::<plain::Scopes<'_>>(row)),
        )
    },
    Endpoint {
        resource: Resource::Users,
        index: 0,
        path: "/users",
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Users,
        paging: Paging::Cursor { count_path: "/users/count" },
        by_owner: None,
        destinations: &[Destination::of(Dataset::Users)],
        row_requests: &[
            RowRequest::path("/users/{id}"),
            RowRequest::filter("/users", &[("email_address", "{email_address}")]),
            RowRequest::filter("/users", &[("username", "{username}")]),
            // The sign selects users with this id (`+`) or without it (`-`).
            RowRequest::filter("/users", &[("external_id", "+{external_id}")]),
        ],
        memberships: Some(|user| format!("/users/{user}/organization_memberships")),
        needed: &[],
        rows: USERS,
    },
    Endpoint {
        resource: Resource::Organizations,
        index: 0,
        path: "/organizations",
        query: &[ASCENDING, COUNTED[0]],
        page_rows: PAGE_ROWS,
        phase: Phase::Organizations,
        paging: Paging::Offset(Order::Creation),
        by_owner: None,
        destinations: &[
            Destination::of(Dataset::Organizations),
            Destination {
                section: 1,
                needs: Some(Resource::OrganizationRoles),
                ..Destination::of(Dataset::Entitlements)
            },
        ],
        row_requests: &[
            RowRequest { query: COUNTED, ..RowRequest::path("/organizations/{id}") },
            RowRequest { query: COUNTED, ..RowRequest::path("/organizations/{slug}") },
        ],
        memberships: Some(memberships_of_organization),
        needed: &[],
        rows: Rows::PageAtOnce(
            |body, context, needed| read_page::<wire::Organization<'_>>(body, context, needed),
            |row| read_row::<wire::Organization<'_>>(row),
        ),
    },
    Endpoint {
        resource: Resource::OrganizationMemberships,
        index: 0,
        path: "/organization_memberships",
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Memberships,
        paging: Paging::Offset(Order::Creation),
        by_owner: Some(ByOwner {
            owners: Resource::Organizations,
            active_only: false,
            rows: RowsOfOwner::Path(memberships_of_organization),
            whole: WholeList::Complete,
        }),
        destinations: &[Destination {
            section: 1,
            needs: Some(Resource::OrganizationRoles),
            ..Destination::of(Dataset::Grants)
        }],
        row_requests: &[RowRequest::filter(
            "/organizations/{organization_id}/memberships",
            &[("user_id", "+{user_id}")],
        )],
        memberships: None,
        needed: &["organization.id", "role"],
        rows: Rows::PageAtOnce(
            |body, context, needed| {
                read_page::<wire::OrganizationMembership<'_>>(body, context, needed)
            },
            |row| read_row::<wire::OrganizationMembership<'_>>(row),
        ),
    },
    Endpoint {
        row_requests: &[RowRequest::path("/role_sets/{id}")],
        ..listed(
            Resource::RoleSets,
            "/role_sets",
            &[Destination::of(Dataset::RoleSets)],
            Rows::Single(|row| read_row::<plain::RoleSet<'_>>(row)),
        )
    },
    Endpoint {
        query: &[],
        paging: Paging::SinglePage,
        row_requests: &[RowRequest::among("/domains", &[])],
        ..listed(
            Resource::Domains,
            "/domains",
            &[Destination::of(Dataset::Domains)],
            Rows::Single(|row| read_row::<plain::Domain<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        row_requests: &[RowRequest::path("/redirect_urls/{id}")],
        ..listed(
            Resource::RedirectUrls,
            "/redirect_urls",
            &[Destination::of(Dataset::RedirectUrls)],
            Rows::Single(|row| read_row::<plain::RedirectUrl<'_>>(row)),
        )
    },
    Endpoint {
        row_requests: &[RowRequest::path("/organizations/{organization_id}/invitations/{id}")],
        ..listed(
            Resource::OrganizationInvitations,
            "/organization_invitations",
            &[Destination::of(Dataset::OrganizationInvitations)],
            Rows::Single(|row| read_row::<plain::OrganizationInvitation<'_>>(row)),
        )
    },
    // Without a status Clerk lists the invitations that are not revoked. They are read first, so that one that is
    // revoked meanwhile may be in both lists, but never in neither.
    Endpoint {
        query: &[ASCENDING, PAGINATED],
        row_requests: &[
            RowRequest::filter("/invitations", &[("query", "{id}"), PAGINATED]),
            RowRequest::filter(
                "/invitations",
                &[("query", "{id}"), PAGINATED, ("status", "revoked")],
            ),
        ],
        ..listed(
            Resource::Invitations,
            "/invitations",
            &[Destination::of(Dataset::Invitations)],
            Rows::Single(|row| read_row::<plain::Invitation<'_>>(row)),
        )
    },
    Endpoint {
        index: 1,
        query: &[ASCENDING, PAGINATED, ("status", "revoked")],
        phase: Phase::Last,
        ..listed(
            Resource::Invitations,
            "/invitations",
            &[Destination { section: 1, ..Destination::of(Dataset::Invitations) }],
            Rows::Single(|row| read_row::<plain::Invitation<'_>>(row)),
        )
    },
    Endpoint {
        row_requests: &[RowRequest::among(
            "/organization_domains",
            &[("organization_id", "{organization_id}")],
        )],
        ..listed(
            Resource::OrganizationDomains,
            "/organization_domains",
            &[Destination::of(Dataset::OrganizationDomains)],
            Rows::Single(|row| read_row::<plain::OrganizationDomain<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        ..listed(
            Resource::AllowlistIdentifiers,
            "/allowlist_identifiers",
            &[Destination::of(Dataset::AllowlistIdentifiers)],
            Rows::Single(|row| read_row::<plain::AllowlistIdentifier<'_>>(row)),
        )
    },
    Endpoint {
        query: &[],
        paging: Paging::SinglePage,
        row_requests: &[RowRequest::among("/blocklist_identifiers", &[])],
        ..listed(
            Resource::BlocklistIdentifiers,
            "/blocklist_identifiers",
            &[Destination::of(Dataset::BlocklistIdentifiers)],
            Rows::Single(|row| read_row::<plain::BlocklistIdentifier<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        row_requests: &[RowRequest::path("/jwt_templates/{id}")],
        ..listed(
            Resource::JwtTemplates,
            "/jwt_templates",
            &[Destination::of(Dataset::JwtTemplates)],
            Rows::Single(|row| read_row::<plain::JwtTemplate<'_>>(row)),
        )
    },
    Endpoint {
        row_requests: &[RowRequest::path("/oauth_applications/{id}")],
        ..listed(
            Resource::OauthApplications,
            "/oauth_applications",
            &[Destination::of(Dataset::OauthApplications)],
            Rows::Single(|row| read_row::<plain::OauthApplication<'_>>(row)),
        )
    },
    Endpoint {
        query: &[],
        paging: Paging::Offset(Order::Any),
        row_requests: &[RowRequest::path("/enterprise_connections/{id}")],
        ..listed(
            Resource::EnterpriseConnections,
            "/enterprise_connections",
            &[Destination::of(Dataset::EnterpriseConnections)],
            Rows::Single(|row| read_row::<plain::EnterpriseConnection<'_>>(row)),
        )
    },
    Endpoint {
        row_requests: &[RowRequest::filter("/waitlist_entries", &[("query", "{id}")])],
        ..listed(
            Resource::WaitlistEntries,
            "/waitlist_entries",
            &[Destination::of(Dataset::WaitlistEntries)],
            Rows::Single(|row| read_row::<plain::WaitlistEntry<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        ..listed(
            Resource::BillingPlans,
            "/billing/plans",
            &[Destination::of(Dataset::BillingPlans)],
            Rows::Single(|row| read_row::<plain::BillingPlan<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED, ("include_free", "true")],
        paging: Paging::Offset(Order::Any),
        ..listed(
            Resource::BillingSubscriptionItems,
            "/billing/subscription_items",
            &[Destination::of(Dataset::BillingSubscriptionItems)],
            Rows::Single(|row| read_row::<plain::BillingSubscriptionItem<'_>>(row)),
        )
    },
    Endpoint {
        query: &[PAGINATED],
        paging: Paging::Offset(Order::Any),
        by_owner: Some(ByOwner {
            owners: Resource::Users,
            active_only: true,
            rows: RowsOfOwner::Filter("user_id"),
            whole: WholeList::Doubtful,
        }),
        row_requests: &[RowRequest::path("/sessions/{id}")],
        ..listed(
            Resource::Sessions,
            "/sessions",
            &[Destination::of(Dataset::Sessions)],
            Rows::Single(|row| read_row::<plain::Session<'_>>(row)),
        )
    },
    Endpoint {
        row_requests: &[RowRequest::path("/api_keys/{id}")],
        ..api_keys(0, Resource::Users, &[Destination::of(Dataset::ApiKeys)])
    },
    api_keys(
        1,
        Resource::Organizations,
        &[Destination { section: 1, ..Destination::of(Dataset::ApiKeys) }],
    ),
    api_keys(
        2,
        Resource::Machines,
        &[Destination { section: 2, ..Destination::of(Dataset::ApiKeys) }],
    ),
    // Made from the users that are read for it.
    Endpoint {
        phase: Phase::Derived,
        paging: Paging::Cursor { count_path: "/users/count" },
        ..listed(
            Resource::DailyActiveUsers,
            "/users",
            &[Destination {
                needs: Some(Resource::Users),
                ..Destination::of(Dataset::DailyActiveUsers)
            }],
            USERS,
        )
    },
];

/// An entry with the usual settings: up to 500 rows per page, oldest first.
const fn listed(
    resource: Resource,
    path: &'static str,
    destinations: &'static [Destination],
    rows: Rows,
) -> Endpoint {
    Endpoint {
        resource,
        index: 0,
        path,
        query: &[ASCENDING],
        page_rows: PAGE_ROWS,
        phase: Phase::Others,
        paging: Paging::Offset(Order::Creation),
        by_owner: None,
        destinations,
        row_requests: &[],
        memberships: None,
        needed: &[],
        rows,
    }
}

/// The API keys of one kind of owner, including those that are no longer valid. Clerk allows at most 100 per page
/// (Clerk OpenAPI, GET /api_keys).
const fn api_keys(index: u8, owners: Resource, destinations: &'static [Destination]) -> Endpoint {
    Endpoint {
        index,
        query: &[("include_invalid", "true")],
        page_rows: 100,
        paging: Paging::Offset(Order::Any),
        by_owner: Some(ByOwner {
            owners,
            active_only: false,
            rows: RowsOfOwner::Filter("subject"),
            whole: WholeList::Missing,
        }),
        ..listed(
            Resource::ApiKeys,
            "/api_keys",
            destinations,
            Rows::Single(|row| read_row::<plain::ApiKey<'_>>(row)),
        )
    }
}

/// For lists that are otherwise a bare array without a count.
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

/// All lists of these resources.
pub fn lists_of(resources: &BTreeSet<Resource>) -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().filter(|endpoint| resources.contains(&endpoint.resource))
}

impl TryFrom<String> for ListName {
    type Error = NoSuchList;

    fn try_from(name: String) -> Result<Self, NoSuchList> {
        let mut names = ENDPOINTS.iter().map(Endpoint::name);
        names.find(|it| it.to_string() == name).ok_or(NoSuchList)
    }
}

/// No list has this name.
#[derive(Debug, thiserror::Error)]
#[error("there is no list of that name")]
pub struct NoSuchList;

/// The lists to read for the resources that are opted in.
#[must_use]
pub fn lists_needed(resources: &BTreeSet<Resource>) -> BTreeSet<ListName> {
    let mut needed = resources.clone();
    let resolves_roles = [
        Resource::Organizations,
        Resource::OrganizationMemberships,
        Resource::OrganizationInvitations,
    ];
    if resolves_roles.iter().any(|resource| resources.contains(resource)) {
        needed.insert(Resource::OrganizationRoles);
    }
    if resources.contains(&Resource::DailyActiveUsers) {
        needed.insert(Resource::Users);
    }
    lists_of(&needed).map(Endpoint::name).collect()
}

/// The datasets of the resources that are opted in, in the order of docs/data.md.
#[must_use]
pub fn datasets_of(resources: &BTreeSet<Resource>) -> BTreeSet<Dataset> {
    lists_of(resources)
        .flat_map(|list| list.destinations.iter().map(|destination| destination.dataset))
        .collect()
}

/// The lists that the grants made from a list refer to.
pub const REFERENCES: &[(ListName, &[Resource])] = &[
    (ListName::of(Resource::OrganizationRoles, 0), &[Resource::OrganizationPermissions]),
    (
        ListName::of(Resource::OrganizationMemberships, 0),
        &[Resource::Users, Resource::Organizations],
    ),
    (ListName::of(Resource::Machines, 1), &[Resource::Machines]),
];

/// The lists of the opted-in resources whose grants refer to this list.
pub fn lists_referring_to(
    list: impl Into<ListName>,
    opted_in: &BTreeSet<Resource>,
) -> impl Iterator<Item = ListName> {
    let list = list.into();
    REFERENCES
        .iter()
        .filter(move |(from, to)| {
            opted_in.contains(&endpoint(*from).resource)
                && to.iter().any(|&to| ListName::from(to) == list)
        })
        .map(|&(from, _)| from)
}

/// The lists that the grants made from this list refer to.
pub fn referred_to_by(list: ListName) -> impl Iterator<Item = Resource> {
    REFERENCES.iter().filter(move |(from, _)| *from == list).flat_map(|(_, to)| to.iter().copied())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use clerk_snapshot::part_name::MAX_SECTIONS;

    use super::*;
    use crate::lists::page::MAX_DESTINATIONS;

    #[test]
    fn every_resource_numbers_its_lists_from_zero() {
        for &resource in Resource::ALL {
            let lists = ENDPOINTS.iter().filter(|endpoint| endpoint.resource == resource);
            let indexes: Vec<u8> = lists.map(|endpoint| endpoint.index).collect();
            assert!(!indexes.is_empty(), "{resource} has no list");
            assert_eq!(indexes, (0..indexes.len() as u8).collect::<Vec<_>>(), "{resource}");
        }
    }

    #[test]
    fn every_section_fits_into_a_part_name() {
        let sections = ENDPOINTS.iter().flat_map(|endpoint| endpoint.destinations);
        assert!(
            sections.map(|destination| destination.section).all(|section| section < MAX_SECTIONS)
        );
    }

    #[test]
    fn every_dataset_has_a_list() {
        for dataset in Dataset::ALL {
            let destinations = ENDPOINTS.iter().flat_map(|endpoint| endpoint.destinations);
            assert!(
                destinations.into_iter().any(|destination| destination.dataset == *dataset),
                "{dataset}"
            );
        }
    }

    #[test]
    fn a_list_name_survives_a_round_trip() {
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
    fn no_list_has_more_datasets_than_a_row_can_count() {
        assert!(ENDPOINTS.iter().all(|endpoint| endpoint.destinations.len() <= MAX_DESTINATIONS));
    }
}
