"""Runs the probe against the synthetic Clerk."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass

from bench.population import Population
from bench.sandbox import Sandbox

from ..scene import KEY, Scene, expect
from ..scripts import module
from ..stack import ROOT

PROGRAM = ROOT / "scripts" / "live"

# Sizes that occur in a report for no other reason: times in it have two digits.
POPULATION = Population(users=137, organizations=23, memberships=311, other_rows=12)

# Fast enough for a test: the probe uses a fifth of it.
NO_PACE = {"CLERK_REQUESTS_PER_10S": "1000000"}


@dataclass(frozen=True)
class Ran:
    """A run of `scripts/live`."""

    status: int
    report: str
    errors: str

    def verdicts(self) -> dict[str, tuple[str, str]]:
        """By assumption: whether it holds, and what was found."""
        rows = re.findall(r"^\| `(\w+)`: .* \| (.*) \| ([^|]*) \|$", self.report, re.MULTILINE)
        return {name: (verdict, found) for name, found, verdict in rows}

    def broken(self) -> set[str]:
        return {name for name, (verdict, _) in self.verdicts().items() if verdict == "**no**"}

    def not_shown(self) -> set[str]:
        return {name for name, (verdict, _) in self.verdicts().items() if verdict == "not shown"}


def run(url: str, program: list[str] | None = None, **variables: str) -> Ran:
    """Runs it with only these variables. It never shows the key, nor a stack of calls."""
    own = (
        {"CLERK_SECRET_KEY": KEY, "CLERK_API_URL": url, "PATH": os.environ["PATH"]}
        | NO_PACE
        | variables
    )
    finished = subprocess.run(
        [sys.executable, "-B", *(program or [str(PROGRAM)])],
        env={name: value for name, value in own.items() if value},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    shown = finished.stdout + finished.stderr
    key = own["CLERK_SECRET_KEY"]
    expect(len(key) < 9 or key not in shown, "it shows the key")
    expect("Traceback" not in shown and "a mistake in the probe" not in shown, finished.stderr)
    return Ran(finished.returncode, finished.stdout, finished.stderr)


def sandbox(scene: Scene, *faults: str) -> Sandbox:
    return Sandbox(scene.programs / "clerk-sandbox", POPULATION, faults)


def lists() -> list[str]:
    """What it would ask for, one list a line."""
    command = [sys.executable, "-B", PROGRAM, "--lists"]
    listed = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def assumptions() -> set[str]:
    """The names of all assumptions."""
    module(PROGRAM)
    from probe.assumptions import ASSUMPTIONS

    return {assumption.name for assumption in ASSUMPTIONS}
