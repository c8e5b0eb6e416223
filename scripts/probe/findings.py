"""What the probe finds out: one finding for each assumption."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from .assumptions import ASSUMPTIONS


class Verdict(Enum):
    HOLDS = "yes"
    BROKEN = "no"
    # Nothing was found that could show it.
    NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class Finding:
    # That of the assumption.
    name: str
    verdict: Verdict
    # Written with words of this repository only: nothing of an answer is ever copied into it.
    found: str


class NotShown(Exception):
    """An instance like this cannot show it."""


class Odd(Exception):
    """An answer is not what it should be, which breaks the assumption in question."""


def holds(name: str, found: str) -> Finding:
    return Finding(name, Verdict.HOLDS, found)


def broken(name: str, found: str) -> Finding:
    return Finding(name, Verdict.BROKEN, found)


def not_shown(name: str, why: str) -> Finding:
    return Finding(name, Verdict.NOT_SHOWN, why)


def judged(name: str, is_so: bool, found: str) -> Finding:
    return holds(name, found) if is_so else broken(name, found)


class Findings:
    """The findings so far."""

    def __init__(self) -> None:
        self._by_name: dict[str, Finding] = {}

    def add(self, finding: Finding) -> None:
        if (
            finding.name not in {assumption.name for assumption in ASSUMPTIONS}
            or finding.name in self._by_name
        ):
            raise AssertionError(f"{finding.name} is no assumption, or was found out before")
        self._by_name[finding.name] = finding

    def has(self, name: str) -> bool:
        return name in self._by_name

    def in_order(self) -> Iterable[Finding]:
        """One for each assumption."""
        return [self._by_name[assumption.name] for assumption in ASSUMPTIONS]

    def count(self, verdict: Verdict) -> int:
        return sum(finding.verdict is verdict for finding in self._by_name.values())
