"""Pages of lists, in the two shapes that Clerk has for them."""

from __future__ import annotations

from dataclasses import dataclass

from .clerk import Answer
from .findings import Odd

ARRAY = "a bare array"
COUNTED = "`data` and `total_count`"


@dataclass(frozen=True)
class Page:
    rows: list[dict]
    # `None` in a bare array, which has none.
    total: int | None
    shape: str

    @property
    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows if isinstance(row.get("id"), str)]


def page_of(answer: Answer) -> Page:
    """The page in an answer of status 200. Raises Odd if it has none."""
    content = answer.json
    if isinstance(content, list):
        return Page(_objects(content), None, ARRAY)
    if not isinstance(content, dict):
        raise Odd("no page of a list")
    listed, total = content.get("data"), content.get("total_count")
    if not isinstance(listed, list):
        raise Odd("no page of a list: `data` is no array")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise Odd("no page of a list: `total_count` is no count")
    return Page(_objects(listed), total, COUNTED)


def _objects(listed: list) -> list[dict]:
    if not all(isinstance(row, dict) for row in listed):
        raise Odd("no page of a list: a row is no object")
    return listed


def created_at(row: dict) -> float | None:
    value = row.get("created_at")
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def text(row: dict, *path: str) -> str | None:
    """A text in a row, by its path; `None` if there is none, or an empty one."""
    value: object = row
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None
