"""Deviations that the synthetic Clerk has faults for (crates/sandbox/src/faults.rs)."""

from __future__ import annotations

from .deviation import Deviation

FAULTS = (
    Deviation(
        "a feature is off",
        set(),
        "`role_sets` (403 `feature_not_enabled`)",
        ("/v1/role_sets status:403:feature_not_enabled",),
    ),
    Deviation(
        "the key may not read a list",
        {"lists_answer"},
        "`machines` (403 `authorization_invalid`)",
        ("/v1/machines status:403:authorization_invalid",),
    ),
    Deviation(
        "a list breaks the connection",
        {"lists_answer"},
        "`redirect_urls` (the connection broke)",
        ("/v1/redirect_urls reset",),
    ),
    Deviation(
        "a list is cut short",
        {"lists_answer"},
        "`billing_plans` (the ",
        ("/v1/billing/plans cut:20",),
    ),
    Deviation(
        "once over the limit",
        set(),
        "1 of them because of 1 × status 429",
        ("/v1/users@1 limit:1",),
    ),
    Deviation(
        "once an outage",
        set(),
        "1 of them because of 1 × status 503",
        ("/v1/domains@1 status:503",),
    ),
    Deviation(
        "`/instance` does not answer",
        {"instance", "wrong_key"},
        "500",
        ("/v1/instance status:500",),
    ),
    Deviation(
        "half an answer",
        {"json", "page_shape"},
        "`jwt_templates` (no page of a list)",
        ("/v1/jwt_templates malformed",),
    ),
    Deviation(
        "a web page",
        {"json", "page_shape"},
        "`waitlist_entries` (no page of a list)",
        ("/v1/waitlist_entries html:200",),
    ),
    Deviation("a bare array", {"page_shape"}, "`domains` (a bare array)", ("/v1/domains body:[]",)),
    Deviation(
        "a row without an id", {"needed_fields"}, "`role_sets: id`", ("/v1/role_sets drop:/id",)
    ),
    Deviation(
        "a role without a key",
        {"needed_fields", "role_keys"},
        "`organization_roles: key`",
        ("/v1/organization_roles drop:/key",),
    ),
    Deviation(
        "a count that is too high",
        {"total_count"},
        "not in `organization_domains`",
        ("/v1/organization_domains shift-total:7",),
    ),
    Deviation(
        "users counted wrongly",
        {"users_count", "created_at_before", "created_at_after", "offset_depth"},
        "another number",
        ("/v1/users/count shift-total:2",),
    ),
    Deviation(
        "short pages",
        {"total_count", "largest_page"},
        "not in `organization_permissions`",
        ("/v1/organization_permissions truncate:10",),
    ),
    Deviation(
        "newest first",
        {"ascending_order"},
        "not in `organizations`",
        ("/v1/organizations ignore:order_by",),
    ),
    Deviation(
        "a status that is ignored",
        {"invitation_status"},
        "another one",
        ("/v1/invitations?status ignore:status",),
    ),
    Deviation(
        "a cursor that is ignored",
        {"cursor", "cursor_of_nobody", "cursor_with_offset", "window"},
        "the first rows again",
        ("/v1/users?starting_after ignore:starting_after",),
    ),
    Deviation(
        "a cursor that is refused",
        {"cursor", "window"},
        "422",
        ("/v1/users?starting_after status:422:form_param_unknown",),
    ),
    Deviation(
        "an offset that is ignored",
        {"offset", "offset_beyond_end"},
        "`organization_memberships`: the first",
        ("/v1/organization_memberships?offset ignore:offset",),
    ),
    Deviation("slow offsets", {"offset_depth"}, ", slow", ("/v1/users?offset deep:15000",)),
    Deviation(
        "a filter that is ignored",
        {"created_at_before", "window"},
        "list and count differ",
        ("/v1/users?created_at_before ignore:created_at_before",),
    ),
    Deviation(
        "another that is ignored",
        {"created_at_after", "window"},
        "list and count differ",
        ("/v1/users?created_at_after ignore:created_at_after",),
    ),
    Deviation(
        "activity that is ignored",
        {"last_active_at_after"},
        " instead of ",
        ("/v1/users?last_active_at_after ignore:last_active_at_after",),
    ),
    Deviation(
        "ids that are ignored",
        {"id_filters"},
        "`user_id`: 100 to 999 rows instead of two",
        ("/v1/users?user_id ignore:user_id",),
    ),
    Deviation(
        "a user that is ignored",
        {"sessions_of_user"},
        "those of others, too",
        ("/v1/sessions?user_id ignore:user_id",),
    ),
    Deviation(
        "no way to one row",
        {"single_rows"},
        "`machines: /machines/{id}`",
        ("/v1/machines/* status:404",),
    ),
    Deviation(
        "a way by address that is ignored",
        {"single_rows"},
        "`users: /users?email_address={email_address}`",
        ("/v1/users?email_address ignore:email_address",),
    ),
    Deviation(
        "a parameter refused like a feature",
        {"wrong_parameter"},
        "403 `feature_not_enabled`",
        ("/v1/users?limit=0 status:403:feature_not_enabled",),
    ),
)
