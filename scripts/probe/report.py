"""The report: Markdown that can be pasted into an issue, because it holds nothing of what was read.

It is made of words of this repository and of rounded numbers: what Clerk sends is compared, and
never copied.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from .assumptions import ASSUMPTIONS
from .checks.connection import kind_of
from .checks.each_list import absent_fields, order_of
from .clerk import MAX_REQUESTS
from .findings import Findings, Verdict
from .instance import Instance, Read
from .words import magnitude

_MARKS = {Verdict.HOLDS: "yes", Verdict.BROKEN: "**no**", Verdict.NOT_SHOWN: "not shown"}


def report(seen: Instance, findings: Findings, version: str) -> str:
    """The whole report."""
    sections = (_head(seen, findings, version), _assumptions(findings), _lists(seen), _absent(seen))
    return "\n".join(line for section in sections for line in (*section, ""))


def _head(seen: Instance, findings: Findings, version: str) -> Iterator[str]:
    yield "## What a live Clerk answered"
    yield ""
    today = datetime.datetime.now(datetime.UTC).date()
    yield f"- clerk-sync {version}, `Clerk-API-Version` {seen.settings.api_version}, {today}"
    where = "Clerk's own address" if seen.settings.is_clerks else "another address than Clerk's own"
    yield f"- environment: {kind_of(seen.greeting)}; {where}"
    again = sum(seen.clerk.asked_again.values())
    why = ", ".join(
        f"{count} × {reason}" for reason, count in sorted(seen.clerk.asked_again.items())
    )
    yield f"- {seen.clerk.requests} of at most {MAX_REQUESTS} requests, all of them GET" + (
        f"; {again} of them because of {why}" if again else ""
    )
    holds, broken, unknown = (findings.count(verdict) for verdict in Verdict)
    counts = f"{holds} hold, {broken} do not, and {unknown} were not shown"
    yield f"- of {len(ASSUMPTIONS)} assumptions, {counts}"


def _assumptions(findings: Findings) -> Iterator[str]:
    yield "| assumption | expected | found | ok |"
    yield "| --- | --- | --- | --- |"
    for assumption, finding in zip(ASSUMPTIONS, findings.in_order(), strict=True):
        says = f"`{assumption.name}`: {assumption.says}"
        yield f"| {says} | {assumption.expected} | {finding.found} | {_MARKS[finding.verdict]} |"


def _lists(seen: Instance) -> Iterator[str]:
    yield "| list | answer | rows | in all | order |"
    yield "| --- | --- | --- | --- | --- |"
    for name, read in seen.reads.items():
        yield f"| `{name}` | {' | '.join(_list(seen, read))} |"


def _list(seen: Instance, read: Read) -> tuple[str, ...]:
    if read.page is None:
        return (f"{read.outcome}: {read.problem}", "–", "–", "–")
    total = seen.users_total if read.list.name == "users" else read.page.total
    in_all = "–" if total is None else magnitude(total)
    return ("200", magnitude(len(read.page.rows)), in_all, order_of(read.page))


def _absent(seen: Instance) -> Iterator[str]:
    """What is `null` in every record: perhaps because a field has another name by now."""
    yield "Fields that the program reads and no row had:"
    yield ""
    with_rows = [name for name, read in seen.reads.items() if read.page and read.page.rows]
    absent = {name: absent_fields(seen, name) for name in with_rows}
    for name, fields in absent.items():
        if fields:
            yield f"- `{name}`: {', '.join(f'`{field}`' for field in sorted(fields))}"
    if not any(absent.values()):
        yield "- none"
