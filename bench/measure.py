"""Measures a large sync several times: peak memory of the process, and requests against the fewest possible.

Fails if the median of either misses its target (docs/architecture.md, "Measured"). Prints the time but never
judges it. With --release it measures the release build, which the targets are meant for; the debug build needs
some 8 MiB more, and one run in seven more than the target.

usage: python3 -m bench.measure [--release]
"""

import sys

from .copying import WrongAnswer, copy
from .figures import Figure
from .population import Population
from .sandbox import Sandbox
from .workbench import programs

RUNS = 5


def main() -> int:
    built = programs("release" if "--release" in sys.argv[1:] else "debug")
    population = Population.of(100_000)
    with Sandbox(built / "clerk-sandbox", population) as sandbox:
        try:
            runs = [copy(built / "clerk-sync", sandbox) for _ in range(RUNS)]
        except WrongAnswer as wrong:
            print(wrong, file=sys.stderr)
            return 1
    requests = Figure(run.answer["requests"] for run in runs)
    peak = Figure(run.finished.peak_bytes for run in runs)
    cpu = Figure(run.cpu_per_record for run in runs)
    wall = Figure(run.finished.wall_seconds for run in runs)
    fewest, allowed, most = population.fewest_requests, population.allowed_requests, population.allowed_memory
    print(
        f"{population}: {runs[0].records:,} records in {wall.seconds()}, {RUNS} runs\n"
        f"  requests     {requests.count()}, the fewest possible {fewest}; allowed {allowed:.0f}\n"
        f"  peak memory  {peak.mebibytes()}; allowed {most / 2**20:.1f} MiB\n"
        f"  CPU          {cpu.microseconds()} a record"
    )
    return 0 if peak.median <= most and requests.median <= allowed else 1


if __name__ == "__main__":
    sys.exit(main())
