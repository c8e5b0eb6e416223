"""How close whole runs come to the allowed rate, however far away Clerk is."""

import dataclasses

from .copying import Copy, copy
from .far_away import FarAway
from .figures import Figure
from .javascript_loop import loop
from .population import Population
from .report import Benchmark, Report, Verdict, table
from .sandbox import Sandbox
from .timeline import chart, timeline
from .workbench import Workbench

NEAR = (
    "At 150, 300 and 600 ms a whole run takes at most the time of the fewest requests at 95 % of the allowed "
    "rate, plus 20 answers"
)
REFUSED = "At a distance: at most 1 % of answers 429"
MEMORY = "At a distance: peak memory at most 64 MiB + 16 bytes per user"
LARGE = "1,000,000 users and 2,000,000 memberships at 300 ms and 1,000 requests in ten seconds: at most 70 s"

LIMIT = 1_000
LATENCIES_MS = (50, 150, 300, 600, 1_000)
JUDGED_MS = (150, 300, 600)
SHARES = (0.5, 1.0)
# The run in the chart.
CHARTED = (600, 1.0)
LARGE_MS = 300
LARGE_SECONDS = 70
# The number of consecutive answers that a whole run may take, in addition to the time at its rate.
ANSWERS = 20
# The round trip of the run through TLS.
FAR_AWAY_MS = 300
# With this, a page of users has two megabytes.
METADATA_BYTES = 2_500


@dataclasses.dataclass(frozen=True)
class Run:
    """One run at a distance."""

    population: Population
    latency_ms: int
    share: float
    copied: Copy
    asked: int
    refused: int

    @property
    def seconds(self) -> float:
        return self.copied.finished.wall_seconds

    @property
    def at_the_rate(self) -> float:
        """The seconds that the fewest requests take at the allowed rate."""
        return self.population.fewest_requests / (LIMIT / 10 * self.share)

    @property
    def allowed(self) -> float:
        return self.at_the_rate / 0.95 + ANSWERS * self.latency_ms / 1000

    @property
    def in_flight(self) -> int:
        return max((second.in_flight for second in timeline(self.copied.log)), default=0)


def run(bench: Workbench) -> Report:
    population = middle(bench)
    sandbox = bench.sandbox(population)
    runs = [
        measure(bench, sandbox, latency, share) for latency in LATENCIES_MS for share in SHARES
    ]
    through_tls = far_away(bench, sandbox)
    wide = bench.sandbox(dataclasses.replace(population, metadata_bytes=METADATA_BYTES))
    wide_pages = measure(bench, wide, LARGE_MS, 1.0)
    beside = loops(bench)
    largest = bench.sandbox(bench.large)
    large = [measure(bench, largest, LARGE_MS, 1.0) for _ in bench.times()]
    return Report(
        [*described(population, runs), *beside, *others(wide_pages, through_tls, large)],
        verdicts([*runs, wide_pages, *large], large),
    )


def middle(bench: Workbench) -> Population:
    users = 3_000 if bench.quick else 300_000
    return Population(users, users // 25, users * 2)


def measure(bench: Workbench, sandbox: Sandbox, latency_ms: int, share: float, **more: str) -> Run:
    bench.say(f"{latency_ms} ms, share {share:g}, {sandbox.population}")
    sandbox.behave(latency_ms=latency_ms, limit_per_10s=LIMIT)
    before = sandbox.stats()
    limited = {"CLERK_REQUESTS_PER_10S": str(LIMIT), "CLERK_RATE_SHARE": f"{share:g}"}
    copied = copy(bench.clerk_sync, sandbox, LOG_LEVEL="debug", **limited, **more)
    after = sandbox.stats()
    asked, refused = (after[name] - before[name] for name in ("requests", "rate_limited"))
    return Run(sandbox.population, latency_ms, share, copied, asked, refused)


def far_away(bench: Workbench, sandbox: Sandbox) -> Run:
    """Through TLS, to another process behind a delay."""
    with FarAway(sandbox.url, FAR_AWAY_MS) as far:
        more = {"CLERK_API_URL": far.url, "SSL_CERT_FILE": str(far.roots)}
        run = measure(bench, sandbox, 0, 1.0, **more)
    return dataclasses.replace(run, latency_ms=FAR_AWAY_MS)


def loops(bench: Workbench) -> list[str]:
    """The requests a second of the JavaScript loop, which would take too long for the whole instance."""
    sandbox = bench.sandbox(bench.small)
    same_as = copy(bench.clerk_sync, sandbox)
    rows = []
    try:
        for latency in LATENCIES_MS:
            bench.say(f"the JavaScript loop at {latency} ms")
            sandbox.behave(latency_ms=latency, limit_per_10s=LIMIT)
            looped = loop(bench, sandbox, "page", same_as)
            seconds = looped.finished.wall_seconds
            rows.append([f"{latency} ms", f"{seconds:.1f} s", f"{looped.requests / seconds:.1f}"])
    except RuntimeError as missing:
        return [f"The JavaScript loop could not run: {missing}.", ""]
    return [
        f"The [JavaScript loop](#unlimited) at the same limit requests one page after the other. It copied "
        f"{bench.small}, because the instance above would take it half an hour.",
        "",
        *table(["latency", "wall", "requests a second"], rows),
    ]


def described(population: Population, runs: list[Run]) -> list[str]:
    charted = next(run for run in runs if (run.latency_ms, run.share) == CHARTED)
    return [
        f"{population}. The sandbox refuses more than {LIMIT:,} requests in any ten seconds. Settings are the "
        "defaults except for the share. Times are those of whole runs, from the start of the process to its "
        f"end. The allowed time is that of the fewest requests ({population.fewest_requests:,}) at 95 % of the "
        f"rate, plus {ANSWERS} answers one after another. In flight is the highest number in the log, which "
        "has one line a second.",
        "",
        *table(
            ["latency", "share", "wall", "at the rate", "allowed", "requests", "429", "in flight", "peak memory"],
            [row(run) for run in runs],
        ),
        f"Second by second at {CHARTED[0]} ms and share {CHARTED[1]:g}, with the reason why no more requests were "
        "in flight; it should be `rate`. With `LOG_LEVEL=debug` every run logs this as `request pacing`.",
        "",
        *chart(timeline(charted.copied.log)),
    ]


def row(run: Run) -> list[str]:
    return [
        f"{run.latency_ms} ms",
        f"{run.share:g}",
        f"{run.seconds:.1f} s",
        f"{run.at_the_rate:.1f} s",
        f"{run.allowed:.1f} s",
        f"{run.asked:,}",
        f"{run.refused / run.asked * 100:.2f} %",
        str(run.in_flight),
        Figure([run.copied.finished.peak_bytes]).mebibytes(),
    ]


def others(wide: Run, through_tls: Run, large: list[Run]) -> list[str]:
    named = {
        f"users of {METADATA_BYTES:,} bytes of metadata, so that a page is two megabytes": [wide],
        "through TLS, to a process behind a delay": [through_tls],
        str(large[0].population): large,
    }
    return [
        "Other runs at the whole limit. A relay between the two processes makes the delay: it holds back "
        "every byte, and the first bytes of a connection twice. It lets through ten packets in the first round "
        "trip and twice as many in each further one, as TCP does.",
        "",
        *table(
            ["what", "latency", "wall", "at the rate", "429", "in flight", "peak memory"],
            [[what, *row_of_several(runs)] for what, runs in named.items()],
        ),
    ]


def row_of_several(runs: list[Run]) -> list[str]:
    return [
        f"{runs[0].latency_ms} ms",
        Figure(run.seconds for run in runs).text("s"),
        f"{runs[0].at_the_rate:.1f} s",
        f"{sum(run.refused for run in runs) / sum(run.asked for run in runs) * 100:.2f} %",
        Figure(run.in_flight for run in runs).count(),
        Figure(run.copied.finished.peak_bytes for run in runs).mebibytes(),
    ]


def verdicts(runs: list[Run], large: list[Run]) -> dict[str, Verdict]:
    judged = [run for run in runs if run.latency_ms in JUDGED_MS and run.population == runs[0].population]
    slowest = max(judged, key=lambda run: run.seconds / run.allowed)
    refused = max(run.refused / run.asked for run in runs)
    hungriest = max(
        runs, key=lambda run: run.copied.finished.peak_bytes / run.population.allowed_memory
    )
    large_seconds = Figure(run.seconds for run in large)
    peak, allowed = hungriest.copied.finished.peak_bytes, hungriest.population.allowed_memory
    return {
        NEAR: Verdict(
            f"{slowest.seconds:.1f} of {slowest.allowed:.1f} s at {slowest.latency_ms} ms and share {slowest.share:g}, "
            "the nearest to the target",
            slowest.seconds <= slowest.allowed,
            f"{slowest.seconds - slowest.allowed:.1f} s over",
        ),
        REFUSED: Verdict(f"{refused * 100:.2f} %", refused <= 0.01, f"{(refused - 0.01) * 100:.2f} points over"),
        MEMORY: Verdict(
            f"{peak / 2**20:.1f} of {allowed / 2**20:.1f} MiB",
            peak <= allowed,
            f"{peak / allowed:.2f} times the target",
        ),
        LARGE: Verdict(
            large_seconds.text("s"),
            large_seconds.median <= LARGE_SECONDS,
            f"{large_seconds.median - LARGE_SECONDS:.1f} s over",
        ),
    }


BENCHMARK = Benchmark("At a distance", (NEAR, REFUSED, MEMORY, LARGE), run)
