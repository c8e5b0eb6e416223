"""The requests for one row: those of `lookup`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from ..findings import Finding, NotShown, Odd, judged
from ..instance import Instance
from ..lists import RowRequest
from ..pages import page_of, text
from ..words import some

# As `lookup` asks for.
_MAX_ROWS = "100"

# What `lookup` puts into a path.
_PATH_SAFE = re.compile(r"[A-Za-z0-9_-]+")

# Where a row has the fields of a `lookup`, if not under their own names.
_PLACES = {
    "organization_id": (("organization_id",), ("organization", "id")),
    "user_id": (("user_id",), ("public_user_data", "user_id")),
}


def single_rows(seen: Instance) -> Iterator[Finding]:
    asked, off = 0, set()
    for name, read in seen.reads.items():
        by_fields = itertools.groupby(
            read.list.row_requests, key=lambda request: frozenset(request.fields())
        )
        for fields, requests in by_fields:
            row = _row_with(read.page.rows if read.page else [], fields)
            # A list that has all its rows on one page was asked for before.
            if row is None or not fields:
                continue
            asked += 1
            ways = list(requests)
            if not any(_finds(seen, way, row) for way in ways):
                off.add(f"{name}: {_shown(ways[0])}")
    if not asked:
        raise NotShown("no list has rows")
    yield judged("single_rows", not off, f"not by {some(off)}" if off else f"in all {asked} ways")


def _row_with(rows: list[dict], fields: frozenset[str]) -> dict | None:
    """The last row with these fields: the first would also be on a page that was not filtered."""
    return next(
        (
            row
            for row in reversed(rows)
            if text(row, "id") and fields <= _values(row, fields).keys()
        ),
        None,
    )


def _values(row: dict, fields: frozenset[str]) -> dict[str, str]:
    values = {}
    for name in fields:
        found = [text(row, *path) for path in _PLACES.get(name, ((name,),))]
        if name == "email_address" and isinstance(row.get("email_addresses"), list):
            addresses = [address for address in row["email_addresses"] if isinstance(address, dict)]
            found = [text(address, "email_address") for address in addresses]
        first = next(filter(None, found), None)
        if first:
            values[name] = first
    return values


def _finds(seen: Instance, request: RowRequest, row: dict) -> bool:
    values = _values(row, frozenset(request.fields()))
    in_path = re.findall(r"\{(\w+)\}", request.path)
    if not all(_PATH_SAFE.fullmatch(values[name]) for name in in_path):
        return True
    path, query = request.filled(values)
    if request.answer != "row":
        query = (*query, ("limit", _MAX_ROWS))
    answer = seen.clerk.ask(path, query)
    if answer.status != 200:
        return False
    if request.answer == "row":
        return isinstance(answer.json, dict) and answer.json.get("id") == row["id"]
    try:
        page = page_of(answer)
    except Odd:
        return False
    is_filtered = request.answer == "among" or len(page.rows) < int(_MAX_ROWS)
    return row["id"] in page.ids and is_filtered


def _shown(request: RowRequest) -> str:
    """The request as the program's table has it, with names in the place of values."""
    query = "&".join(f"{name}={value}" for name, value in request.query)
    return f"{request.path}?{query}" if query else request.path
