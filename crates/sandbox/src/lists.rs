//! Defines every list of the Backend API that the sandbox serves. To add one, add an entry to `ALL`.
//!
//! Shapes, orders and filters: Clerk OpenAPI 2026-05-12, the `GET` operation of the same path.

use crate::rows::{Sample, sample};

/// Name and path of the list of users.
pub const USERS: &str = "users";
/// Name and path of the list of organizations.
pub const ORGANIZATIONS: &str = "organizations";
/// Name and path of the instance-wide list of memberships.
pub const ORGANIZATION_MEMBERSHIPS: &str = "organization_memberships";
/// Name and path of the list of organization roles.
pub const ORGANIZATION_ROLES: &str = "organization_roles";
/// Name and path of the list of organization permissions.
pub const ORGANIZATION_PERMISSIONS: &str = "organization_permissions";

/// A list at `GET /v1/<name>`, except those of billing.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// The field with the rows, if the shape is an object.
    pub(crate) data_field: &'static str,
    /// Whether `limit` and `offset` are supported; otherwise the whole list is returned.
    pub(crate) paged: bool,
    /// The largest page, in rows.
    pub(crate) largest_page: usize,
    /// Whether `starting_after` is supported.
    pub(crate) cursor: bool,
    /// Accepted values of `order_by`, each with the path of the field to sort by. Empty: always newest first.
    pub(crate) orders: &'static [(&'static str, &'static str)],
    /// The order without `order_by`.
    pub(crate) default_order: &'static str,
    pub(crate) filters: &'static [Filter],
    /// Statuses listed if no `status` is given. Empty: all.
    pub(crate) default_statuses: &'static [&'static str],
    /// A required parameter, without which the list answers 400.
    pub(crate) needs: Option<&'static str>,
    /// Whether `GET /v1/<name>/{id}` returns one row.
    pub(crate) by_id: bool,
    /// Generates the rows of the smaller lists.
    pub(crate) sample: Option<Sample>,
}

/// The JSON around the rows of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `[…]`
    Array,
    /// `[…]`, or `{"data":[…],"total_count":n}` with `paginated=true`.
    ArrayUnlessPaginated,
    /// `{"data":[…],"total_count":n}`
    DataAndTotal,
}

/// A query parameter that filters a list.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Filter {
    /// Row ids, each optionally prefixed by `+` or `-`; up to 100.
    Id(&'static str),
    /// Members of these organizations, prefixed by `+` or `-`; up to 100.
    MembersOf(&'static str),
    /// Organizations with these members, prefixed by `+` or `-`; up to 100.
    WithMember(&'static str),
    /// The organization that a row belongs to.
    Organization(&'static str),
    /// The user or subject that a row belongs to, prefixed by `+` or `-`; up to 100.
    Owner(&'static str),
    /// Milliseconds: created before this.
    CreatedBefore(&'static str),
    /// Milliseconds: created after this.
    CreatedAfter(&'static str),
    /// Milliseconds: last active before this.
    ActiveBefore(&'static str),
    /// Milliseconds: last active after this.
    ActiveAfter(&'static str),
    /// Milliseconds: last signed in before this.
    SignedInBefore(&'static str),
    /// Milliseconds: last signed in after this.
    SignedInAfter(&'static str),
    /// `true` or `false`.
    Banned(&'static str),
    /// `true` or `false`, compared with a field.
    Flag(&'static str, &'static str),
    /// Texts, prefixed by `+` or `-`, compared with the fields; up to 100.
    Text(&'static str, &'static [&'static str]),
    /// A substring of one of these fields, ignoring case.
    Part(&'static str, &'static [&'static str]),
    /// Unless the parameter is `true`, rows in which one of these fields has this value are omitted.
    Hides(&'static str, &'static [&'static str], bool),
}

impl List {
    /// The list with this name, and its index in [`ALL`].
    pub(crate) fn named(name: &str) -> Option<(usize, &'static List)> {
        ALL.iter().enumerate().find(|(_, list)| list.name == name)
    }
}

/// The settings that most lists share; each entry overrides what differs.
const COMMON: List = List {
    name: "",
    shape: Shape::DataAndTotal,
    data_field: "data",
    paged: true,
    largest_page: 500,
    cursor: false,
    orders: &[("created_at", "created_at")],
    default_order: "-created_at",
    filters: &[],
    default_statuses: &[],
    needs: None,
    by_id: false,
    sample: None,
};

const STATUS: Filter = Filter::Text("status", &["status"]);

const USER_ORDERS: &[(&str, &str)] = &[
    ("created_at", "created_at"),
    ("updated_at", "updated_at"),
    ("email_address", "email_addresses.*.email_address"),
    ("web3wallet", "web3_wallets.*.web3_wallet"),
    ("first_name", "first_name"),
    ("last_name", "last_name"),
    ("phone_number", "phone_numbers.*.phone_number"),
    ("username", "username"),
    ("last_active_at", "last_active_at"),
    ("last_sign_in_at", "last_sign_in_at"),
];

const USER_FILTERS: &[Filter] = &[
    Filter::Id("user_id"),
    Filter::MembersOf("organization_id"),
    Filter::CreatedBefore("created_at_before"),
    Filter::CreatedAfter("created_at_after"),
    Filter::ActiveBefore("last_active_at_before"),
    Filter::ActiveAfter("last_active_at_after"),
    Filter::ActiveAfter("last_active_at_since"),
    Filter::SignedInBefore("last_sign_in_at_before"),
    Filter::SignedInAfter("last_sign_in_at_after"),
    Filter::Banned("banned"),
    Filter::Text("email_address", &["email_addresses.*.email_address"]),
    Filter::Text("phone_number", &["phone_numbers.*.phone_number"]),
    Filter::Text("external_id", &["external_id"]),
    Filter::Text("username", &["username"]),
    Filter::Text("web3_wallet", &["web3_wallets.*.web3_wallet"]),
    Filter::Text("provider", &["external_accounts.*.provider"]),
    Filter::Text("provider_user_id", &["external_accounts.*.provider_user_id"]),
    Filter::Part(
        "query",
        &[
            "id",
            "username",
            "first_name",
            "last_name",
            "email_addresses.*.email_address",
            "phone_numbers.*.phone_number",
        ],
    ),
    Filter::Part("email_address_query", &["email_addresses.*.email_address"]),
    Filter::Part("phone_number_query", &["phone_numbers.*.phone_number"]),
    Filter::Part("username_query", &["username"]),
    Filter::Part("name_query", &["first_name", "last_name"]),
];

const MEMBERSHIP_ORDERS: &[(&str, &str)] = &[
    ("created_at", "created_at"),
    ("phone_number", "public_user_data.identifier"),
    ("email_address", "public_user_data.identifier"),
    ("first_name", "public_user_data.first_name"),
    ("last_name", "public_user_data.last_name"),
    ("username", "public_user_data.username"),
];

/// The filters of `/organizations/{id}/memberships`; the instance-wide list has none.
pub(crate) const MEMBERSHIP_FILTERS: &[Filter] = &[
    Filter::Owner("user_id"),
    Filter::Text("role", &["role"]),
    Filter::CreatedBefore("created_at_before"),
    Filter::CreatedAfter("created_at_after"),
    Filter::Text("username", &["public_user_data.username"]),
    Filter::Text("email_address", &["public_user_data.identifier"]),
    Filter::Part(
        "query",
        &["public_user_data.user_id", "public_user_data.identifier", "public_user_data.first_name"],
    ),
];

const NAMED_ORDERS: &[(&str, &str)] =
    &[("created_at", "created_at"), ("name", "name"), ("key", "key")];
const NAMED_QUERY: &[Filter] = &[Filter::Part("query", &["id", "name", "key"])];

/// The table of lists.
pub(crate) static ALL: &[List] = &[
    List {
        name: USERS,
        shape: Shape::Array,
        cursor: true,
        orders: USER_ORDERS,
        filters: USER_FILTERS,
        by_id: true,
        ..COMMON
    },
    List {
        name: ORGANIZATIONS,
        orders: &[
            ("created_at", "created_at"),
            ("name", "name"),
            ("members_count", "members_count"),
        ],
        filters: &[
            Filter::Id("organization_id"),
            Filter::WithMember("user_id"),
            Filter::Part("query", &["id", "name", "slug"]),
        ],
        by_id: true,
        ..COMMON
    },
    List { name: ORGANIZATION_MEMBERSHIPS, orders: MEMBERSHIP_ORDERS, ..COMMON },
    List {
        name: ORGANIZATION_ROLES,
        orders: NAMED_ORDERS,
        filters: NAMED_QUERY,
        by_id: true,
        ..COMMON
    },
    List {
        name: ORGANIZATION_PERMISSIONS,
        orders: NAMED_ORDERS,
        filters: NAMED_QUERY,
        by_id: true,
        ..COMMON
    },
    List {
        name: "role_sets",
        orders: NAMED_ORDERS,
        filters: NAMED_QUERY,
        by_id: true,
        sample: Some(sample::role_set),
        ..COMMON
    },
    List {
        name: "organization_invitations",
        orders: &[("created_at", "created_at"), ("email_address", "email_address")],
        filters: &[STATUS, Filter::Part("query", &["email_address"])],
        sample: Some(sample::organization_invitation),
        ..COMMON
    },
    List {
        name: "invitations",
        shape: Shape::ArrayUnlessPaginated,
        orders: &[
            ("created_at", "created_at"),
            ("email_address", "email_address"),
            ("expires_at", "expires_at"),
        ],
        filters: &[STATUS, Filter::Part("query", &["email_address", "id"])],
        default_statuses: &["pending", "accepted", "expired"],
        sample: Some(sample::invitation),
        ..COMMON
    },
    List {
        name: "organization_domains",
        orders: &[("created_at", "created_at"), ("name", "name")],
        filters: &[
            Filter::Organization("organization_id"),
            Filter::Text("enrollment_mode", &["enrollment_mode"]),
            Filter::Text("domains", &["name"]),
            Filter::Part("query", &["name"]),
        ],
        sample: Some(sample::organization_domain),
        ..COMMON
    },
    List {
        name: "sessions",
        shape: Shape::ArrayUnlessPaginated,
        orders: &[],
        filters: &[Filter::Owner("user_id"), Filter::Text("client_id", &["client_id"]), STATUS],
        by_id: true,
        sample: Some(sample::session),
        ..COMMON
    },
    List {
        name: "allowlist_identifiers",
        shape: Shape::ArrayUnlessPaginated,
        orders: &[],
        sample: Some(sample::allowlist_identifier),
        ..COMMON
    },
    List {
        name: "blocklist_identifiers",
        paged: false,
        orders: &[],
        sample: Some(sample::blocklist_identifier),
        ..COMMON
    },
    List { name: "domains", paged: false, orders: &[], sample: Some(sample::domain), ..COMMON },
    List {
        name: "jwt_templates",
        shape: Shape::ArrayUnlessPaginated,
        orders: &[],
        by_id: true,
        sample: Some(sample::jwt_template),
        ..COMMON
    },
    List {
        name: "redirect_urls",
        shape: Shape::ArrayUnlessPaginated,
        orders: &[],
        by_id: true,
        sample: Some(sample::redirect_url),
        ..COMMON
    },
    List {
        name: "oauth_applications",
        orders: &[("created_at", "created_at"), ("name", "name")],
        default_order: "+created_at",
        filters: &[Filter::Part("name_query", &["name", "client_id"])],
        by_id: true,
        sample: Some(sample::oauth_application),
        ..COMMON
    },
    List {
        name: "enterprise_connections",
        orders: &[],
        filters: &[Filter::Organization("organization_id"), Filter::Flag("active", "active")],
        by_id: true,
        sample: Some(sample::enterprise_connection),
        ..COMMON
    },
    List {
        name: "machines",
        orders: &[("created_at", "created_at"), ("name", "name")],
        filters: &[Filter::Part("query", &["id", "name"])],
        by_id: true,
        sample: Some(sample::machine),
        ..COMMON
    },
    List {
        name: "waitlist_entries",
        orders: &[
            ("created_at", "created_at"),
            ("email_address", "email_address"),
            ("invited_at", "invitation.created_at"),
        ],
        filters: &[STATUS, Filter::Part("query", &["email_address", "id"])],
        sample: Some(sample::waitlist_entry),
        ..COMMON
    },
    // GET /billing/plans
    List {
        name: "billing_plans",
        orders: &[],
        filters: &[Filter::Text("payer_type", &["for_payer_type"])],
        sample: Some(sample::billing_plan),
        ..COMMON
    },
    // GET /billing/subscription_items
    List {
        name: "billing_subscription_items",
        orders: &[],
        filters: &[
            STATUS,
            Filter::Text("plan_id", &["plan_id"]),
            Filter::Hides("include_free", &["plan.has_base_fee"], false),
        ],
        sample: Some(sample::billing_subscription_item),
        ..COMMON
    },
    List {
        name: "api_keys",
        largest_page: 100,
        orders: &[],
        filters: &[
            Filter::Owner("subject"),
            Filter::Hides("include_invalid", &["revoked", "expired"], true),
        ],
        needs: Some("subject"),
        by_id: true,
        sample: Some(sample::api_key),
        ..COMMON
    },
    List {
        name: "m2m_tokens",
        data_field: "m2m_tokens",
        largest_page: 100,
        orders: &[],
        filters: &[Filter::Owner("subject")],
        needs: Some("subject"),
        sample: Some(sample::m2m_token),
        ..COMMON
    },
];

/// A list at `GET /v1/<parent>/{id}/<segment>`: the rows that belong to one organization or user.
pub(crate) static NESTED: &[Nested] = &[
    Nested {
        parent: ORGANIZATIONS,
        segment: "memberships",
        list: ORGANIZATION_MEMBERSHIPS,
        ordered: true,
        alone_without: None,
        filters: MEMBERSHIP_FILTERS,
    },
    Nested {
        parent: ORGANIZATIONS,
        segment: "invitations",
        list: "organization_invitations",
        ordered: true,
        alone_without: Some(&["public_organization_data"]),
        filters: &[STATUS],
    },
    Nested {
        parent: ORGANIZATIONS,
        segment: "domains",
        list: "organization_domains",
        ordered: false,
        alone_without: None,
        filters: &[],
    },
    Nested {
        parent: USERS,
        segment: "organization_memberships",
        list: ORGANIZATION_MEMBERSHIPS,
        ordered: false,
        alone_without: None,
        filters: &[],
    },
];

/// One nested list.
#[derive(Debug)]
pub(crate) struct Nested {
    pub(crate) parent: &'static str,
    pub(crate) segment: &'static str,
    pub(crate) list: &'static str,
    /// Whether `order_by` is supported; otherwise newest first.
    pub(crate) ordered: bool,
    /// If set, `GET /v1/<parent>/{id}/<segment>/{id}` returns one row, without these fields.
    pub(crate) alone_without: Option<&'static [&'static str]>,
    pub(crate) filters: &'static [Filter],
}

impl Nested {
    /// The nested list at this path.
    pub(crate) fn below(parent: &str, segment: &str) -> Option<&'static Self> {
        NESTED.iter().find(|nested| nested.parent == parent && nested.segment == segment)
    }
}
