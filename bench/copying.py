"""One run of clerk-sync, from a sandbox into a folder, and the resources it used."""

import json
import os
import pathlib
import shutil
import tempfile
from dataclasses import dataclass

from .population import RESOURCES
from .processes import Child, Finished
from .sandbox import KEY, Sandbox

# A folder in memory, where the system has one (Linux). The driver of a disk and its file system take up to
# a quarter of the processor time of a small copy, and differ from machine to machine; S3 takes nothing of
# the kind.
MEMORY = pathlib.Path("/dev/shm")
# Some containers have 64 MiB of it.
ENOUGH_MEMORY = 4 * 2**30


class WrongAnswer(Exception):
    """A run that was not complete and verified. Nothing else makes the benchmarks fail."""


@dataclass(frozen=True)
class Copy:
    """A run that is complete and verified."""

    finished: Finished
    answer: dict
    manifest: dict
    # What the run logged.
    log: str

    @property
    def records(self) -> int:
        return sum(self.answer["records"].values())

    @property
    def cpu_per_record(self) -> float:
        """In seconds."""
        return self.finished.cpu_seconds / self.records

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each dataset's lines."""
        return {
            name: dataset["content_digest"] for name, dataset in self.manifest["datasets"].items()
        }


class Folder:
    """A temporary folder for snapshots and the log, in memory unless it should or must be on disk."""

    def __init__(self, on_disk: bool = False):
        place = None if on_disk or not is_in_memory() else MEMORY
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="clerk-sync-bench-", dir=place))
        self.log = self.path / "log"
        self.snapshots = self.path / "snapshots"

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def is_in_memory() -> bool:
    """Whether this system has a folder in memory that is large enough."""
    usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    return usable and shutil.disk_usage(MEMORY).free >= ENOUGH_MEMORY


def settings(url: str, folder: Folder, **more: str) -> dict[str, str]:
    """The settings of a run: everything is copied, without a rate limit unless `more` sets one."""
    return {
        "SNAPSHOT_URL": folder.snapshots.as_uri(),
        "RESOURCES": RESOURCES,
        "CLERK_SECRET_KEY": KEY,
        "CLERK_API_URL": url,
        "CLERK_REQUESTS_PER_10S": "1000000",
        "CLERK_RATE_SHARE": "1",
        "LOG_LEVEL": "warn",
        **more,
    }


def copy(program: pathlib.Path, sandbox: Sandbox, *, on_disk: bool = False, **more: str) -> Copy:
    """One uninterrupted run."""
    with Folder(on_disk) as folder:
        finished = Child([program], settings(sandbox.url, folder, **more), folder.log).finish()
        return complete(finished, folder)


def complete(finished: Finished, folder: Folder) -> Copy:
    """The run that has ended; fails unless it is complete and verified."""
    try:
        answer = json.loads(finished.output)
    except ValueError:
        answer = {}
    log = folder.log.read_text(errors="replace")
    if answer.get("status") != "complete" or not answer["verified"]:
        said = finished.output.strip()
        raise WrongAnswer(f"exit status {finished.status}: {said}\n{log[-2000:]}")
    latest = json.loads((folder.snapshots / "latest.json").read_text())
    manifest = json.loads((folder.snapshots / latest["manifest"]).read_text())
    return Copy(finished, answer, manifest, log)
