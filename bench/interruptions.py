"""What it costs to pause a run, or to kill it, 1, 10 and 100 times."""

import json
import random
import signal
import time
from dataclasses import dataclass

from .copying import Copy, Folder, WrongAnswer, complete, copy, settings
from .processes import Child, Finished
from .report import Benchmark, Report, Verdict, at_most, table
from .sandbox import Sandbox
from .workbench import Workbench

COST = (
    "A kill costs at most the pages that the allowed rate sends during one answer and one store, plus 2 "
    "pages of each list"
)
DIGESTS = "An interrupted run has the same digests as an uninterrupted one"

TIMES = (1, 10, 100)
KINDS = {"paused": signal.SIGTERM, "killed": signal.SIGKILL}

# The rate that everything is compared with, and a Clerk at some distance.
LIMIT = 1_000
LATENCY_MS = 150
# The pages that this rate allows during one answer and one store (a folder takes no time), plus two.
ALLOWED_PAGES = LIMIT / 10 * LATENCY_MS / 1000 + 2

# The shortest possible lease: after a kill, the next invocation waits until it ends, and is not counted.
LEASE_SECONDS = 2

# The exit status of an invocation that paused, or that found the lease taken.
PAUSED = 75


@dataclass(frozen=True)
class Interrupted:
    """A run that was interrupted and finally completed, and what it used."""

    copy: Copy
    times: int
    requests: dict[str, int]
    cpu_seconds: float


def run(bench: Workbench) -> Report:
    sandbox = bench.sandbox(bench.middle)
    sandbox.behave(latency_ms=LATENCY_MS)
    bench.say("uninterrupted")
    before = asked(sandbox)
    whole = copy(bench.clerk_sync, sandbox, CLERK_REQUESTS_PER_10S=str(LIMIT))
    needed = since(before, sandbox)
    rows = [
        ["uninterrupted", "0", f"{sum(needed.values()):,}", "", "", "",
         f"{whole.finished.cpu_seconds:.2f} s", "", ""]
    ]
    worst, same = 0.0, True
    for kind, number in KINDS.items():
        for times in TIMES[:2] if bench.quick else TIMES:
            bench.say(f"{kind} {times} times")
            run = interrupted(bench, sandbox, number, times)
            extra = {path: count - needed.get(path, 0) for path, count in run.requests.items()}
            pages = {path: count for path, count in extra.items() if path.count("/") == 2}
            pages.pop("/v1/instance", None)
            dearest = max(pages, key=pages.get)
            same_digests = run.copy.digests == whole.digests
            if run.times > 0:
                worst = max(worst, pages[dearest] / run.times)
            same = same and same_digests
            rows.append(
                [
                    kind,
                    str(run.times),
                    f"{sum(run.requests.values()):,}",
                    f"{sum(pages.values()):,}",
                    f"{sum(pages.values()) / max(run.times, 1):.2f}",
                    f"{pages[dearest] / max(run.times, 1):.2f} (`{dearest.rpartition('/')[2]}`)",
                    f"{run.cpu_seconds:.2f} s",
                    f"{(run.cpu_seconds - whole.finished.cpu_seconds) / max(run.times, 1):.3f} s",
                    "the same" if same_digests else "**different**",
                ]
            )
    lines = [
        f"{bench.middle}, {LATENCY_MS} ms latency, {LIMIT:,} requests in ten seconds, "
        f"`LEASE_SECONDS={LEASE_SECONDS}`. Each interruption comes after a number of requests, counted by "
        "the sandbox since the invocation began; the interruptions are spread over the whole run. An "
        "interruption is SIGTERM, which pauses the run (what is in flight is stored, as when a time budget "
        "ends), or SIGKILL. Each run is then continued until it is complete. More pages are requests for "
        "pages of lists that the uninterrupted run did not need. Each invocation also requests the "
        "instance, and may request the counts again. CPU covers all invocations together.",
        "",
        *table(
            ["run", "times", "requests", "more pages", "more pages each time",
             "of the most expensive list", "CPU", "more CPU each time", "digests"],
            rows,
        ),
    ]
    verdicts = {
        COST: at_most(
            worst,
            ALLOWED_PAGES,
            f"{worst:.2f} of {ALLOWED_PAGES:.0f} pages of the most expensive list, in the worst run",
        ),
        DIGESTS: Verdict("the same" if same else "different", same),
    }
    return Report(lines, verdicts)


def interrupted(bench: Workbench, sandbox: Sandbox, number: int, times: int) -> Interrupted:
    """Interrupts a run the given number of times, then lets it finish."""
    # The same points in every run of the benchmarks.
    moments = random.Random(times)
    spacing = max(2, bench.middle.fewest_requests // (times + 1))
    done, cpu = 0, 0.0
    before = asked(sandbox)
    with Folder() as folder:
        while True:
            after = moments.randint(spacing // 2 + 1, spacing) if done < times else None
            finished = invocation(bench, sandbox, folder, number, after)
            cpu += finished.cpu_seconds
            if finished.status == 0:
                return Interrupted(complete(finished, folder), done, since(before, sandbox), cpu)
            if finished.status not in (PAUSED, -signal.SIGKILL):
                raise WrongAnswer(f"{finished.output}\n{folder.log.read_text()[-2000:]}")
            done += 1
            if finished.status < 0:
                # Earlier, the answer would be `busy`.
                time.sleep(LEASE_SECONDS)
            elif json.loads(finished.output)["status"] != "partial":
                raise WrongAnswer(finished.output)


def invocation(
    bench: Workbench, sandbox: Sandbox, folder: Folder, number: int, after: int | None
) -> Finished:
    """One invocation, which gets the signal after it has sent the given number of requests."""
    began = sandbox.stats()["requests"]
    more = {"LEASE_SECONDS": str(LEASE_SECONDS), "CLERK_REQUESTS_PER_10S": str(LIMIT)}
    child = Child([bench.clerk_sync], settings(sandbox.url, folder, **more), folder.log)
    if after is not None:
        while child.is_running() and sandbox.stats()["requests"] - began < after:
            time.sleep(0.002)
        child.signal(number)
    return child.finish()


def asked(sandbox: Sandbox) -> dict[str, int]:
    return sandbox.stats()["requests_by_path"]


def since(before: dict[str, int], sandbox: Sandbox) -> dict[str, int]:
    return {path: count - before.get(path, 0) for path, count in asked(sandbox).items()}


BENCHMARK = Benchmark("Interruptions", (COST, DIGESTS), run)
