"""CPU and memory with everything opted in."""

import dataclasses

from .copying import Copy, copy
from .figures import Figure
from .population import RESOURCES, Population, every_resource
from .report import Benchmark, Report, Verdict, at_most, table
from .workbench import Workbench

CPU = "At most 10 µs of CPU per record with everything opted in"
MEMORY = "Peak memory at most 64 MiB + 16 bytes per user with everything opted in"

# Listed owner by owner: one request each, even if there are few keys.
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
    many_users = bench.sandbox(bench.large)
    with_many_users = bench.repeat(
        f"everything but API keys, {bench.large.users:,} users",
        lambda: copy(bench.clerk_sync, many_users, RESOURCES=",".join(sorted(lists))),
        1,
    )
    lines = [
        f"{population}, and {population.other_rows:,} rows in each of the other lists. No limit, no "
        "latency, gzip, into a folder. API keys are listed by owner: one request for each user, "
        "organization and machine.",
        "",
        *table(
            ["opted in", "records", "wall", "CPU", "CPU a record", "peak memory", "requests"],
            [
                *(row(what, runs[what]) for what in runs),
                row(f"everything but API keys, of {bench.large.users:,} users", with_many_users),
            ],
        ),
    ]
    peaks = {
        population: [run for of_all in runs.values() for run in of_all],
        bench.large: with_many_users,
    }
    verdicts = {
        CPU: cpu(runs["everything"], runs["everything but API keys"]),
        MEMORY: memory(peaks),
    }
    return Report(lines, verdicts)


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


def cpu(everything: list[Copy], but_by_owner: list[Copy]) -> Verdict:
    each = Figure(run.cpu_per_record for run in everything).median
    without = Figure(run.cpu_per_record for run in but_by_owner).median
    told = f"{each * 1e6:.2f} µs; {without * 1e6:.2f} µs without API keys"
    return at_most(each, 10e-6, told)


def memory(runs: dict[Population, list[Copy]]) -> Verdict:
    """Judged by the run that is closest to its limit."""
    peaks = {one: max(run.finished.peak_bytes for run in runs[one]) for one in runs}
    worst = max(peaks, key=lambda one: peaks[one] / one.allowed_memory)
    allowed = worst.allowed_memory
    told = f"{peaks[worst] / 2**20:.1f} of {allowed / 2**20:.1f} MiB at {worst.users:,} users"
    return at_most(peaks[worst], allowed, told)


BENCHMARK = Benchmark("Everything opted in", (CPU, MEMORY), run)
