"""Every list of the program's table, asked for once: its shape, rows, count and order."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

from ..clerk import NoAnswer
from ..findings import Finding, NotShown, Odd, judged, not_shown
from ..instance import Instance, Read
from ..lists import ByOwner, List, Query, filled
from ..pages import ARRAY, COUNTED, Page, created_at, page_of
from ..rows import Judged, judge, known_fields
from ..words import magnitude, some

# The page size without `limit` (Clerk OpenAPI 2026-05-12, parameter `limit`).
DEFAULT_PAGE = 10

# 1973 and 2100: whoever writes seconds or microseconds is far outside.
_TIMES = (100_000_000_000, 4_102_444_800_000)

# Words in the names of credentials, and endings of names that are none.
_CREDENTIAL = re.compile(
    r"secret|token|password|private_key|credential|ticket|certificate|backup_code"
)
_NO_CREDENTIAL = re.compile(
    r"_(url|urls|id|ids|at|type|ttl|enabled|count)$|^(public|private|unsafe)_metadata$|^claims$"
)
_DEEPEST = 20

# How many owners are asked for their rows, until one has some.
_OWNERS_ASKED = 3


def read_lists(seen: Instance) -> None:
    """Requests the first page of each list, and the number of users.

    Raises Spent if the requests are used up.
    """
    by_request: dict[tuple[str, Query], Read] = {}
    for one in seen.lists:
        if one.by_owner and one.by_owner.whole == "missing":
            seen.reads[one.name] = _read_of_owner(seen, one, one.by_owner)
            continue
        request = one.path, one.page_query()
        read = by_request.get(request) or _read(seen, one, *request)
        by_request[request] = read
        # Two entries of the table may ask for the same page, and read other fields of its rows.
        seen.reads[one.name] = Read(one, read.page, read.outcome, read.problem)


def _read_of_owner(seen: Instance, one: List, by_owner: ByOwner) -> Read:
    """The rows of the newest owner that has some, among the first few."""
    owners = seen.reads[by_owner.owners].page if by_owner.owners in seen.reads else None
    read = Read(one, outcome="no owner", problem="no owner is known")
    for owner in reversed(owners.ids[-_OWNERS_ASKED:] if owners else []):
        if by_owner.path:
            request = filled(by_owner.path, {"id": owner}), one.page_query()
        else:
            request = one.path, one.page_query((by_owner.parameter or "", owner))
        read = replace(_read(seen, one, *request), owner=owner)
        if read.page is None or read.page.rows:
            break
    return read


def _read(seen: Instance, one: List, path: str, query: Query) -> Read:
    try:
        answer = seen.clerk.ask(path, query)
    except NoAnswer as problem:
        return Read(one, outcome="failed", problem=str(problem))
    if answer.status != 200:
        is_open = (
            one.by_owner is not None
            and one.by_owner.whole == "doubtful"
            and answer.status in (400, 422)
        )
        is_refused = is_open or seen.codes.is_without_the_feature(answer.status, answer.code)
        return Read(
            one, outcome="refused" if is_refused else "failed", problem=seen.refusal(answer)
        )
    try:
        return Read(one, page_of(answer))
    except Odd as problem:
        return Read(one, outcome="unreadable", problem=str(problem))


def answers(seen: Instance) -> Iterator[Finding]:
    failed = {name: read.problem for name, read in seen.reads.items() if read.outcome == "failed"}
    refused = {name: read.problem for name, read in seen.reads.items() if read.outcome == "refused"}
    asked = sum(read.outcome != "no owner" for read in seen.reads.values())
    found = f"{asked - len(failed) - len(refused)} of {asked} lists"
    if refused:
        found += f"; skipped: {_with_problems(refused)}"
    yield judged(
        "lists_answer",
        not failed,
        f"{found}; failed: {_with_problems(failed)}" if failed else found,
    )
    others = {
        name: read.problem for name, read in seen.reads.items() if read.outcome == "unreadable"
    }
    for name, page in _pages(seen).items():
        expected = ARRAY if seen.list(name).paging == "cursor" else COUNTED
        if page.shape != expected:
            others[name] = page.shape
    found = (
        _with_problems(others) if others else f"{len(_pages(seen))} of {len(_pages(seen))} pages"
    )
    yield judged("page_shape", not others, found)


def fields(seen: Instance) -> Iterator[Finding]:
    compared = {name: judgement(seen, name) for name, page in _pages(seen).items() if page.rows}
    if not compared:
        raise NotShown("no list has rows")
    unfit = {
        f"{name}: {path}" for name, judged_rows in compared.items() for path in judged_rows.unfit
    }
    odd = {f"{name}: {path}" for name, judged_rows in compared.items() for path in judged_rows.odd}
    lists = f"in {len(compared)} lists with rows"
    yield judged("needed_fields", not unfit, f"not in {some(unfit)}" if unfit else lists)
    yield judged("field_types", not odd, f"not in {some(odd)}" if odd else lists)
    off = {
        name
        for name, judged_rows in compared.items()
        if any(_is_off(time) for time in judged_rows.times)
    }
    yield judged("times", not off, f"others in {some(off)}" if off else lists)
    yield _credentials(seen)


def judgement(seen: Instance, name: str) -> Judged:
    """What the first page of a list shows of the fields of its rows."""
    page = seen.reads[name].page
    return judge(
        seen.shapes.of(seen.list(name).row), page.rows if page else [], seen.list(name).needed
    )


def absent_fields(seen: Instance, name: str) -> set[str]:
    """The fields that the program reads and no row of the first page had; of an absent object only
    itself."""
    present = judgement(seen, name).present
    absent = {
        path for path in known_fields(seen.shapes.of(seen.list(name).row)) if path not in present
    }
    return {path for path in absent if path.rpartition(".")[0] in ("", *present)}


def _is_off(time: float) -> bool:
    return time > 0 and not _TIMES[0] <= time <= _TIMES[1]


def _credentials(seen: Instance) -> Finding:
    withheld = set(seen.withheld)
    found = {
        f"{name}: …{word}…"
        for name, page in _pages(seen).items()
        for row in page.rows
        for word in _credential_words(row, withheld, _DEEPEST)
    }
    return judged("credentials", not found, f"in {some(found)}" if found else "none")


def _credential_words(value: object, withheld: set[str], depth: int) -> Iterator[str]:
    """The words that give away a credential, of the names of fields with text in them."""
    if depth == 0:
        return
    if isinstance(value, list):
        for element in value:
            yield from _credential_words(element, withheld, depth - 1)
    for name, content in value.items() if isinstance(value, dict) else ():
        if name in withheld or _NO_CREDENTIAL.search(name):
            continue
        word = _CREDENTIAL.search(name)
        if word and _holds_text(content):
            yield word[0]
        yield from _credential_words(content, withheld, depth - 1)


def _holds_text(content: object) -> bool:
    texts = content if isinstance(content, list) else [content]
    return any(isinstance(text, str) and text for text in texts)


def counts(seen: Instance) -> Iterator[Finding]:
    pages = _pages(seen)
    repeated = {name for name, page in pages.items() if len(set(page.ids)) < len(page.ids)}
    found = f"twice in {some(repeated)}" if repeated else f"in {len(pages)} lists"
    yield judged("distinct_rows", not repeated, found)
    off = {
        name
        for name, page in pages.items()
        if page.total is not None and not _is_full(seen, name, page.total)
    }
    counted = sum(page.total is not None for page in pages.values())
    found = f"not in {some(off)}" if off else f"in {counted} lists"
    yield judged("total_count", not off, found)


def users_count(seen: Instance) -> Iterator[Finding]:
    users = seen.list("users")
    seen.users_total = seen.count(users.count_path or "")
    seen.page("users", least=0)
    is_so = _is_full(seen, "users", seen.users_total)
    yield judged("users_count", is_so, magnitude(seen.users_total) if is_so else "another number")


def largest_page(seen: Instance) -> Iterator[Finding]:
    rows = {name: len(page.rows) for name, page in _pages(seen).items()}
    larger = {
        name
        for name, page in _pages(seen).items()
        if ((seen.users_total if name == "users" else page.total) or 0) > DEFAULT_PAGE
    }
    short = {name for name in larger if rows[name] <= DEFAULT_PAGE}
    if not larger:
        raise NotShown(f"no list has more than {DEFAULT_PAGE} rows")
    most = magnitude(max(rows[name] for name in larger))
    yield judged(
        "largest_page", not short, f"not in {some(short)}" if short else f"up to {most} rows"
    )


def _is_full(seen: Instance, name: str, total: int) -> bool:
    one, page = seen.list(name), seen.reads[name].page
    most = total if one.paging == "whole" else one.page_rows
    return page is not None and len(page.rows) == min(total, most)


def order(seen: Instance) -> Iterator[Finding]:
    ascending = {
        name: page
        for name, page in _pages(seen).items()
        if seen.list(name).ascends and len(page.rows) > 1
    }
    if not ascending:
        raise NotShown("no such list has two rows")
    off = {
        name
        for name, page in ascending.items()
        if order_of(page) not in ("ascending", "all at once")
    }
    yield judged(
        "ascending_order", not off, f"not in {some(off)}" if off else f"in {len(ascending)} lists"
    )


def order_of(page: Page) -> str:
    """How `created_at` goes on from row to row."""
    times = [created_at(row) for row in page.rows]
    if len(times) < 2:
        return "–"
    pairs = [
        (one, other)
        for one, other in itertools.pairwise(times)
        if one is not None and other is not None
    ]
    if len(pairs) < len(times) - 1:
        return "no times"
    if all(one == other for one, other in pairs):
        return "all at once"
    if all(one <= other for one, other in pairs):
        return "ascending"
    return "descending" if all(one >= other for one, other in pairs) else "none"


def invitation_status(seen: Instance) -> Iterator[Finding]:
    others = {row.get("status") == "revoked" for row in seen.page("invitations", least=0).rows}
    revoked = {row.get("status") == "revoked" for row in seen.page("invitations.1", least=0).rows}
    if not others and not revoked:
        yield not_shown("invitation_status", "there are no invitations")
        return
    found = [
        text
        for text, is_so in (("a revoked one", True in others), ("another one", False in revoked))
        if is_so
    ]
    yield judged("invitation_status", not found, " and ".join(found) or "as expected")


def _pages(seen: Instance) -> dict[str, Page]:
    return {name: read.page for name, read in seen.reads.items() if read.page}


def _with_problems(problems: dict[str, str]) -> str:
    return ", ".join(f"`{name}` ({problem})" for name, problem in sorted(problems.items()))
