"""How fast the sandbox serves. It must not limit the other benchmarks."""

import http.client
import itertools
import threading
import time
import urllib.parse

from .figures import Figure
from .population import PAGE
from .report import Benchmark, Report, table
from .sandbox import KEY, Sandbox
from .workbench import Workbench

CONNECTIONS = 4

LISTS = {
    "users": "users",
    "memberships": "organization_memberships",
}


def run(bench: Workbench) -> Report:
    sandbox = bench.sandbox(bench.middle)
    rows = []
    for name, path in LISTS.items():
        pages = getattr(sandbox.population, name) // PAGE or 1
        # The first pass compresses the pages by offset.
        read(sandbox, path, pages)
        speeds = bench.repeat(f"{name} read by a simple client", lambda: read(sandbox, path, pages))
        rates = Figure(pages / seconds for seconds, _ in speeds)
        megabytes = Figure(size / seconds / 1e6 for seconds, size in speeds)
        rows.append([name, str(pages), rates.count(), megabytes.text("MB/s", 0)])
    lines = [
        f"The client only receives: over {CONNECTIONS} connections that stay open, one request at a time on "
        "each, with `Accept-Encoding: gzip` and without decompressing. Client and server share the "
        "machine, as in the other benchmarks.",
        "",
        *table(["list", "pages", "pages a second", "compressed"], rows),
    ]
    peak = sandbox.peak_bytes()
    if peak is not None:
        lines += [f"With {sandbox.population} the sandbox takes {peak / 2**20:,.0f} MiB.", ""]
    return Report(lines)


def read(sandbox: Sandbox, path: str, pages: int) -> tuple[float, int]:
    """Reads the given number of pages. Returns seconds and bytes."""
    host = urllib.parse.urlsplit(sandbox.url).netloc
    left = itertools.count()
    sizes = [0] * CONNECTIONS

    def reader(number: int) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        headers = {
            "Authorization": f"Bearer {KEY}",
            "Clerk-API-Version": "2026-05-12",
            "Accept-Encoding": "gzip",
        }
        while (page := next(left)) < pages:
            query = f"limit={PAGE}&offset={page * PAGE}&order_by=%2Bcreated_at"
            connection.request("GET", f"/v1/{path}?{query}", headers=headers)
            answer = connection.getresponse()
            sizes[number] += len(answer.read())
            if answer.status != 200:
                raise RuntimeError(f"the sandbox answered {answer.status}")
        connection.close()

    threads = [threading.Thread(target=reader, args=(number,)) for number in range(CONNECTIONS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began, sum(sizes)


BENCHMARK = Benchmark("The sandbox", (), run)
