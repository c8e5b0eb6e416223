"""Runs the commands that the docs show, and compares their output with what is shown. For `scripts/docs-check --run`.

A fenced block of the language `console` is run: each line that begins with `$ ` is a command, and the lines below it
are its output. The blocks of a page run in order, in one shell and one temporary folder that looks like the
repository, with the programs in PATH and a synthetic Clerk in CLERK_API_URL. Standard output is a terminal of 116
columns. A command must end with status 0. Its output is compared if the page shows any; a line `…` stands for any
number of lines. What differs from run to run (ids of snapshots, times, addresses, sizes, counts of requests, the
folder) counts as equal.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import tempfile
import termios
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent

COLUMNS = 116
# The key that the synthetic Clerk accepts.
KEY = "sk_test_sandbox"
# Where the docs say that they are.
HOME = "/home/ada"
# Seconds. The longest command copies the synthetic Clerk twice.
LONGEST = 120
ANYTHING = "…"

# What differs from run to run.
VARYING = [
    (r"\d{8}T\d{6}Z-[0-9a-f]{6}", "<snapshot>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"http://127\.0\.0\.1:\d+", "<address>"),
    (r"\b[0-9a-f]{64}\b", "<digest>"),
    (r"part-[\d-]+-[0-9a-f]{8}", "<part>"),
    (r"\b\d+(\.\d+)? s in \d+ invocations?", "<duration>"),
    (r"(requests +)\d+", r"\1<number>"),
    (r"\b[\d,.]+ kB", "<size>"),
]


@dataclass(frozen=True)
class Command:
    # The line of the page, counted from 1.
    line: int
    text: str
    shown: list[str]


def problems(pages: Iterable[pathlib.Path], programs: pathlib.Path) -> Iterator[str]:
    """Runs each page's commands with the programs in that folder."""
    for page in pages:
        found = list(commands(page.read_text(encoding="utf-8")))
        if not found:
            yield f"{page.relative_to(ROOT)} has no command to run"
            continue
        with like_the_repository() as folder, synthetic_clerk(programs) as address:
            yield from differences(page, found, run(found, folder, address, programs))
            if page.name == "README.md":
                yield from unlike_the_picture(folder, programs)


def commands(text: str) -> Iterator[Command]:
    """The commands of the blocks that are run."""
    block, current = False, None
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("```"):
            if current:
                yield current
            block, current = line == "```console", None
        elif block and line.startswith("$ "):
            if current:
                yield current
            current = Command(number, line[2:], [])
        elif block and current and current.text.endswith("\\"):
            current = Command(current.line, f"{current.text}\n{line}", [])
        elif block and current:
            current.shown.append(line)


@contextmanager
def like_the_repository() -> Iterator[pathlib.Path]:
    """A folder with a link to everything in the repository except what is written there."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name).resolve()
        for entry in ROOT.iterdir():
            if entry.name not in {".git", "out", "target"}:
                (folder / entry.name).symlink_to(entry)
        yield folder


@contextmanager
def synthetic_clerk(programs: pathlib.Path) -> Iterator[str]:
    """The address of one that stops at the end."""
    command = [programs / "clerk-sandbox", "--address", "127.0.0.1:0", "--key", KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@dataclass(frozen=True)
class Result:
    status: int
    output: list[str]


def run(found: list[Command], folder: pathlib.Path, address: str, programs: pathlib.Path) -> list[Result]:
    """The results of all commands, run by one shell. Fewer if it ended before."""
    end = "\036"
    script = folder / ".commands"
    # The output of errors is kept apart: it has progress, which is drawn for as long as something takes.
    script.write_text("".join(f"{one.text}\nprintf '\\036%d\\036\\n' $?\n" for one in found), encoding="utf-8")
    (folder / ".key").write_text(f"{KEY}\n", encoding="utf-8")
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", str(folder)),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "PROGRAMS": str(programs),
        "CLERK_API_URL": address,
        "CLERK_SECRET_KEY": KEY,
        "CLERK_REQUESTS_PER_10S": "1000",
    }
    terminal, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    with open(folder / ".key", "rb") as keys, open(folder / ".errors", "wb") as errors:
        process = subprocess.Popen(
            ["bash", str(script)],
            cwd=folder,
            env=environment,
            stdin=keys,
            stdout=child,
            stderr=errors,
            start_new_session=True,
        )
    os.close(child)
    # Its children hold the terminal, too.
    limit = threading.Timer(LONGEST, os.killpg, (process.pid, signal.SIGKILL))
    limit.start()
    output = written(terminal).replace("\r\n", "\n").replace(str(folder), HOME)
    process.wait()
    limit.cancel()
    pieces = output.split(end)
    # The last piece is what follows the last status: nothing.
    ended = zip(pieces[::2], pieces[1::2], strict=False)
    results = [Result(int(status), text.strip("\n").split("\n")) for text, status in ended]
    if len(results) < len(found) or any(one.status for one in results):
        print((folder / ".errors").read_text(encoding="utf-8", errors="replace")[-2000:])
    return results


def written(terminal: int) -> str:
    """Everything that is written to a terminal until the last program closes it."""
    text = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        # Linux answers with an error instead of an end.
        except OSError:
            chunk = b""
        if not chunk:
            os.close(terminal)
            return text.decode()
        text += chunk


def differences(page: pathlib.Path, found: list[Command], results: list[Result]) -> Iterator[str]:
    for command, result in zip(found, results, strict=False):
        where = f"{page.relative_to(ROOT)}:{command.line}: `{command.text}`"
        if result.status != 0:
            yield f"{where} ends with status {result.status}"
        elif any(line.strip() for line in command.shown) and not agrees(command.shown, result.output):
            yield f"{where} shows something else. It answers:\n" + "\n".join(result.output)
    if len(results) < len(found):
        yield f"{page.relative_to(ROOT)}:{found[len(results)].line}: the shell ended, or it took over {LONGEST} s"


def agrees(shown: list[str], output: list[str]) -> bool:
    """Whether the output is what is shown, apart from what varies."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == ANYTHING else re.escape(steady(line)) + r"\n"
        for line in without_end(shown)
    )
    text = "".join(f"{steady(line)}\n" for line in without_end(output))
    return re.fullmatch(pattern, text) is not None


def without_end(lines: list[str]) -> list[str]:
    """Without the empty lines at the end."""
    return "\n".join(lines).rstrip().split("\n")


def steady(line: str) -> str:
    for pattern, name in VARYING:
        line = re.sub(pattern, name, line)
    return line.rstrip()


def unlike_the_picture(folder: pathlib.Path, programs: pathlib.Path) -> Iterator[str]:
    """Whether docs/question.svg shows what the program answers about the snapshots of `make run`."""
    recorded = folder / "question.svg"
    command = [ROOT / "scripts/record-session", "--question", "--programs", programs, "--snapshots", folder / "out"]
    subprocess.run([*command, recorded], check=True, stdout=subprocess.DEVNULL)
    picture = ROOT / "docs/question.svg"
    if steady_texts(recorded) != steady_texts(picture):
        yield "docs/question.svg shows something else than the program answers: scripts/record-session --question"


def steady_texts(picture: pathlib.Path) -> list[str]:
    return [steady(text) for text in re.findall(r"<text[^>]*>(.*)</text>", picture.read_text(encoding="utf-8"))]
