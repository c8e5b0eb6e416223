"""Breaks every assumption, one or a few at a time: the report must name these, and no others."""

from __future__ import annotations

from ..scene import Scene, expect
from ..scripts import module
from .faults import FAULTS
from .meddling import MEDDLING
from .probe import PROGRAM, assumptions

# Proven elsewhere: only with options, or by waiting.
ON_REQUEST = {"cursor_of_deleted", "rate_limit", "retry_after"}
SLOW = {"answer_time"}


def notices_every_deviation(scene: Scene) -> None:
    noticed: set[str] = set()
    otherwise = []
    for deviation in (*FAULTS, *MEDDLING):
        ran = deviation.play(scene)
        is_noticed = ran.broken() == deviation.breaks and deviation.says in ran.report
        if not is_noticed or ran.status != (1 if deviation.breaks else 0):
            found = {name: ran.verdicts()[name][1] for name in ran.broken() | deviation.breaks}
            otherwise.append({deviation.what: found, "status": ran.status, "says": deviation.says})
        noticed |= deviation.breaks
    expect(not otherwise, otherwise)
    never = assumptions() - noticed - ON_REQUEST - SLOW
    expect(not never, f"nothing breaks {sorted(never)}")
    scene.notes.append(f"{len(FAULTS) + len(MEDDLING)} deviations, each noticed, and no other")


def judges_slow_answers() -> None:
    """A test that waits for slow answers would take as long as they do."""
    module(PROGRAM)
    from probe.checks.connection import answer_time
    from probe.findings import Verdict

    for seconds, right in (
        ([0.1, 0.2, 9.0], Verdict.HOLDS),
        ([1.3, 1.4, 0.1], Verdict.BROKEN),
        ([], Verdict.NOT_SHOWN),
    ):
        found = answer_time(seconds)
        expect(found.verdict is right, f"{seconds}: {found}")
