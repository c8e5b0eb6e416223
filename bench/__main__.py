"""Runs all benchmarks.

usage: python3 -m bench [--quick] [--write FOLDER] [--only WORD...]

--quick     a hundredth of everything, once: only shows that the benchmarks work
--write     the folder for the pages, benchmarks.md and benchmarks-access.md; by default, standard output
--only      only benchmarks with one of these words in their title; no page is written without all of its own

Exits with 1 if a copy was not complete and verified, but never because of a time.
"""

import argparse
import pathlib
import signal
import sys

from . import (
    cold_start,
    distance,
    everything,
    interruptions,
    limited,
    program_size,
    questions,
    sandbox_speed,
    sizes,
    stages,
    unlimited,
)
from .copying import WrongAnswer
from .document import COPYING, QUESTIONS, Page, document
from .machine import facts
from .report import Benchmark, Report
from .workbench import Workbench, programs

# In the order of the document, which also changes the sandbox least often. The last ones themselves need
# memory, and a child's peak below that cannot be measured.
BENCHMARKS: dict[Page, list[Benchmark]] = {
    COPYING: [
        module.BENCHMARK
        for module in (
            sandbox_speed,
            unlimited,
            interruptions,
            sizes,
            limited,
            distance,
            everything,
            stages,
            cold_start,
            program_size,
        )
    ],
    QUESTIONS: [questions.BENCHMARK],
}


def main() -> int:
    reader = argparse.ArgumentParser(prog="bench", description=__doc__.split("\n")[0])
    reader.add_argument("--quick", action="store_true")
    reader.add_argument("--write", type=pathlib.Path)
    reader.add_argument("--only", nargs="+", metavar="WORD")
    arguments = reader.parse_args()

    bench = Workbench(programs("release"), arguments.quick)
    # So that the sandbox is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Before the benchmarks, so that the load is not theirs.
    measured_on = facts()
    failed = False
    try:
        for page, benchmarks in BENCHMARKS.items():
            chosen = [one for one in benchmarks if is_chosen(one, arguments.only)]
            outcomes = []
            for benchmark in chosen:
                outcome, wrong = outcome_of(benchmark, bench)
                failed = failed or wrong
                outcomes.append((benchmark, outcome))
            if not outcomes:
                continue
            text = document(page, measured_on, outcomes)
            if arguments.write is None or chosen != benchmarks:
                print(text, end="")
            else:
                (arguments.write / page.file).write_text(text)
                bench.say(f"written: {arguments.write / page.file}")
    finally:
        bench.close()
    return 1 if failed else 0


def is_chosen(benchmark: Benchmark, only: list[str] | None) -> bool:
    words = benchmark.title.lower().split()
    return not only or any(word.lower() in words for word in only)


def outcome_of(benchmark: Benchmark, bench: Workbench) -> tuple[Report | str, bool]:
    """The report, or why there is none; and whether a copy was wrong."""
    try:
        return benchmark.run(bench), False
    except WrongAnswer as wrong:
        bench.say(f"WRONG: {wrong}")
        return "a copy was not complete and verified", True
    except Exception as problem:  # The others are still worth their time.
        bench.say(f"{benchmark.title}: {problem!r}")
        return str(problem) or repr(problem), False


if __name__ == "__main__":
    sys.exit(main())
