"""The lists that the program reads, taken from its own table (src/lists/table.rs), so that none can
be forgotten here."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass

from .rust import Call, Code, NotUnderstood, Record, Source, Symbol

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RowRequest:
    """A request for one row. Path and query have fields of the row in braces."""

    path: str
    query: Query
    # `row`: the row itself; `page`: the rows that match a filter; `among`: a list that has it.
    answer: str

    def fields(self) -> set[str]:
        """The fields of the row that it needs."""
        return set(
            re.findall(r"\{(\w+)\}", " ".join([self.path, *(value for _, value in self.query)]))
        )

    def filled(self, values: dict[str, str]) -> tuple[str, Query]:
        """Its path and query for a row with these values."""
        return filled(self.path, values), tuple(
            (name, filled(text, values)) for name, text in self.query
        )


def filled(template: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)


@dataclass(frozen=True)
class ByOwner:
    """How the rows of one owner are asked for: by a parameter, or at a path with `{id}` in it."""

    owners: str
    parameter: str | None
    path: str | None
    # What the list as a whole gives: `complete`, `doubtful` (it may be refused) or `missing`.
    whole: str


@dataclass(frozen=True)
class List:
    """One list of Clerk's, as the program reads it."""

    # As in the checkpoint: `users`, `invitations.1`.
    name: str
    resource: str
    path: str
    query: Query
    page_rows: int
    # `cursor`, `offset` or `whole`.
    paging: str
    # Whether it ascends by `created_at`.
    ascends: bool
    count_path: str | None
    by_owner: ByOwner | None
    # Where the memberships of one of its rows are, with the row's id in braces.
    memberships: str | None
    # Fields without which a row is of no use, by Clerk's names, with dots.
    needed: frozenset[str]
    row_requests: tuple[RowRequest, ...]
    # The struct that a row is read into: `wire::User`.
    row: str

    def page_query(self, *more: tuple[str, str]) -> Query:
        """The query of its first page, the largest one."""
        limit = () if self.paging == "whole" else (("limit", str(self.page_rows)),)
        return (*self.query, *limit, *more)


def read(root: pathlib.Path) -> list[List]:
    """Every list that is asked for, in the order of the table.

    Raises NotUnderstood if the table has a form that is not known, or does not name every resource.
    """
    source = Source()
    for name in ("table.rs", "endpoint.rs", "row_request.rs"):
        source.add((root / "src/lists" / name).read_text(encoding="utf-8"))
    names = resources(root)
    entries = source.constant("ENDPOINTS")
    lists = [_list(entry, names) for entry in entries if entry.fields["phase"].name != "Derived"]
    # Those made from other lists included.
    without = set(names) - {entry.fields["resource"].name for entry in entries}
    if not names or without:
        raise NotUnderstood(f"no list is found for {', '.join(sorted(without)) or 'any resource'}")
    return lists


def resources(root: pathlib.Path) -> dict[str, str]:
    """The resources: the name in the code, and that in settings."""
    text = (root / "crates/snapshot/src/resource.rs").read_text(encoding="utf-8")
    declared = text.partition('Resource, "resource":\n')[2].partition("named! {")[0]
    return dict(re.findall(r'^    (\w+) = "(\w+)",$', declared, re.MULTILINE))


def _list(entry: Record, names: dict[str, str]) -> List:
    fields = entry.fields
    resource, index = names[fields["resource"].name], fields["index"]
    paging, ascends, count_path = _paging(fields["paging"])
    needed = {"id", *fields["needed"], *(["created_at"] if ascends else [])}
    return List(
        name=resource if index == 0 else f"{resource}.{index}",
        resource=resource,
        path=fields["path"],
        query=_query(fields["query"]),
        page_rows=fields["page_rows"],
        paging=paging,
        ascends=ascends,
        count_path=count_path,
        by_owner=_by_owner(fields["by_owner"], names),
        memberships=fields["memberships"] and _path_by_id(fields["memberships"].text),
        needed=frozenset(needed),
        row_requests=tuple(map(_row_request, fields["row_requests"])),
        row=_row(fields["rows"]),
    )


def _query(pairs: list) -> Query:
    return tuple((name, value) for name, value in pairs)


def _paging(paging: Symbol | Call | Record) -> tuple[str, bool, str | None]:
    match paging:
        case Record("Paging::Cursor", {"count_path": str(count_path)}):
            return "cursor", True, count_path
        case Call("Paging::Offset", [Symbol("Order::Creation" | "Order::Any") as order]):
            return "offset", order.name == "Creation", None
        case Symbol("Paging::SinglePage"):
            return "whole", False, None
    raise NotUnderstood("a way of paging is not known")


def _by_owner(by_owner: Record | None, names: dict[str, str]) -> ByOwner | None:
    if by_owner is None:
        return None
    fields = by_owner.fields
    parameter = path = None
    match fields["rows"]:
        case Call("RowsOfOwner::Filter", [str(parameter)]):
            pass
        case Call("RowsOfOwner::Path", [Code(text)]):
            path = _path_by_id(text)
        case _:
            raise NotUnderstood("how an owner's rows are asked for is not known")
    return ByOwner(names[fields["owners"].name], parameter, path, fields["whole"].name.lower())


def _path_by_id(function: str) -> str:
    """The path that a function of one id makes."""
    found = re.search(r'format!\("(/[^"{]*)\{\w+\}([^"{]*)"\)', function)
    if not found:
        raise NotUnderstood("a path with an owner's id is not known")
    return f"{found[1]}{{id}}{found[2]}"


def _row_request(request: Record) -> RowRequest:
    fields = request.fields
    return RowRequest(fields["path"], _query(fields["query"]), fields["answer"].name.lower())


def _row(rows: Call) -> str:
    match rows:
        case Call("Rows::Single" | "Rows::PageAtOnce", [Code(text), *_]):
            found = re.search(r"read_(?:row|page)::<(\w+::\w+)", text)
            if found:
                return found[1]
    raise NotUnderstood("how a list's rows are read is not known")
