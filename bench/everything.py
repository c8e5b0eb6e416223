"""CPU and memory with everything opted in."""

import dataclasses

from .copying import Copy, copy
from .figures import Figure
from .population import RESOURCES, every_resource
from .report import Benchmark, Report, Verdict, at_most, table
from .workbench import Workbench

CPU = "At most 10 µs of CPU per record with everything opted in"
MEMORY = "Peak memory at most 64 MiB + 16 bytes per user with everything opted in"

# Asked for owner by owner: a request for each, however few keys there are.
BY_OWNER = "api_keys"


def run(bench: Workbench) -> Report:
    population = dataclasses.replace(bench.middle, other_rows=bench.small.users)
    sandbox = bench.sandbox(population)
    lists = every_resource() - {BY_OWNER}
    opted_in = {
        "the five of the other benchmarks": RESOURCES,
        "everything but API keys": ",".join(sorted(lists)),
        "everything": ",".join(sorted(lists | {BY_OWNER})),
    }
    runs = {
        what: bench.repeat(what, lambda: copy(bench.clerk_sync, sandbox, RESOURCES=resources))
        for what, resources in opted_in.items()
    }
    lines = [
        f"{population}, and {population.other_rows:,} rows in each of the further lists. No limit, no "
        "latency, gzip, into a folder. API keys are listed by their owners: a request for every user, "
        "organization and machine.",
        "",
        *table(
            ["opted in", "records", "wall", "CPU", "CPU a record", "peak memory", "requests"],
            [row(what, runs[what]) for what in runs],
        ),
    ]
    return Report(lines, verdicts(population.allowed_memory, runs))


def row(what: str, runs: list[Copy]) -> list[str]:
    return [
        what,
        f"{runs[0].records:,}",
        Figure(run.finished.wall_seconds for run in runs).seconds(),
        Figure(run.finished.cpu_seconds for run in runs).seconds(),
        Figure(run.cpu_per_record for run in runs).microseconds(),
        Figure(run.finished.peak_bytes for run in runs).mebibytes(),
        Figure(run.answer["requests"] for run in runs).count(),
    ]


def verdicts(allowed: int, runs: dict[str, list[Copy]]) -> dict[str, Verdict]:
    lists = Figure(run.cpu_per_record for run in runs["everything but API keys"]).median
    highest = max(run.finished.peak_bytes for of_all in runs.values() for run in of_all)
    return {
        CPU: at_most(lists, 10e-6, f"{lists * 1e6:.2f} µs, without API keys"),
        MEMORY: at_most(highest, allowed, f"{highest / 2**20:.1f} of {allowed / 2**20:.1f} MiB"),
    }


BENCHMARK = Benchmark("Everything opted in", (CPU, MEMORY), run)
