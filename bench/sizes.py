"""CPU, memory and requests at three sizes of an instance."""

from .copying import Copy, copy, is_in_memory
from .figures import Figure
from .population import Population
from .processes import least_peak_bytes
from .report import Benchmark, Report, Verdict, at_most, table
from .workbench import Workbench

REQUESTS = "Requests: at most 1.02 × the fewest possible, plus 80 for counts"
CPU = "At most 8 µs of CPU per record, end to end over plain HTTP with gzip output"
CPU_RATIO = "CPU per record at 1 million users at most 1.15 × that at 10 thousand"
MEMORY = "Peak memory at most 64 MiB + 16 bytes per user"
SAME_MEMORY = "Apart from those 16 bytes, the same peak memory at 10 thousand and 1 million users"

# The peaks of identical runs differ by this much.
MEMORY_NOISE = 1.10


def run(bench: Workbench) -> Report:
    # A small instance takes so little time that more runs are needed for a reliable figure.
    repeats = {bench.middle: 3, bench.small: 11, bench.large: 3}
    runs: dict[Population, list[Copy]] = {}
    on_disk: list[Copy] = []
    memory_of_sandbox = None
    for population, times in repeats.items():
        sandbox = bench.sandbox(population)
        runs[population] = bench.repeat(
            f"{population.users:,} users", lambda: copy(bench.clerk_sync, sandbox), times
        )
        memory_of_sandbox = sandbox.peak_bytes()
        if population == bench.small:
            on_disk = bench.repeat(
                f"{population.users:,} users, on disk",
                lambda: copy(bench.clerk_sync, sandbox, on_disk=True),
                times,
            )
    sizes = [bench.small, bench.middle, bench.large]
    lines = [
        "No limit, no latency, gzip, into a folder. CPU is the user and system time of the process, "
        "including its start (see [Cold start](#cold-start)).",
        "",
        *table(
            ["users", "records", "wall", "CPU a record", "peak memory", "allowed", "requests",
             "fewest", "allowed"],
            [row(size, runs[size]) for size in sizes],
        ),
    ]
    lines += [
        f"Peaks below {least_peak_bytes() / 2**20:.1f} MiB, the memory of the benchmark program itself, cannot "
        "be measured.",
        "",
    ]
    if is_in_memory():
        lines += [
            f"Into a folder on disk, {bench.small.users:,} users take {cpu(on_disk).microseconds()} of CPU a "
            "record: each file is synced to disk before the checkpoint names it.",
            "",
        ]
    if memory_of_sandbox is not None:
        lines += [f"The sandbox took {memory_of_sandbox / 2**20:,.0f} MiB at the largest size.", ""]
    return Report(lines, verdicts(bench, runs))


def row(population: Population, runs: list[Copy]) -> list[str]:
    return [
        f"{population.users:,}",
        f"{runs[0].records:,}",
        Figure(run.finished.wall_seconds for run in runs).seconds(),
        cpu(runs).microseconds(),
        peak(runs).mebibytes(),
        f"{population.allowed_memory / 2**20:.1f} MiB",
        Figure(run.answer["requests"] for run in runs).count(),
        f"{population.fewest_requests:,}",
        f"{population.allowed_requests:,.0f}",
    ]


def verdicts(bench: Workbench, runs: dict[Population, list[Copy]]) -> dict[str, Verdict]:
    sizes = [bench.small, bench.middle, bench.large]
    most = {size: max(run.answer["requests"] for run in runs[size]) for size in sizes}
    requests = max(sizes, key=lambda size: most[size] / size.allowed_requests)
    memory = max(sizes, key=lambda size: max(peak(runs[size]).values) / size.allowed_memory)
    highest = max(peak(runs[memory]).values)
    dearest = max(cpu(runs[size]).median for size in sizes)
    ratio = cpu(runs[bench.large]).median / cpu(runs[bench.small]).median
    rest = {size: peak(runs[size]).median - 16 * size.users for size in (bench.small, bench.large)}
    growth = rest[bench.large] / rest[bench.small]
    return {
        REQUESTS: at_most(
            most[requests],
            requests.allowed_requests,
            f"{most[requests]:,} of {requests.allowed_requests:,.0f} at {requests.users:,} users",
        ),
        CPU: at_most(dearest, 8e-6, f"{dearest * 1e6:.2f} µs, the most of three sizes"),
        CPU_RATIO: at_most(ratio, 1.15, f"{ratio:.3f} ×"),
        MEMORY: at_most(
            highest,
            memory.allowed_memory,
            f"{highest / 2**20:.1f} of {memory.allowed_memory / 2**20:.1f} MiB "
            f"at {memory.users:,} users",
        ),
        SAME_MEMORY: at_most(
            growth,
            MEMORY_NOISE,
            f"{rest[bench.small] / 2**20:.1f} and {rest[bench.large] / 2**20:.1f} MiB, less 16 bytes "
            f"a user; up to {MEMORY_NOISE - 1:.0%} more counts as the same",
        ),
    }


def cpu(runs: list[Copy]) -> Figure:
    return Figure(run.cpu_per_record for run in runs)


def peak(runs: list[Copy]) -> Figure:
    return Figure(run.finished.peak_bytes for run in runs)


BENCHMARK = Benchmark(
    "Three sizes", (REQUESTS, CPU, CPU_RATIO, MEMORY, SAME_MEMORY), run
)
