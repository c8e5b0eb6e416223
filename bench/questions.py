"""How fast clerk-access answers, compared with DuckDB on the same files."""

import gzip
import json
import pathlib
import sys
import tempfile
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .copying import Folder, complete, settings
from .figures import Figure
from .processes import Child, Finished
from .report import Benchmark, Report, Verdict, at_most, table
from .sandbox import Sandbox
from .workbench import Workbench

# What any member of the sandbox's roles with administration may do, and what few roles may.
PERMISSION = "org:sys_memberships:manage"

# Days at work between the two snapshots: each changes a handful of users, memberships and organizations.
DAYS = 200

MEMORY = "Any question at 1,000,000 users and 2,000,000 memberships: at most 96 MiB"
MEMORY_OF_DIFF = "`diff` of two snapshots of 5.3 million records: at most 64 MiB"

DUCKDB = pathlib.Path(__file__).parent / "duckdb_questions.py"


@dataclass(frozen=True)
class Question:
    """A question that both programs are asked."""

    name: str
    # Of clerk-access.
    words: tuple[str, ...]
    # Of duckdb_questions.py.
    duckdb: tuple[str, ...]
    # Key of the list in the answer whose length both must agree on.
    rows: str


def no_slower(question: str) -> str:
    return f"`{question}`: no slower than DuckDB"


SPEED = tuple(no_slower(question) for question in ("who", "can", "diff"))

# Asked of clerk-access alone.
OTHERS = (
    ("holders", "--role", "org:admin"),
    ("access",),
    ("stats",),
    ("findings",),
    ("history",),
    ("verify",),
    ("export", "users", "--format", "ndjson"),
)


def run(bench: Workbench) -> Report:
    with snapshots(bench) as folder:
        address = some_address(folder)
        rows, verdicts, most = [], {}, 0
        for question in questions(address):
            ours, theirs = [], []
            # Alternating, so that the machine's moods meet both.
            for number in bench.times():
                bench.say(f"{question.name} ({number + 1} of {len(bench.times())})")
                ours.append(ask(bench, folder, *question.words))
                theirs.append(ask_duckdb(folder, *question.duckdb))
            assert_same(question, ours[0], theirs[0])
            rows += [row(f"`{question.name}`", ours), row("– DuckDB", theirs)]
            verdicts[no_slower(question.name)] = at_most(
                wall(ours).median,
                wall(theirs).median,
                f"{wall(ours).median:.2f} s, DuckDB {wall(theirs).median:.2f} s",
            )
            peak = max(finished.peak_bytes for finished in ours)
            if question.name == "diff":
                verdicts[MEMORY_OF_DIFF] = within(peak, 64)
            else:
                most = max(most, peak)
        for words in OTHERS:
            given = (*words, some_user(folder)) if words[0] == "history" else words
            # Once: these have no target for speed, and some take minutes.
            ran = bench.repeat(" ".join(words), lambda given=given: ask(bench, folder, *given), 1)
            rows.append(row(f"`{' '.join(words)}`", ran))
            most = max([most, *(finished.peak_bytes for finished in ran)])
        verdicts[MEMORY] = within(most, 96)
        records = sum(entry["records"] for entry in newest(folder)["datasets"].values())
    lines = [
        f"{bench.large}: {records:,} records in each of two snapshots, gzip, in a folder; between them the "
        f"sandbox passed {DAYS} days at work. Both programs are asked the same, one after the other, and must "
        "agree on the number of rows; both write their answers as JSON to a file. DuckDB reads the same parts "
        "with its own reader of NDJSON, given only the columns that the question needs, and with its default "
        "settings (all cores, no limit on memory); its queries are in "
        "[bench/duckdb_questions.py](../bench/duckdb_questions.py). It checks no checksums; clerk-access holds "
        "every part that it reads against the manifest. DuckDB's wall time includes the start of Python and "
        "the import of its module, about a tenth of a second.",
        "",
        *table(["question", "wall", "CPU", "peak memory", "rows"], rows),
    ]
    return Report(lines, verdicts)


def questions(address: str) -> Iterator[Question]:
    yield Question("who", ("who", address), ("who", address), "memberships")
    yield Question("can", ("can", PERMISSION), ("can", PERMISSION), "holders")
    every = ("--class", "access,security,identity,activity")
    yield Question("diff", ("diff", *every), ("diff",), "changes")


@dataclass(frozen=True)
class Answered:
    """A question that was answered, and what that took."""

    finished: Finished
    rows: int

    @property
    def wall_seconds(self) -> float:
        return self.finished.wall_seconds

    @property
    def cpu_seconds(self) -> float:
        return self.finished.cpu_seconds

    @property
    def peak_bytes(self) -> int:
        return self.finished.peak_bytes


def ask(bench: Workbench, folder: Folder, *words: str) -> Answered:
    """Asks clerk-access; the answer goes to a file."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = pathlib.Path(scratch) / "answer"
        command = [bench.programs / "clerk-access", "--url", str(folder.snapshots), "--out", str(answer)]
        # The sandbox's roles and domains are among the datasets; those of other lists are not.
        command.append("--allow-incomplete")
        if words[0] != "export":
            command += ["-o", "ndjson"]
        finished = Child([*command, *words], {}, folder.log).finish()
        if finished.status != 0:
            raise RuntimeError(f"{' '.join(words)}: exit status {finished.status}: {finished.output[:500]}")
        return Answered(finished, rows_in(answer, words[0]))


def rows_in(answer: pathlib.Path, question: str) -> int:
    """Rows of an answer: a line each, and a last one that is the envelope."""
    with answer.open("rb") as lines:
        if question == "who":
            return sum(len(json.loads(line).get("memberships", ())) for line in lines)
        return sum(1 for _ in lines) - 1


def ask_duckdb(folder: Folder, *words: str) -> Answered:
    finished = Child([sys.executable, DUCKDB, folder.snapshots, *words], {}, folder.log).finish()
    if finished.status != 0:
        raise RuntimeError(f"DuckDB: {words[0]}: exit status {finished.status}")
    return Answered(finished, int(finished.output))


def assert_same(question: Question, ours: Answered, theirs: Answered) -> None:
    if ours.rows != theirs.rows:
        raise RuntimeError(f"{question.name}: {ours.rows:,} rows, DuckDB {theirs.rows:,}")


@contextmanager
def snapshots(bench: Workbench) -> Iterator[Folder]:
    """Two snapshots between which the instance changed. The sandbox has ended when they are handed out."""
    with Folder() as folder:
        bench.close()
        bench.say(f"two snapshots of {bench.large}")
        with Sandbox(bench.programs / "clerk-sandbox", bench.large) as sandbox:
            for number in range(2):
                for _ in range(DAYS if number else 0):
                    urllib.request.urlopen(f"{sandbox.url}/sandbox/workday", timeout=600).close()
                given = settings(sandbox.url, folder)
                complete(Child([bench.clerk_sync], given, folder.log).finish(), folder)
        yield folder


def newest(folder: Folder) -> dict:
    latest = json.loads((folder.snapshots / "latest.json").read_text())
    return json.loads((folder.snapshots / latest["manifest"]).read_text())


def some_user(folder: Folder) -> str:
    """The id of a member."""
    (last,) = deque(lines_of(folder, "grants", -1), maxlen=1)
    return json.loads(last)["principal"]["id"]


def some_address(folder: Folder) -> str:
    """The primary address of a member who has one."""
    members = {json.loads(line)["principal"]["id"] for line in lines_of(folder, "grants", -1)}
    for part in range(len(newest(folder)["datasets"]["users"]["parts"])):
        for line in lines_of(folder, "users", part):
            user = json.loads(line)
            if user["id"] in members and user["profile"]["primary_email"]:
                return user["profile"]["primary_email"]
    raise RuntimeError("no member has an address")


def lines_of(folder: Folder, dataset: str, part: int) -> Iterator[bytes]:
    """The lines of one part of the newest snapshot, one at a time: no peak can be measured below the memory of this
    process."""
    manifest = newest(folder)
    key = manifest["datasets"][dataset]["parts"][part]["key"]
    path = folder.snapshots / "snapshots" / manifest["snapshot_id"] / key
    with gzip.open(path, "rb") as lines:
        yield from lines


def row(name: str, ran: list[Answered]) -> list[str]:
    peak = Figure(one.peak_bytes for one in ran)
    cpu = Figure(one.cpu_seconds for one in ran)
    return [name, wall(ran).seconds(), cpu.seconds(), peak.mebibytes(), f"{ran[0].rows:,}"]


def wall(ran: list[Answered]) -> Figure:
    return Figure(one.wall_seconds for one in ran)


def within(peak: int, mebibytes: int) -> Verdict:
    return at_most(peak, mebibytes * 2**20, f"{peak / 2**20:.1f} MiB")


BENCHMARK = Benchmark("Questions", (*SPEED, MEMORY, MEMORY_OF_DIFF), run)
