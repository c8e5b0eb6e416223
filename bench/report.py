"""What a benchmark reports: Markdown for its section, and how the promises stand."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .workbench import Workbench


@dataclass(frozen=True)
class Verdict:
    """How one promise stands."""

    measured: str
    kept: bool
    # By how much it falls short, where it does.
    short: str = ""


@dataclass(frozen=True)
class Report:
    """What one benchmark found."""

    lines: list[str]
    # By the promise's words.
    verdicts: dict[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """A section of the document, the promises it judges, and how it is measured."""

    title: str
    promises: tuple[str, ...]
    run: Callable[[Workbench], Report]


def at_most(value: float, bound: float, measured: str) -> Verdict:
    """A promise of an upper bound."""
    return Verdict(measured, value <= bound, f"{value / bound:.2f} times what is allowed")


def at_least(value: float, bound: float, measured: str) -> Verdict:
    """A promise of a lower bound."""
    return Verdict(measured, value >= bound, f"{value / bound:.2f} of what is promised")


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table and the empty line after it; what comes after the first column is a number."""
    headings = list(headings)
    lines = [headings, ["---"] + ["---:"] * (len(headings) - 1), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]
