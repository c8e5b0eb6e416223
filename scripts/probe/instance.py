"""What the probe has read of an instance, and how the checks ask for more."""

from __future__ import annotations

from dataclasses import dataclass, field

from .clerk import Answer, Clerk
from .codes import Codes
from .findings import NotShown, Odd
from .lists import List
from .pages import Page, page_of
from .rows import Shapes
from .settings import Settings
from .words import rows


@dataclass(frozen=True)
class Read:
    """The first page of a list, or why there is none."""

    list: List
    page: Page | None = None
    # `page`, `refused` (a feature that is off, or a way to read the list that is not open),
    # `failed`, `unreadable` (200, and no page) or `no owner`.
    outcome: str = "page"
    # In words of this repository.
    problem: str = ""
    # Whose rows they are.
    owner: str | None = field(default=None, repr=False)


@dataclass
class Instance:
    settings: Settings
    clerk: Clerk
    lists: list[List]
    shapes: Shapes
    codes: Codes
    # Fields that the program never writes.
    withheld: frozenset[str]
    # The first answer of `/instance`.
    greeting: Answer
    reads: dict[str, Read] = field(default_factory=dict)
    # What `/users/count` says.
    users_total: int | None = None

    def list(self, name: str) -> List:
        return next(one for one in self.lists if one.name == name)

    def page(self, name: str, least: int = 1) -> Page:
        """The first page of a list. Raises NotShown if it was not read, or has fewer rows than
        these."""
        page = self.reads[name].page
        if page is None:
            raise NotShown(f"`{name}` was not read")
        if len(page.ids) < len(page.rows):
            raise NotShown(f"rows of `{name}` have no id")
        if len(page.rows) < least:
            raise NotShown(f"`{name}` has {rows(len(page.rows))}, {least} or more are needed")
        return page

    def whole(self, name: str) -> Page:
        """The page of a list that has one page only. Raises NotShown if there are more."""
        page = self.page(name, least=0)
        total = self.users_total if name == "users" else page.total
        if total is None or total > len(page.rows):
            raise NotShown(f"`{name}` has more than one page")
        return page

    def page_at(self, path: str, *query: tuple[str, str]) -> Page:
        """Requests a page. Raises Odd if the answer has none."""
        answer = self.clerk.ask(path, query)
        if answer.status != 200:
            raise Odd(self.refusal(answer))
        return page_of(answer)

    def refusal(self, answer: Answer) -> str:
        """An answer's status, with its code unless it succeeded."""
        return (
            f"{answer.status}"
            if answer.status < 300
            else f"{answer.status} {self.codes.shown(answer.code)}"
        )

    def count(self, path: str, *query: tuple[str, str]) -> int:
        """Requests a count. Raises Odd if the answer has none."""
        answer = self.clerk.ask(path, query)
        total = answer.json.get("total_count") if isinstance(answer.json, dict) else None
        if answer.status != 200:
            raise Odd(self.refusal(answer))
        if not isinstance(total, int) or isinstance(total, bool):
            raise Odd("200 without a count")
        return total
