"""Child processes, and the resources that each of them used."""

import os
import pathlib
import resource
import subprocess
import time
from dataclasses import dataclass

# Only those environment variables that any program needs: settings or credentials that happen to be
# exported must not affect a measurement.
CLEAN = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
    # The function's allocator, as template.yaml sets it up. The plain program has another, which ignores these.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "8388608",
}


@dataclass(frozen=True)
class Finished:
    """A child that has ended, and the resources that it alone used (`wait4`)."""

    # Exit status; negative: the signal that ended it.
    status: int
    output: str
    # From just before its start until its end.
    wall_seconds: float
    # User and system time together.
    cpu_seconds: float
    # The largest resident set. Never below this process's own, whose memory the child starts with.
    peak_bytes: int


class Child:
    """A process to measure; its standard error goes to a file."""

    def __init__(self, command: list, settings: dict[str, str], log: pathlib.Path):
        with log.open("ab") as errors:
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                command,
                env=CLEAN | settings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def signal(self, number: int) -> None:
        """Sends a signal if the process is still running."""
        if self.is_running():
            os.kill(self.process.pid, number)

    def is_running(self) -> bool:
        """Whether it is still running; after its end it stays a zombie until `finish`."""
        seen = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return seen is None

    def finish(self) -> Finished:
        """Reads its output and waits until it ends."""
        with self.process.stdout as stream:
            output = stream.read()
        _, status, usage = os.wait4(self.process.pid, 0)
        ended = time.monotonic()
        # Otherwise Popen would wait for it again.
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return Finished(
            status=self.process.returncode,
            output=output,
            wall_seconds=ended - self.began,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * 1024,
        )


class Server:
    """A server process that prints its address as soon as it listens."""

    def __init__(self, name: str, command: list):
        self._process = subprocess.Popen(
            command,
            env=CLEAN,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        # Empty if it could not start.
        self.listening_at = self._process.stdout.readline().strip()
        if not self.listening_at:
            self.stop()
            raise RuntimeError(f"{name} did not start")

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()


def least_peak_bytes() -> int:
    """The lowest peak that can be measured: a child starts with the memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
