"""The checks, in the order in which they run: each says which assumptions it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..findings import Finding
from ..instance import Instance
from . import connection, each_list, filters, limit, owners, paging, single_rows

Check = Callable[[Instance], Iterable[Finding]]

CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("instance",), connection.instance),
    (("wrong_key", "wrong_parameter", "missing_row"), connection.refusals),
    (("lists_answer", "page_shape"), each_list.answers),
    (("needed_fields", "field_types", "times", "credentials"), each_list.fields),
    (("users_count",), each_list.users_count),
    (("distinct_rows", "total_count"), each_list.counts),
    (("largest_page",), each_list.largest_page),
    (("ascending_order",), each_list.order),
    (("invitation_status",), each_list.invitation_status),
    (("cursor",), paging.cursor),
    (("cursor_of_nobody", "cursor_with_offset"), paging.wrong_cursors),
    (("cursor_of_deleted",), paging.cursor_of_deleted),
    (("offset",), paging.offset),
    (("offset_depth",), paging.offset_depth),
    (("offset_beyond_end",), paging.offset_beyond_end),
    (("over_largest_page",), paging.over_largest_page),
    (("created_at_before",), filters.created_at_before),
    (("created_at_after",), filters.created_at_after),
    (("window",), filters.window),
    (("last_active_at_after",), filters.last_active_at_after),
    (("id_filters",), filters.id_filters),
    (("sessions_of_all", "sessions_of_user"), owners.sessions),
    (("keys_of_owner",), owners.keys_of_owner),
    (("members_of_organization",), owners.members_of_organization),
    (("memberships_of_user",), owners.memberships_of_user),
    (("role_keys",), owners.role_keys),
    (("references",), owners.references),
    (("single_rows",), single_rows.single_rows),
    # Of all answers, so almost last.
    (("api_version", "http", "gzip", "json", "answer_time", "error_shape"), connection.answers),
    # Afterwards there is nothing left of the limit.
    (("rate_limit", "retry_after"), limit.limit),
)
