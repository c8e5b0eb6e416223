"""Measures one large sync: peak memory of the process, and requests against the fewest possible.

Fails if either misses its target (docs/architecture.md, "Measured"). Prints the time but never judges
it. With --release it measures the release build.

usage: python3 -m bench.measure [--release]
"""

import sys

from .copying import WrongAnswer, copy
from .population import Population
from .sandbox import Sandbox
from .workbench import programs


def main() -> int:
    built = programs("release" if "--release" in sys.argv[1:] else "debug")
    population = Population.of(100_000)
    with Sandbox(built / "clerk-sandbox", population) as sandbox:
        try:
            done = copy(built / "clerk-sync", sandbox)
        except WrongAnswer as wrong:
            print(wrong, file=sys.stderr)
            return 1
    requests, fewest = done.answer["requests"], population.fewest_requests
    allowed = population.allowed_requests
    peak, most = done.finished.peak_bytes, population.allowed_memory
    print(
        f"{population}: {done.records:,} records in {done.finished.wall_seconds:.1f} s\n"
        f"  requests     {requests} ({requests / fewest:.3f} times the fewest "
        f"possible, {fewest}; allowed {allowed:.0f})\n"
        f"  peak memory  {peak / 2**20:.1f} MiB (allowed {most / 2**20:.1f})\n"
        f"  CPU          {done.cpu_per_record * 1e6:.1f} µs a record"
    )
    return 0 if peak <= most and requests <= allowed else 1


if __name__ == "__main__":
    sys.exit(main())
