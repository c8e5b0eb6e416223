"""The document that the benchmarks write."""

import textwrap
from collections.abc import Iterator

from .reasons import REASONS
from .report import Benchmark, Report, Verdict, table

# Characters of a line, as in the other documents.
WIDTH = 104

HEAD = """\
# Benchmarks

Written by `make bench`; do not edit. The synthetic Clerk ([sandbox](../crates/sandbox/README.md)) runs in a
process of its own on the same machine and shares its cores with what is measured, so that wall times
at low latency are of both together. Everything is the release build. Each figure is the median of
several runs, and the least and the most of them in brackets; without brackets there was one run, or all
agreed. Wall time is from the start of a process to its end; CPU is its user and system time and peak
memory its largest resident set, as the kernel counts them for that one process (`wait4`). Every run of
clerk-sync must end `complete` and verified, or the benchmarks fail.
"""


def document(facts: list[tuple[str, str]], outcomes: list[tuple[Benchmark, Report | str]]) -> str:
    """All sections; in place of a report there may be the reason why there is none."""
    lines = [HEAD, *table(["", "this run"], facts), "## The promises", "", *promises(outcomes)]
    for benchmark, outcome in outcomes:
        lines += [f"## {benchmark.title}", ""]
        lines += outcome.lines if isinstance(outcome, Report) else [f"**Not measured**: {outcome}", ""]
    return "\n".join(wrapped(lines)).rstrip("\n") + "\n"


def wrapped(lines: list[str]) -> Iterator[str]:
    """Paragraphs in lines of a length that can be read; tables as they are."""
    for line in lines:
        if len(line) <= WIDTH or line.startswith("|") or "\n" in line:
            yield line
        else:
            yield from textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)


def promises(outcomes: list[tuple[Benchmark, Report | str]]) -> list[str]:
    rows = []
    for benchmark, outcome in outcomes:
        for promise in benchmark.promises:
            verdict = outcome.verdicts.get(promise) if isinstance(outcome, Report) else None
            rows.append([promise, *judged(promise, verdict)])
    return table(["promise", "measured", "kept"], rows)


def judged(promise: str, verdict: Verdict | None) -> tuple[str, str]:
    if verdict is None:
        return "not measured", "unknown"
    if verdict.kept:
        return verdict.measured, "yes"
    why = (verdict.short, REASONS.get(promise))
    return verdict.measured, f"**no**: {'; '.join(reason for reason in why if reason)}"
