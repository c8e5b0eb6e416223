"""Describes the machine that the figures were measured on, without host names and paths."""

import datetime
import os
import pathlib
import platform
import subprocess

from .copying import is_in_memory


def facts() -> list[tuple[str, str]]:
    """Names and values, in the order of the table."""
    return [
        ("date", datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", commit()),
        ("processor", f"{processor()}, {os.cpu_count()} cores visible"),
        ("memory", memory()),
        ("snapshots", "in memory (tmpfs)" if is_in_memory() else "on disk"),
        ("kernel", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("load before", f"{os.getloadavg()[0]:.1f}, the average of one minute"),
        ("rustc", said("rustc", "--version")),
        ("Node", said("node", "--version")),
        ("Python", platform.python_version()),
    ]


def commit() -> str:
    changed = said("git", "status", "--porcelain", "--untracked-files=no")
    return said("git", "rev-parse", "--short=12", "HEAD") + (", with changes" if changed else "")


def processor() -> str:
    return field("/proc/cpuinfo", "model name") or platform.processor() or "unknown"


def memory() -> str:
    kibibytes = field("/proc/meminfo", "MemTotal")
    return f"{int(kibibytes.split()[0]) / 2**20:.1f} GiB" if kibibytes else "unknown"


def field(path: str, name: str) -> str | None:
    """The value of the first line `name: value` in a file, if there is one."""
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return None
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(values, None)


def said(*command: str) -> str:
    """A program's output of one line; empty if there is none."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except OSError:
        return "not installed"
    return done.stdout.strip()
