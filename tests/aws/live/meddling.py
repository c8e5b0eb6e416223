"""Deviations that need a server in front of the synthetic Clerk."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..scene import KEY
from .deviation import Deviation
from .meddler import Ask, Asked, Meddle, Reply, error, everywhere


def where(is_meant: Callable[[Asked], bool], answer: Meddle) -> Meddle:
    """Answers some requests in another way."""
    return lambda asked, ask: answer(asked, ask) if is_meant(asked) else ask(asked)


def at(path: str, answer: Meddle) -> Meddle:
    """Answers requests for a path, which may have `*` in it, in another way."""
    return where(lambda asked: fnmatch.fnmatchcase(asked.path, f"/v1{path}"), answer)


def meddled(path: str, change: Callable[[dict[str, Any]], object]) -> Meddle:
    """Changes every row of a list, wherever it is asked for."""

    def meddle(asked: Asked, ask: Ask) -> Reply:
        reply = ask(asked)
        for row in reply.rows() if reply.status == 200 else ():
            change(row)
        return reply

    return at(path, meddle)


def has_largest_limit(asked: Asked) -> bool:
    return asked.parameter("limit") == "501"


def asks_for_all_sessions(asked: Asked) -> bool:
    return asked.path == "/v1/sessions" and asked.parameter("user_id") is None


def of_another_kind(asked: Asked, ask: Ask) -> Reply:
    reply = ask(asked)
    if reply.status == 200:
        reply.content["environment_type"] = "production"
    return reply


def to_seconds(row: dict[str, Any]) -> None:
    row["created_at"] //= 1000
    row["updated_at"] //= 1000


def of_another_type(row: dict[str, Any]) -> None:
    for account in row["email_addresses"]:
        account["verification"] = "verified"
    row["banned"] = "no"


def with_a_credential(row: dict[str, Any]) -> None:
    # The first is withheld, the second is new.
    row |= {"client_secret": "kept", "rotated_secret": "kept"}


def accept_any_key(asked: Asked, ask: Ask) -> Reply:
    return ask(replace(asked, headers=asked.headers | {"authorization": f"Bearer {KEY}"}))


def without_its_code(reply: Reply) -> None:
    if reply.status == 422:
        reply.content = {"message": "no"}


def inclusive(asked: Asked, ask: Ask) -> Reply:
    for name, by in (("created_at_before", 1), ("created_at_after", -1)):
        value = asked.parameter(name)
        if value is not None:
            asked = asked.with_parameter(name, str(int(value) + by))
    return ask(asked)


def one_too_many(asked: Asked, ask: Ask) -> Reply:
    reply = ask(asked)
    reply.content["data"].append(reply.rows()[-1])
    return reply


def of_somebody_else(row: dict[str, Any]) -> None:
    row["public_user_data"]["user_id"] = "user_0"


MEDDLING = (
    Deviation(
        "another version of the API",
        {"api_version"},
        "another one",
        meddle=everywhere(lambda reply: reply.headers.update({"Clerk-API-Version": "2021-02-05"})),
    ),
    Deviation(
        "the same version",
        set(),
        "| the same | yes |",
        meddle=everywhere(lambda reply: reply.headers.update({"Clerk-API-Version": "2026-05-12"})),
    ),
    Deviation(
        "an old protocol",
        {"http"},
        "HTTP/1.0, without TLS",
        meddle=everywhere(lambda _: None),
        protocol="HTTP/1.0",
    ),
    Deviation(
        "no compression",
        {"gzip"},
        "0 of ",
        meddle=everywhere(lambda reply: setattr(reply, "is_compressed", False)),
    ),
    Deviation(
        "any key will do",
        {"wrong_key"},
        "| 200 | **no** |",
        meddle=at("/instance", accept_any_key),
    ),
    Deviation(
        "refusals without a code",
        {"error_shape", "wrong_parameter"},
        "no code of Clerk's",
        meddle=everywhere(without_its_code),
    ),
    Deviation(
        "a missing row like an empty one",
        {"missing_row"},
        "| 200 | **no** |",
        meddle=at(f"/users/user_{27 * '0'}", lambda *_: Reply(200, {})),
    ),
    Deviation(
        "an instance of another kind",
        {"instance"},
        "an id, `production`",
        meddle=at("/instance", of_another_kind),
    ),
    Deviation(
        "fields of another type",
        {"field_types"},
        "`users: banned`, `users: email_addresses.verification`",
        meddle=meddled("/users", of_another_type),
    ),
    Deviation(
        "times in seconds",
        {"times"},
        "others in `machines`",
        meddle=meddled("/machines", to_seconds),
    ),
    Deviation(
        "a credential in a row",
        {"credentials"},
        "`oauth_applications: …secret…`",
        meddle=meddled("/oauth_applications", with_a_credential),
    ),
    Deviation(
        "a row twice",
        {"distinct_rows", "total_count"},
        "twice in `domains`",
        meddle=at("/domains", one_too_many),
    ),
    Deviation(
        "a larger page",
        {"over_largest_page"},
        "| 100 to 999 rows | **no** |",
        meddle=where(
            has_largest_limit, lambda asked, ask: ask(asked.with_parameter("limit", "500"))
        ),
    ),
    Deviation(
        "a refusal of the larger page",
        set(),
        "refused: 422 `form_param_value_invalid`",
        meddle=where(has_largest_limit, lambda *_: error(422, "form_param_value_invalid")),
    ),
    Deviation(
        "inclusive filters", set(), "| with those of that very time | yes |", meddle=inclusive
    ),
    Deviation(
        "sessions of all refused",
        set(),
        "refused: 422 `form_param_missing`",
        meddle=where(asks_for_all_sessions, lambda *_: error(422, "form_param_missing")),
    ),
    Deviation(
        "sessions of all not answered",
        {"sessions_of_all", "lists_answer"},
        "failed: 404 `resource_not_found`",
        meddle=where(asks_for_all_sessions, lambda *_: error(404, "resource_not_found")),
    ),
    Deviation(
        "keys of others",
        {"keys_of_owner"},
        "those of others, too",
        meddle=meddled("/api_keys", lambda row: row.update(subject="user_0")),
    ),
    Deviation(
        "another count of members",
        {"members_of_organization"},
        "not as many as `members_count`",
        meddle=meddled(
            "/organizations", lambda row: row.update(members_count=row["members_count"] + 1)
        ),
    ),
    Deviation(
        "no count of members",
        {"members_of_organization"},
        "no `members_count`",
        meddle=meddled("/organizations", lambda row: row.pop("members_count")),
    ),
    Deviation(
        "memberships of others",
        {"memberships_of_user"},
        "those of others, too",
        meddle=meddled("/users/*/organization_memberships", of_somebody_else),
    ),
    Deviation(
        "a role's name for its key",
        {"role_keys"},
        "are no role's",
        meddle=meddled("/organization_memberships", lambda row: row.update(role=row["role_name"])),
    ),
    Deviation(
        "users that are not listed",
        {"references", "memberships_of_user", "single_rows"},
        "1 to 9 rows are missing",
        meddle=meddled("/organization_memberships", of_somebody_else),
    ),
)
