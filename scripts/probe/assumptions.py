"""What this repository assumes about Clerk, and only a live instance can show. docs/live.md
explains each.

The program survives most of these being wrong. But the synthetic Clerk, against which everything is
tested, behaves as stated here, and nobody has seen a live one do so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    name: str
    # One sentence.
    says: str
    # The answer that agrees with it.
    expected: str


ASSUMPTIONS: tuple[Assumption, ...] = (
    # The connection.
    Assumption(
        "instance",
        "`/instance` names the instance and its kind",
        "an id, and the kind that the key is for",
    ),
    Assumption(
        "api_version",
        "Answers are of the API version that was asked for",
        "`Clerk-API-Version` as sent, or none",
    ),
    Assumption("http", "HTTP/1.1 is spoken, the only version that the program speaks", "HTTP/1.1"),
    Assumption("gzip", "Answers are compressed on request", "gzip from 1 kB on"),
    Assumption("json", "An answer of status 200 is JSON", "all of them"),
    Assumption(
        "answer_time",
        "Answers take no longer than the usual concurrency is made for",
        "a median of at most 1.28 s",
    ),
    Assumption("wrong_key", "A wrong key is refused as such", "401 `clerk_key_invalid`"),
    Assumption("error_shape", "A refusal carries one of Clerk's codes", "every 4xx"),
    Assumption(
        "wrong_parameter",
        "A wrong parameter is not taken for a missing feature",
        "422 and a documented code",
    ),
    Assumption(
        "missing_row", "A row that is not there is refused as such", "404 `resource_not_found`"
    ),
    # Each list.
    Assumption(
        "lists_answer",
        "Every list that the program reads answers, or says that the feature is off",
        "200, or a code that skips the list",
    ),
    Assumption(
        "page_shape",
        "A page has the shape that the list is documented with",
        "`data` and `total_count`; users are a bare array",
    ),
    Assumption(
        "needed_fields", "A row has the fields without which it is of no use", "in every row"
    ),
    Assumption(
        "field_types", "The other fields that are read have the documented types", "in every row"
    ),
    Assumption("distinct_rows", "A page has each row once", "no id twice"),
    Assumption(
        "total_count", "`total_count` agrees with the rows", "as many rows, up to the page size"
    ),
    Assumption(
        "users_count", "`/users/count` agrees with the users", "as many users, up to the page size"
    ),
    Assumption(
        "largest_page", "A page has as many rows as were asked for", "more than the default of 10"
    ),
    Assumption(
        "over_largest_page",
        "`limit=501` is over the largest page",
        "a refusal, or 10 rows without notice",
    ),
    Assumption(
        "ascending_order",
        "`order_by=created_at` lists the oldest rows first",
        "in every list that takes it",
    ),
    Assumption(
        "times", "Times are milliseconds since 1970", "between 1973 and 2100; 0 and below for none"
    ),
    Assumption(
        "credentials",
        "Rows hold no credentials but those that are withheld",
        "no other field named like one",
    ),
    Assumption(
        "invitation_status",
        "Invitations without a status are those not revoked",
        "no revoked one, and with `status=revoked` no other",
    ),
    # Paging.
    Assumption(
        "cursor", "`starting_after` continues behind the row that it names", "the next rows"
    ),
    Assumption("cursor_with_offset", "A cursor cannot be combined with an offset", "422"),
    Assumption("cursor_of_nobody", "A cursor that never was a user is refused", "422"),
    Assumption(
        "cursor_of_deleted",
        "A cursor whose user was deleted is refused, continues, ends the list or begins it anew",
        "one of these four",
    ),
    Assumption("offset", "`offset` counts rows in the list's order", "the rows from there on"),
    Assumption(
        "offset_depth",
        "The last row is as near as the first",
        "one row, within 1 s or four times the first row's time",
    ),
    Assumption(
        "offset_beyond_end", "Behind the last row there is an empty page", "200 and no rows"
    ),
    # Filters.
    Assumption(
        "created_at_before",
        "`created_at_before` selects earlier users, in list and count alike",
        "with or without those of that very time",
    ),
    Assumption(
        "created_at_after",
        "`created_at_after` selects later users, in list and count alike",
        "with or without those of that very time",
    ),
    Assumption(
        "window", "Both together, with a cursor, walk through a range of times", "exactly its users"
    ),
    Assumption(
        "last_active_at_after",
        "`last_active_at_after` selects recently active users",
        "with or without those of that very time",
    ),
    Assumption(
        "id_filters",
        "`user_id` and `organization_id`, repeated, select rows by id",
        "exactly these",
    ),
    # Rows of an owner.
    Assumption("sessions_of_all", "`/sessions` answers without a user, or is refused", "either"),
    Assumption("sessions_of_user", "`user_id` selects a user's sessions", "no others"),
    Assumption("keys_of_owner", "`subject` selects an owner's API keys", "no others"),
    Assumption(
        "members_of_organization",
        "An organization's memberships are its own, and as many as `members_count`",
        "no others, and as many",
    ),
    Assumption("memberships_of_user", "A user's memberships are the user's own", "no others"),
    Assumption(
        "role_keys",
        "A membership's role is the key of one of the roles",
        "all but `admin` and `basic_member`",
    ),
    Assumption(
        "references", "Memberships refer to users and organizations that are listed", "all of them"
    ),
    Assumption("single_rows", "A row can be requested in each way that `lookup` has", "that row"),
    # The limit.
    Assumption("rate_limit", "Too many requests are refused", "429 `too_many_requests`"),
    Assumption(
        "retry_after",
        "`Retry-After` names the seconds after which requests are answered",
        "whole seconds, then 200",
    ),
)
