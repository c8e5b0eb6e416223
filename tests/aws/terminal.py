"""Commands as somebody at a terminal runs them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from dataclasses import dataclass

from .scene import Failed, expect

SECONDS = 120

# Colours and other commands to the terminal.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Shown:
    status: int
    # What the terminal showed, without colours, and without the line breaks of tables.
    text: str


def on_terminal(
    command: list[str], folder: pathlib.Path, environment: dict[str, str], answers: dict[str, str]
) -> Shown:
    """Runs a command. Types each answer when the text that it belongs to was shown, and a prompt waits after it."""
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
    finally:
        os.close(theirs)
    try:
        shown = conversation(ours, list(answers.items()))
        return Shown(process.wait(timeout=SECONDS), shown)
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def conversation(terminal: int, answers: list[tuple[str, str]]) -> str:
    written = b""
    seen = 0
    end = time.monotonic() + SECONDS
    while chunk := read(terminal, end, written):
        written += chunk
        new = readable(written[seen:])
        if answers and answers[0][0] in new and new.endswith(("]", ">")):
            os.write(terminal, answers.pop(0)[1].encode() + b"\r")
            seen = len(written)
    shown = readable(written)
    expect(not answers, f"it never asked for {answers}: {shown}")
    return shown


def read(terminal: int, end: float, before: bytes) -> bytes:
    """What is written next; nothing at the end."""
    if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
        raise Failed(f"it waits for something, or takes too long: {readable(before)}")
    try:
        return os.read(terminal, 65536)
    # Linux answers with an error instead of an end when the command has closed the terminal.
    except OSError:
        return b""


def readable(written: bytes) -> str:
    return " ".join(ESCAPES.sub("", written.decode(errors="replace")).split())
