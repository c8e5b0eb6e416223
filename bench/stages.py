"""Where the CPU time goes: samples of `perf`, grouped by the names of functions."""

import collections
import pathlib
import re
import shutil
import subprocess

from .copying import Folder, complete, settings
from .processes import CLEAN, Child
from .report import Benchmark, Report, table
from .workbench import Workbench

# Samples per second.
FREQUENCY = 1999

# A function's samples count for the first stage whose pattern matches its name. Inlined functions count for
# their callers.
STAGES = {
    "kernel: sockets, files, memory": r"^\[k\]",
    "digest": r"sha2|sha256|digest|add_lines",
    "receive: gunzip": r"inflate|decompress|decode|crc32",
    "compress": r"deflate|compress|zstd|longest_match",
    "translate": r"translate|serde_json::ser|serde_core::ser|itoa|ryu|snapshot::record|Timestamp|clock|"
    r"core::fmt|escaped",
    "parse": r"serde_json|serde_core::de|simd_json|sonic|::wire|utf8|memchr|PhantomData",
    "checkpoint and store": r"checkpoint|clerk_store|publish|clerk_snapshot::(part|manifest)|std::fs",
    "receive: HTTP": r"hyper|reqwest|http|mio|tokio|transport|tower|futures|bytes::|url|epoll",
    "walk and compare": r"clerk_sync::",
    "allocate and copy memory": r"malloc|calloc|realloc|free|mem(cpy|move|set|cmp)|alloc::|unlink_chunk|"
    r"\bmi_|drop_in_place",
}
REST = "rest"


def run(bench: Workbench) -> Report:
    perf = shutil.which("perf")
    if perf is None:
        raise RuntimeError("`perf` is not installed; `cargo bench` times the stages one by one")
    bench.say("the release build with its function names")
    build()
    sandbox = bench.sandbox(bench.middle)
    bench.say("clerk-sync under perf")
    program = bench.target / "profiling" / "clerk-sync"
    with Folder() as folder:
        samples = folder.path / "samples"
        command = [
            *(perf, "record", "--quiet", "--event", "cpu-clock", "--freq", str(FREQUENCY)),
            *("--output", samples, "--", program),
        ]
        run = complete(
            Child(command, settings(sandbox.url, folder), folder.log).finish(), folder
        )
        functions = samples_by_function(perf, samples)
    whole = sum(functions.values())
    if whole < FREQUENCY / 10 and not bench.quick:
        raise RuntimeError(f"`perf` took only {whole} samples")
    microseconds = whole / FREQUENCY / run.records * 1e6
    stages = collections.Counter()
    for function, count in functions.items():
        stages[stage(function)] += count
    rows = [
        [name, f"{count / whole * 100:.1f} %", f"{count / whole * microseconds:.2f} µs"]
        for name, count in stages.most_common()
    ]
    lines = [
        f"{bench.middle}, no limit, no latency: {whole:,} samples of `perf` (cpu-clock, {FREQUENCY:,} a "
        "second) over all threads of the release build with its function names, grouped by name. A "
        "function that the compiler inlined counts for its caller. Copying and allocating cannot be "
        "assigned to a stage. The microseconds are those of this run.",
        "",
        *table(["stage", "share", "a record"], rows),
        "The functions with the most samples:",
        "",
        *table(
            ["function", "share"],
            [
                [f"`{shortened(function)}`", f"{count / whole * 100:.1f} %"]
                for function, count in functions.most_common(12)
            ],
        ),
    ]
    return Report(lines)


def build() -> None:
    command = ["cargo", "build", "--profile", "profiling", "--bin", "clerk-sync", "--locked", "--quiet"]
    command.append("--no-default-features")
    if subprocess.run(command, check=False).returncode != 0:
        raise RuntimeError("the build with function names failed")


def samples_by_function(perf: str, samples: pathlib.Path) -> collections.Counter:
    """The number of samples for each function; kernel functions begin with `[k]`."""
    listing = subprocess.run(
        [perf, "script", "--input", samples, "--fields", "ip,sym,dso"],
        env=CLEAN,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout
    functions = collections.Counter()
    for line in listing.splitlines():
        # The line has an address, a function, whose name may contain spaces, and its origin.
        found = re.fullmatch(r"\s*[0-9a-f]+ (.*) \((.*)\)", line)
        if found:
            function, origin = found.groups()
            kernel = origin.startswith("[") and origin != "[vdso]"
            functions[f"[k] {function}" if kernel else function] += 1
    return functions


def stage(function: str) -> str:
    for name, pattern in STAGES.items():
        if re.search(pattern, function):
            return name
    return REST


def shortened(function: str) -> str:
    return function if len(function) <= 90 else f"{function[:89]}…"


BENCHMARK = Benchmark("CPU by stage", (), run)
