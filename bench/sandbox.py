"""The sandbox in a separate process."""

import json
import pathlib
import urllib.request
from collections.abc import Sequence

from .population import Population
from .processes import Server

# The secret key that it accepts.
KEY = "sk_test_sandbox"


class Sandbox:
    """A running clerk-sandbox. Its settings can be changed while it runs; its rows stay."""

    def __init__(self, program: pathlib.Path, population: Population, faults: Sequence[str] = ()):
        """`faults` are in the form of its option `--fault`."""
        self.population = population
        rows = {
            "--users": population.users,
            "--organizations": population.organizations,
            "--memberships": population.memberships,
            "--other-rows": population.other_rows,
            "--metadata-bytes": population.metadata_bytes,
        }
        options = [word for name, number in rows.items() for word in (name, str(number))]
        options += [word for fault in faults for word in ("--fault", fault)]
        self._server = Server("the sandbox", [program, *options])
        self.url = self._server.listening_at

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self._server.stop()

    def behave(self, latency_ms: int = 0, limit_per_10s: int = 0) -> None:
        """Sets how it answers from now on. A limit of 0 means none; any other limit restarts its count."""
        self._get(f"latency-ms/{latency_ms}")
        self._get("limit-per-10s/0")
        if limit_per_10s > 0:
            self._get(f"limit-per-10s/{limit_per_10s}")

    def stats(self) -> dict:
        """The requests since it started."""
        return self._get("stats")

    def peak_bytes(self) -> int | None:
        """Its peak memory; unknown if the system has no /proc."""
        try:
            status = pathlib.Path(f"/proc/{self._server.pid}/status").read_text()
        except OSError:
            return None
        words = dict(line.split(":", 1) for line in status.splitlines())
        return int(words["VmHWM"].split()[0]) * 1024

    def _get(self, page: str) -> dict:
        with urllib.request.urlopen(f"{self.url}/sandbox/{page}", timeout=60) as answer:
            return json.load(answer)
