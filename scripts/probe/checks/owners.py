"""Rows that belong to somebody: by owner, and as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding, NotShown, judged
from ..instance import Instance
from ..lists import filled
from ..pages import text
from ..words import magnitude, rows, some

# Role keys of instances from before roles had prefixes; no role has them.
_LEGACY_KEYS = {"admin", "basic_member"}


def sessions(seen: Instance) -> Iterator[Finding]:
    read, one = seen.reads["sessions"], seen.list("sessions")
    found = (
        f"answers: {rows(len(read.page.rows))}" if read.page else f"{read.outcome}: {read.problem}"
    )
    yield judged("sessions_of_all", read.outcome in ("page", "refused"), found)
    owners = [text(row, "user_id") for row in read.page.rows] if read.page else []
    user = next(filter(None, owners), None) or seen.page("users").ids[-1]
    if one.by_owner is None or one.by_owner.parameter is None:
        raise NotShown("the program does not read sessions by user")
    theirs = seen.page_at(one.path, *one.page_query((one.by_owner.parameter, user)))
    if not theirs.rows:
        raise NotShown("the user that was asked for has no sessions")
    others = sum(text(row, "user_id") != user for row in theirs.rows)
    yield judged(
        "sessions_of_user", not others, "those of others, too" if others else rows(len(theirs.rows))
    )


def keys_of_owner(seen: Instance) -> Iterator[Finding]:
    theirs = {
        name: read
        for name, read in seen.reads.items()
        if read.owner and read.page and read.page.rows
    }
    if not theirs:
        raise NotShown("no owner that was asked for has API keys")
    off = {
        name
        for name, read in theirs.items()
        if read.page and any(text(row, "subject") != read.owner for row in read.page.rows)
    }
    yield judged(
        "keys_of_owner",
        not off,
        f"those of others, too, in {some(off)}" if off else f"in {some(theirs)}",
    )


def members_of_organization(seen: Instance) -> Iterator[Finding]:
    memberships, organizations = seen.list("organization_memberships"), seen.page("organizations")
    counts = [row.get("members_count") for row in organizations.rows]
    if not all(isinstance(count, int) for count in counts):
        yield judged("members_of_organization", False, "an organization has no `members_count`")
        return
    largest = max(range(len(counts)), key=lambda place: counts[place])
    organization = organizations.ids[largest]
    if memberships.by_owner is None or memberships.by_owner.path is None:
        raise NotShown("the program does not read memberships by organization")
    path = filled(memberships.by_owner.path, {"id": organization})
    page = seen.page_at(path, *memberships.page_query())
    if any(text(row, "organization", "id") != organization for row in page.rows):
        yield judged("members_of_organization", False, "those of others, too")
        return
    is_so = page.total == counts[largest]
    yield judged(
        "members_of_organization",
        is_so,
        rows(len(page.rows)) if is_so else "not as many as `members_count`",
    )


def memberships_of_user(seen: Instance) -> Iterator[Finding]:
    members = [
        text(row, "public_user_data", "user_id")
        for row in seen.page("organization_memberships").rows
    ]
    user, template = next(filter(None, members), None), seen.list("users").memberships
    if user is None or template is None:
        raise NotShown("no membership names a user")
    page = seen.page_at(filled(template, {"id": user}), ("limit", "500"))
    others = sum(text(row, "public_user_data", "user_id") != user for row in page.rows)
    found = "those of others, too" if others else rows(len(page.rows))
    yield judged("memberships_of_user", not others and bool(page.rows), found)


def role_keys(seen: Instance) -> Iterator[Finding]:
    keys = {text(row, "key") for row in seen.whole("organization_roles").rows}
    used = {text(row, "role") for row in seen.page("organization_memberships").rows} - _LEGACY_KEYS
    if not used:
        raise NotShown("all roles of memberships are `admin` or `basic_member`")
    unknown = len(used - keys)
    yield judged(
        "role_keys",
        not unknown,
        f"{magnitude(unknown)} of {magnitude(len(used))} are no role's"
        if unknown
        else f"all of {magnitude(len(used))}",
    )


def references(seen: Instance) -> Iterator[Finding]:
    memberships = seen.page("organization_memberships")
    users, organizations = set(seen.whole("users").ids), set(seen.whole("organizations").ids)
    # A membership without a user belongs to nobody any more, and refers to none.
    users_named = {text(row, "public_user_data", "user_id") for row in memberships.rows} - {None}
    organizations_named = {text(row, "organization", "id") for row in memberships.rows}
    missing = len(users_named - users) + len(organizations_named - organizations)
    found = f"{rows(missing)} are missing" if missing else f"of {rows(len(memberships.rows))}"
    yield judged("references", not missing, found)
