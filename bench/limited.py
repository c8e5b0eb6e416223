"""How much of the allowed rate is used, and how often it is exceeded."""

from .copying import copy
from .figures import Figure
from .report import Benchmark, Report, Verdict, table
from .workbench import Workbench

SHARE = "Limited: at least 95 % of the allowed rate"
REFUSED = "Limited: at most 1 % of answers 429"

LATENCY_MS = 50
# Few repetitions, because a run takes a minute or more.
REPEATS = 2


def run(bench: Workbench) -> Report:
    rows, shares, refusals = [], {}, {}
    for limit, population in ((1_000, bench.large), (100, bench.middle)):
        sandbox = bench.sandbox(population)
        measured = []

        def limited() -> None:
            sandbox.behave(latency_ms=LATENCY_MS, limit_per_10s=limit)
            before = sandbox.stats()
            run = copy(bench.clerk_sync, sandbox, CLERK_REQUESTS_PER_10S=str(limit))
            after = sandbox.stats()
            asked = after["requests"] - before["requests"]
            refused = after["rate_limited"] - before["rate_limited"]
            measured.append((run, asked, refused))

        bench.repeat(f"limited to {limit:,} in ten seconds", limited, REPEATS)
        wall = Figure(run.finished.wall_seconds for run, _, _ in measured)
        share = Figure(
            (asked - refused) / (limit / 10 * run.finished.wall_seconds)
            for run, asked, refused in measured
        )
        refused = Figure(refused / asked for _, asked, refused in measured)
        shares[limit], refusals[limit] = share, refused
        said = sum(run.answer["rate_limited"] for run, _, _ in measured)
        rows.append(
            [
                f"{limit:,}",
                f"{population.users:,}",
                wall.seconds(),
                Figure(asked for _, asked, _ in measured).count(),
                share.text("%", 1, 100),
                refused.text("%", 2, 100),
                str(said),
            ]
        )
    lines = [
        f"The sandbox refuses more requests than the limit in any ten seconds, and answers after "
        f"{LATENCY_MS} ms; clerk-sync has the same limit (`CLERK_RATE_SHARE=1`). The share used is the number "
        "of requests served, divided by the number that the limit allows from the start of the process to "
        "its end; starting, comparing and publishing take part of that time. The sandbox counted requests "
        "and 429s; the last column is the number of 429s that the answers of all runs report.",
        "",
        *table(
            ["limit in 10 s", "users", "wall", "requests", "share used", "429", "429 reported"], rows
        ),
    ]
    worst_share = min(share.median for share in shares.values())
    worst_refused = max(refused.median for refused in refusals.values())
    verdicts = {
        SHARE: Verdict(
            each(shares, 1), worst_share >= 0.95, f"{(0.95 - worst_share) * 100:.1f} points short"
        ),
        REFUSED: Verdict(
            each(refusals, 2), worst_refused <= 0.01, f"{(worst_refused - 0.01) * 100:.2f} points over"
        ),
    }
    return Report(lines, verdicts)


def each(figures: dict[int, Figure], decimals: int) -> str:
    return ", ".join(
        f"{figure.median * 100:.{decimals}f} % at {limit:,}"
        for limit, figure in sorted(figures.items())
    )


BENCHMARK = Benchmark("Limited", (SHARE, REFUSED), run)
