"""What a benchmark reports: Markdown for its section, and whether its targets are met."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .workbench import Workbench


@dataclass(frozen=True)
class Verdict:
    """Whether one target is met."""

    measured: str
    met: bool
    # By how much it misses the target, if it does.
    short: str = ""


@dataclass(frozen=True)
class Report:
    """What one benchmark found."""

    lines: list[str]
    # By the target's text.
    verdicts: dict[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """A section of the document, its targets, and how to measure it."""

    title: str
    targets: tuple[str, ...]
    run: Callable[[Workbench], Report]


def at_most(value: float, bound: float, measured: str) -> Verdict:
    """A target with an upper bound."""
    return Verdict(measured, value <= bound, f"{value / bound:.2f} times the target")


def at_least(value: float, bound: float, measured: str) -> Verdict:
    """A target with a lower bound."""
    return Verdict(measured, value >= bound, f"{value / bound:.2f} of the target")


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table and the empty line after it. All columns but the first are numbers."""
    headings = list(headings)
    lines = [headings, ["---"] + ["---:"] * (len(headings) - 1), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]
