"""The pages that the benchmarks write: docs/benchmarks.md and docs/benchmarks-access.md."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from .reasons import REASONS
from .report import Benchmark, Report, Verdict, table

# Characters in a line.
WIDTH = 104

@dataclass(frozen=True)
class Page:
    """One page, and the text that it begins with."""

    file: str
    head: str


COPYING = Page(
    "benchmarks.md",
    """\
# Benchmarks

Written by `make bench`; do not edit. The synthetic Clerk ([sandbox](../crates/sandbox/README.md)) runs in a
separate process on the same machine and shares its cores with the program under test, so wall times at
low latency include the work of both. All programs are release builds. Each figure is the median of
several runs, with the lowest and highest in brackets; without brackets there was one run, or all runs
agreed. Wall time is from the start of a process to its end. CPU is its user and system time, and peak
memory its largest resident set, as the kernel reports them for that one process (`wait4`). Every run of
clerk-sync must end `complete` and verified, or the benchmarks fail. How fast clerk-access answers is on
[a page of its own](benchmarks-access.md).
""",
)

QUESTIONS = Page(
    "benchmarks-access.md",
    """\
# Benchmarks of clerk-access

Written by `make bench`; do not edit. All programs are release builds. Each figure is the median of several
runs, with the lowest and highest in brackets; without brackets there was one run, or all runs agreed. Wall
time is from the start of a process to its end. CPU is its user and system time, and peak memory its largest
resident set, as the kernel reports them for that one process (`wait4`).
""",
)


def document(
    page: Page, facts: list[tuple[str, str]], outcomes: list[tuple[Benchmark, Report | str]]
) -> str:
    """All sections. Instead of a report, a section may contain the reason why there is none."""
    lines = [page.head, *table(["", "this run"], facts), "## Targets", "", *targets(outcomes)]
    for benchmark, outcome in outcomes:
        lines += [f"## {benchmark.title}", ""]
        lines += outcome.lines if isinstance(outcome, Report) else [f"**Not measured**: {outcome}", ""]
    return "\n".join(wrapped(lines)).rstrip("\n") + "\n"


def wrapped(lines: list[str]) -> Iterator[str]:
    """Wraps paragraphs; leaves tables as they are."""
    for line in lines:
        if len(line) <= WIDTH or line.startswith("|") or "\n" in line:
            yield line
        else:
            yield from textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)


def targets(outcomes: list[tuple[Benchmark, Report | str]]) -> list[str]:
    rows = []
    for benchmark, outcome in outcomes:
        for target in benchmark.targets:
            verdict = outcome.verdicts.get(target) if isinstance(outcome, Report) else None
            rows.append([target, *judged(target, verdict)])
    return table(["target", "measured", "met"], rows)


def judged(target: str, verdict: Verdict | None) -> tuple[str, str]:
    if verdict is None:
        return "not measured", "unknown"
    if verdict.met:
        return verdict.measured, "yes"
    why = (verdict.short, REASONS.get(target))
    return verdict.measured, f"**no**: {'; '.join(reason for reason in why if reason)}"
