"""The size of the deployed program."""

import io
import zipfile

from .report import Benchmark, Report, at_most, table
from .workbench import Workbench

ZIP = "Zip at most 6.5 MiB"


def run(bench: Workbench) -> Report:
    program = bench.clerk_sync.read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        zipped.writestr("bootstrap", program)
    size = archive.tell()
    rows = [["program", mebibytes(len(program))], ["zip", mebibytes(size)]]
    lines = [
        "The stripped release build, and a zip (deflate, level 9) that contains it as `bootstrap`.",
        "",
        *table(["", "size"], rows),
    ]
    return Report(lines, {ZIP: at_most(size, int(6.5 * 2**20), mebibytes(size))})


def mebibytes(size: int) -> str:
    return f"{size / 2**20:.2f} MiB"


BENCHMARK = Benchmark("What is deployed", (ZIP,), run)
