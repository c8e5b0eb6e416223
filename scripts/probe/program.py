"""`scripts/live`: from the environment to the report and the exit status."""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import sys
import traceback

from . import lists, settings
from .assumptions import ASSUMPTIONS
from .checks import CHECKS
from .checks.each_list import read_lists
from .clerk import MAX_REQUESTS, Clerk, NoAnswer, Spent
from .codes import Codes
from .findings import Findings, NotShown, Odd, Verdict, broken, not_shown
from .instance import Instance
from .report import report
from .rows import Shapes, known_fields
from .rust import NotUnderstood

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

ALL_HOLD, NOT_ALL_HOLD, MISUSE = 0, 1, 2

USAGE = """\
Asks a live Clerk instance what the tests of this repository take for granted, and
prints a report that can be pasted into an issue: it holds no names, addresses, ids
or keys. Sends nothing but GET requests, at most {most} of them, at a fifth of the
request limit.

  CLERK_SECRET_KEY      the key of a development instance (sk_test_…)
  LIVE=1                take the key of a production instance (sk_live_…), too
  PROBE_RATE_LIMIT=1    use up the request limit once, to see what happens;
                        development instances only
  PROBE_DELETED_USER    id of a user that you have deleted, to see what becomes of
                        its cursor
  CLERK_API_URL, CLERK_API_VERSION, CLERK_REQUESTS_PER_10S
                        as for clerk-sync; the limit is 100 unless it is set

Exit status: 0 if no assumption was found wrong; 1 if one was, or Clerk does not
answer; 2 if a variable is wrong, or Clerk does not accept the key. docs/live.md
explains every assumption.
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="live",
        description=USAGE.format(most=MAX_REQUESTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--lists", action="store_true", help="print what would be asked, and ask nothing"
    )
    wanted = parser.parse_args(arguments)
    try:
        return print_lists() if wanted.lists else ask()
    except settings.Misuse as problem:
        return _fail(MISUSE, f"{problem}.")
    except NotUnderstood as problem:
        return _fail(
            NOT_ALL_HOLD,
            f"the source of clerk-sync is not understood: {problem}. Adapt scripts/probe to it.",
        )
    except NoAnswer as problem:
        return _fail(
            NOT_ALL_HOLD,
            f"no answer from Clerk: {problem}. "
            "Check the network, CLERK_API_URL and HTTPS_PROXY, and run it again.",
        )
    except KeyboardInterrupt:
        return _fail(128 + 2, "interrupted.")
    except BrokenPipeError:
        # Whoever reads the report has enough.
        return NOT_ALL_HOLD
    except Exception as problem:
        # Its text may quote what Clerk sent.
        place = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{pathlib.Path(place.filename).name}, line {place.lineno}"
        return _fail(
            NOT_ALL_HOLD,
            f"a mistake in the probe: {type(problem).__name__} in {where}. Please report it.",
        )


def print_lists() -> int:
    """Every list. `make check` runs this to see that the source is still understood."""
    shapes = Shapes(ROOT)
    Codes(ROOT)
    withheld(ROOT)
    for one in lists.read(ROOT):
        query = "&".join(f"{name}={value}" for name, value in one.page_query())
        fields = list(known_fields(shapes.of(one.row)))
        unknown = one.needed - set(fields)
        if unknown:
            raise NotUnderstood(f"{one.row} has no field {', '.join(sorted(unknown))}")
        print(
            f"{one.name}: {one.path}?{query} "
            f"({len(fields)} fields; ways to one row: {len(one.row_requests)})"
        )
    return ALL_HOLD


def ask() -> int:
    """Asks everything and prints the report."""
    told = settings.read(os.environ, ROOT)
    known = lists.read(ROOT), Shapes(ROOT), Codes(ROOT), withheld(ROOT)
    version = program_version(ROOT)
    clerk = Clerk(told, f"clerk-sync/{version} (make live)")
    longest = MAX_REQUESTS * told.interval_seconds
    print(
        f"Reading Clerk: at most {MAX_REQUESTS} requests, in about {longest:.0f} s.",
        file=sys.stderr,
    )
    greeting = clerk.ask("/instance")
    if greeting.status == 401:
        raise settings.Misuse(
            f"Clerk does not accept {settings.KEY}: copy the key again from the dashboard"
        )
    seen = Instance(told, clerk, *known, greeting)
    findings = examine(seen)
    print(report(seen, findings, version))
    return NOT_ALL_HOLD if findings.count(Verdict.BROKEN) else ALL_HOLD


def examine(seen: Instance) -> Findings:
    """Runs every check. Each assumption has a finding in the end."""
    findings = Findings()
    spent = f"{MAX_REQUESTS} requests were not enough"
    try:
        read_lists(seen)
    except Spent:
        for assumption in ASSUMPTIONS:
            findings.add(not_shown(assumption.name, spent))
        return findings
    for names, check in CHECKS:
        left = broken, "no answer"
        try:
            for finding in check(seen):
                findings.add(finding)
        except (Odd, NoAnswer) as problem:
            left = broken, str(problem)
        except NotShown as problem:
            left = not_shown, str(problem)
        except Spent:
            left = not_shown, spent
        for name in names:
            if not findings.has(name):
                findings.add(left[0](name, left[1]))
    return findings


def program_version(root: pathlib.Path) -> str:
    found = re.search(
        r'^version = "([^"]+)"$', (root / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    if not found:
        raise NotUnderstood("Cargo.toml names no version")
    return found[1]


def withheld(root: pathlib.Path) -> frozenset[str]:
    """The fields that the program never writes (src/translate/withheld.rs)."""
    text = (root / "src/translate/withheld.rs").read_text(encoding="utf-8")
    listed = re.findall(r'"(\w+)"', text.partition("const WITHHELD")[2].partition("];")[0])
    if not listed:
        raise NotUnderstood("the list of withheld fields is not known")
    return frozenset(listed)


def _fail(status: int, message: str) -> int:
    print(f"live: {message}", file=sys.stderr)
    return status
