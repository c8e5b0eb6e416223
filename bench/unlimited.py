"""How fast everything is copied without a rate limit, compared with the JavaScript loop."""

from .copying import Copy, copy
from .figures import Figure
from .javascript_loop import Loop, loop
from .processes import Finished
from .report import Benchmark, Report, Verdict, at_least, table
from .workbench import Workbench

LATENCIES_MS = (0, 50, 300)

# The loop's runs, by latency and by what it compresses at a time. A run takes about a minute; 300 ms would
# show nothing new; and the targets use the faster of its two ways.
LOOPS = {(0, "page"): 1, (50, "page"): 3, (50, "line"): 1}
JUDGED = (50, "page")

FASTER = "At 50 ms latency and no limit: at least 10 × faster than the JavaScript loop"
CHEAPER = "At 50 ms latency and no limit: at least 20 × less CPU than the JavaScript loop"


def run(bench: Workbench) -> Report:
    sandbox = bench.sandbox(bench.middle)
    copies: dict[int, list[Copy]] = {}
    loops: dict[tuple[int, str], list[Loop]] = {}
    problem = None
    for latency in LATENCIES_MS:
        sandbox.behave(latency_ms=latency)
        if latency > 0:
            # With more concurrent requests, it may request other pages than the warm-up did.
            copy(bench.clerk_sync, sandbox)
        copies[latency] = bench.repeat(
            f"clerk-sync at {latency} ms", lambda: copy(bench.clerk_sync, sandbox)
        )
        try:
            for (at, writes), times in LOOPS.items():
                if at == latency:
                    loops[at, writes] = bench.repeat(
                        f"the JavaScript loop at {at} ms, compressing each {writes}",
                        lambda: loop(bench, sandbox, writes, copies[at][0]),
                        times,
                    )
        except RuntimeError as missing:
            problem = f"The JavaScript loop could not run: {missing}."
    return report(bench, copies, loops, problem)


def report(
    bench: Workbench,
    copies: dict[int, list[Copy]],
    loops: dict[tuple[int, str], list[Loop]],
    problem: str | None,
) -> Report:
    rows, verdicts = [], {}
    for latency, runs in copies.items():
        rows.append(row("clerk-sync", latency, runs, [run.answer["requests"] for run in runs]))
    for (latency, writes), runs in loops.items():
        name = f"JavaScript loop, compressing each {writes}"
        rows.append(row(name, latency, runs, [run.requests for run in runs]))
        faster = wall(runs).median / wall(copies[latency]).median
        cheaper = cpu(runs).median / cpu(copies[latency]).median
        ratios = [f"**{faster:.1f} ×**", f"**{cheaper:.1f} ×**"]
        rows.append(["– relative to clerk-sync", f"{latency} ms", *ratios, "", ""])
        if (latency, writes) == JUDGED:
            verdicts[FASTER] = at_least(faster, 10, f"{faster:.1f} ×")
            verdicts[CHEAPER] = at_least(cheaper, 20, f"{cheaper:.1f} ×")
    lines = [
        f"{bench.middle}: {copies[0][0].records:,} records. Both programs write the same lines as gzip of "
        "level 1 into a folder, over plain HTTP; their content digests were compared (except for the "
        "`type` of permissions, which the SDK does not return). The loop is "
        "[bench/javascript/loop.mjs](../bench/javascript/loop.mjs): pages of 500, one after the other, with "
        "memberships from the instance-wide list. It does not check, repair or checkpoint anything. It "
        "matters how much it gives to the compressor at once: one line, which is the obvious way, or all "
        "lines of a page, which is faster and which the targets use.",
        "",
        *table(["program", "latency", "wall", "CPU", "peak memory", "requests"], rows),
    ]
    if problem:
        lines += [problem, ""]
        verdicts |= {words: Verdict(problem, False) for words in (FASTER, CHEAPER)}
    return Report(lines, verdicts)


def row(program: str, latency: int, runs: list, requests: list[int]) -> list[str]:
    peak = Figure(run.finished.peak_bytes for run in runs)
    return [
        program,
        f"{latency} ms",
        wall(runs).seconds(),
        cpu(runs).seconds(),
        peak.mebibytes(),
        Figure(requests).count(),
    ]


def finished(runs: list) -> list[Finished]:
    return [run.finished for run in runs]


def wall(runs: list) -> Figure:
    return Figure(run.wall_seconds for run in finished(runs))


def cpu(runs: list) -> Figure:
    return Figure(run.cpu_seconds for run in finished(runs))


BENCHMARK = Benchmark("Unlimited", (FASTER, CHEAPER), run)
