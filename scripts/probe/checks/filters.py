"""Filters that the program sends: by time, and by id."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding, NotShown, broken, holds, judged
from ..instance import Instance
from ..pages import Page, created_at
from ..words import rows

# A list this short shows whether a filter is applied.
_FEW = 3


def created_at_before(seen: Instance) -> Iterator[Finding]:
    users, page = seen.list("users"), seen.page("users", least=_FEW)
    times = _times(page)
    pivot = _pivot(times)
    bound = ("created_at_before", str(pivot))
    counted = seen.count(users.count_path or "", bound)
    listed = seen.page_at(users.path, *users.page_query(bound))
    earlier, at_once = sum(time < pivot for time in times), times.count(pivot)
    yield _bounded("created_at_before", earlier, at_once, counted, len(listed.rows))


def created_at_after(seen: Instance) -> Iterator[Finding]:
    users, page = seen.list("users"), seen.page("users", least=_FEW)
    times = _times(page)
    pivot = _pivot(times)
    if seen.users_total is None:
        raise NotShown("the users were not counted")
    bound = ("created_at_after", str(pivot))
    counted = seen.count(users.count_path or "", bound)
    listed = seen.page_at(users.path, *users.page_query(bound))
    at_once = times.count(pivot)
    later = seen.users_total - sum(time <= pivot for time in times)
    # Behind the first page nobody knows how many there are but by the count.
    most = users.page_rows
    yield _bounded(
        "created_at_after",
        later,
        at_once,
        counted,
        counted if len(listed.rows) == most else len(listed.rows),
    )


def _bounded(name: str, beyond: int, at_once: int, counted: int, listed: int) -> Finding:
    """Compares count and list with the rows beyond a time, and those of that very time."""
    if counted != listed:
        return broken(name, "list and count differ")
    if counted == beyond:
        return holds(name, "without those of that very time")
    return judged(
        name,
        counted == beyond + at_once,
        "with those of that very time"
        if counted == beyond + at_once
        else f"{rows(counted)} instead of {rows(beyond)}",
    )


def window(seen: Instance) -> Iterator[Finding]:
    """As the program divides users into windows: with a millisecond more at each end."""
    users, page = seen.list("users"), seen.page("users", least=_FEW)
    times = _times(page)
    begin, end = times[len(times) // 3], times[2 * len(times) // 3]
    if begin == end:
        raise NotShown("the users were created at once")
    bounds = (("created_at_after", str(begin - 1)), ("created_at_before", str(end)))
    listed = seen.page_at(users.path, *users.page_query(*bounds))
    inside = {user for user, time in zip(page.ids, times, strict=True) if begin <= time < end}
    others = [
        row
        for row in listed.rows
        if row.get("id") not in inside and created_at(row) not in (begin - 1, end)
    ]
    if others or not inside <= set(listed.ids):
        yield broken("window", f"{rows(len(listed.rows))} instead of {rows(len(inside))}")
        return
    behind = seen.page_at(users.path, *users.page_query(*bounds, ("starting_after", listed.ids[0])))
    is_so = behind.ids[: len(listed.ids) - 1] == listed.ids[1:]
    yield judged("window", is_so, "its users" if is_so else "other users with the cursor")


def last_active_at_after(seen: Instance) -> Iterator[Finding]:
    users, page = seen.list("users"), seen.whole("users")
    active = {
        user: time
        for user, row in zip(page.ids, page.rows, strict=False)
        if isinstance(time := row.get("last_active_at"), int) and time > 0
    }
    if len(set(active.values())) < _FEW:
        raise NotShown("too few users were active")
    pivot = sorted(active.values())[len(active) // 2]
    listed = seen.page_at(users.path, *users.page_query(("last_active_at_after", str(pivot))))
    later = {user for user, time in active.items() if time > pivot}
    at_once = {user for user, time in active.items() if time == pivot}
    if set(listed.ids) == later:
        yield holds("last_active_at_after", "without those of that very time")
        return
    is_so = set(listed.ids) == later | at_once
    other = f"{rows(len(listed.rows))} instead of {rows(len(later))}"
    yield judged("last_active_at_after", is_so, "with those of that very time" if is_so else other)


def id_filters(seen: Instance) -> Iterator[Finding]:
    asked, off = [], []
    for name, parameter in (("users", "user_id"), ("organizations", "organization_id")):
        one, page = seen.list(name), seen.reads[name].page
        if page is None or len(page.ids) < _FEW:
            continue
        wanted = page.ids[-2:]
        listed = seen.page_at(
            one.path, *one.query, ("limit", "100"), *((parameter, row) for row in wanted)
        )
        asked.append(f"`{parameter}`")
        if sorted(listed.ids) != sorted(wanted):
            off.append(f"`{parameter}`: {rows(len(listed.rows))} instead of two")
    if not asked:
        raise NotShown(f"neither users nor organizations have {_FEW} rows")
    yield judged("id_filters", not off, ", ".join(off) or " and ".join(asked))


def _times(page: Page) -> list[int]:
    """When the users of the first page were created, in its order."""
    times = [created_at(row) for row in page.rows]
    whole = [int(time) for time in times if time is not None]
    if len(whole) < len(times) or whole != sorted(whole):
        raise NotShown("`users` is not in the order of `created_at`")
    return whole


def _pivot(times: list[int]) -> int:
    """A time with users before and after it, as near to the middle as possible."""
    between = [time for time in times if times[0] < time < times[-1]]
    if not between:
        raise NotShown("too few users were created at different times")
    return between[len(between) // 2]
