"""How a list goes on: by cursor, and by offset."""

from __future__ import annotations

from collections.abc import Iterator

from ..clerk import Answer
from ..findings import Finding, NotShown, Odd, broken, holds, judged
from ..instance import Instance
from ..lists import List
from ..pages import Page, page_of
from ..words import magnitude, rows
from .connection import NOBODY
from .each_list import DEFAULT_PAGE

# As few as show where a page begins.
_FEW = 4

# An offset counts as slow from here on: seconds, and how many times as long as the first row takes
# (docs/decisions/0014-memberships-by-organization.md).
_SLOW_SECONDS, _SLOW_TIMES = 1, 4


def cursor(seen: Instance) -> Iterator[Finding]:
    users, page = seen.list("users"), seen.page("users", least=_FEW)
    following = seen.page_at(
        users.path, *users.query, ("limit", "2"), ("starting_after", page.ids[1])
    )
    yield judged("cursor", following.ids == page.ids[2:4], _place(following, page))


def wrong_cursors(seen: Instance) -> Iterator[Finding]:
    users = seen.list("users")
    nobody = seen.clerk.ask(users.path, (*users.query, ("limit", "2"), ("starting_after", NOBODY)))
    yield judged("cursor_of_nobody", nobody.status == 422, _what_came(seen, nobody))
    last = seen.page("users").ids[-1]
    both = seen.clerk.ask(
        users.path, (*users.query, ("limit", "2"), ("starting_after", last), ("offset", "1"))
    )
    yield judged("cursor_with_offset", both.status == 422, _what_came(seen, both))


def cursor_of_deleted(seen: Instance) -> Iterator[Finding]:
    """The probe deletes nobody: somebody has to, and say whom."""
    user, users = seen.settings.deleted_user, seen.list("users")
    if user is None:
        raise NotShown("skipped: PROBE_DELETED_USER names no user that you have deleted")
    if seen.clerk.ask(f"/users/{user}").status != 404:
        raise NotShown("skipped: the user of PROBE_DELETED_USER was not deleted")
    first = seen.page_at(users.path, *users.query, ("limit", "2"))
    answer = seen.clerk.ask(users.path, (*users.query, ("limit", "2"), ("starting_after", user)))
    if answer.status == 422:
        yield holds("cursor_of_deleted", f"refused: {seen.refusal(answer)}")
    elif answer.status != 200:
        yield broken("cursor_of_deleted", seen.refusal(answer))
    else:
        page = page_of(answer)
        found = (
            "begins anew"
            if page.ids == first.ids
            else "continues"
            if page.rows
            else "ends the list"
        )
        yield holds("cursor_of_deleted", found)


def offset(seen: Instance) -> Iterator[Finding]:
    off = []
    lists = _longest(seen)
    for one in lists:
        page = seen.page(one.name)
        following = seen.page_at(one.path, *one.query, ("limit", "2"), ("offset", "2"))
        if following.ids != page.ids[2:4]:
            off.append(f"`{one.name}`: {_place(following, page)}")
    yield judged(
        "offset", not off, ", ".join(off) or f"in {' and '.join(f'`{one.name}`' for one in lists)}"
    )


def offset_depth(seen: Instance) -> Iterator[Finding]:
    found, is_so = [], True
    for one in _longest(seen):
        total = seen.users_total if one.name == "users" else seen.page(one.name).total
        if not total:
            continue
        first = seen.clerk.ask(one.path, (*one.query, ("limit", "1"), ("offset", "0")))
        last = seen.clerk.ask(one.path, (*one.query, ("limit", "1"), ("offset", str(total - 1))))
        if last.status != 200:
            raise Odd(seen.refusal(last))
        is_slow = last.seconds > _SLOW_SECONDS and last.seconds > _SLOW_TIMES * first.seconds
        listed = len(page_of(last).rows)
        is_so = is_so and listed == 1 and not is_slow
        what = "one row" if listed == 1 else rows(listed)
        slow = ", slow" if is_slow else ""
        found.append(f"`{one.name}`: {what} behind {magnitude(total - 1)}{slow}")
    if not found:
        raise NotShown("no count is known")
    yield judged("offset_depth", is_so, "; ".join(found))


def offset_beyond_end(seen: Instance) -> Iterator[Finding]:
    one = _longest(seen)[-1]
    total = (seen.users_total if one.name == "users" else seen.page(one.name).total) or 0
    page = seen.page_at(one.path, *one.query, ("limit", "2"), ("offset", str(total + 1000)))
    yield judged("offset_beyond_end", not page.rows, f"200 and {rows(len(page.rows))}")


def over_largest_page(seen: Instance) -> Iterator[Finding]:
    users = seen.list("users")
    if (seen.users_total or 0) <= DEFAULT_PAGE:
        raise NotShown(f"there are no more than {DEFAULT_PAGE} users")
    answer = seen.clerk.ask(users.path, (*users.query, ("limit", str(users.page_rows + 1))))
    if answer.status == 422:
        yield holds("over_largest_page", f"refused: {seen.refusal(answer)}")
        return
    if answer.status != 200:
        raise Odd(seen.refusal(answer))
    listed = len(page_of(answer).rows)
    if listed == DEFAULT_PAGE:
        yield holds("over_largest_page", f"{DEFAULT_PAGE} rows without notice")
    else:
        yield broken("over_largest_page", rows(listed))


def _longest(seen: Instance) -> list[List]:
    """Users, and the list by offset with the longest first page, if they have a few rows."""
    by_offset = [
        (len(read.page.rows), name)
        for name, read in seen.reads.items()
        if read.page and read.list.paging == "offset" and read.list.ascends and read.owner is None
    ]
    names = ["users", *(name for _, name in sorted(by_offset)[-1:])]
    lists = []
    for name in names:
        page = seen.reads[name].page
        if page and len(page.rows) >= _FEW and len(page.ids) == len(page.rows):
            lists.append(seen.list(name))
    if not lists:
        raise NotShown(f"no list has {_FEW} rows")
    return lists


def _place(following: Page, page: Page) -> str:
    """Where a page of two rows, which should be the third and the fourth, begins."""
    if following.ids == page.ids[2:4]:
        return "the next rows"
    if following.ids[:1] == page.ids[:1]:
        return "the first rows again"
    return "other rows" if following.rows else "no rows"


def _what_came(seen: Instance, answer: Answer) -> str:
    if answer.status != 200:
        return seen.refusal(answer)
    return f"200 and {rows(len(page_of(answer).rows))}"
