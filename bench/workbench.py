"""What every benchmark uses: the programs, the sandbox, and the number of repetitions."""

import os
import pathlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .copying import copy
from .population import Population
from .sandbox import Sandbox


@dataclass
class Workbench:
    """One run of the benchmarks."""

    # The folder of the release build.
    programs: pathlib.Path
    # A hundredth of everything: only shows that the benchmarks work.
    quick: bool = False
    _sandbox: Sandbox | None = None
    _began: float = field(default_factory=time.monotonic)

    @property
    def clerk_sync(self) -> pathlib.Path:
        return self.programs / "clerk-sync"

    @property
    def target(self) -> pathlib.Path:
        """Cargo's target folder."""
        return self.programs.parent

    @property
    def small(self) -> Population:
        return Population.of(100 if self.quick else 10_000)

    @property
    def middle(self) -> Population:
        return Population.of(1_000 if self.quick else 100_000)

    @property
    def large(self) -> Population:
        return Population.of(10_000 if self.quick else 1_000_000)

    def times(self, repeats: int = 3) -> range:
        """The number of repetitions: three, unless a benchmark has a reason for another."""
        return range(1 if self.quick else repeats)

    def sandbox(self, population: Population) -> Sandbox:
        """A sandbox with these rows, no latency and no limit, that has compressed every page once.

        It compresses a page when it is first asked for and keeps it. There is one sandbox at a time.
        """
        if self._sandbox is None or self._sandbox.population != population:
            self.close()
            self.say(f"a sandbox with {population}")
            self._sandbox = Sandbox(self.programs / "clerk-sandbox", population)
            self.say("a warm-up pass, which is not measured")
            copy(self.clerk_sync, self._sandbox)
        self._sandbox.behave()
        return self._sandbox

    def repeat(self, what: str, measure: Callable, repeats: int = 3) -> list:
        """Measures one thing several times, with a progress line for each."""
        results = []
        for number in self.times(repeats):
            self.say(f"{what} ({number + 1} of {len(self.times(repeats))})")
            results.append(measure())
        return results

    def say(self, progress: str) -> None:
        """Prints a progress line to standard error."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        print(f"{minutes:3}:{seconds:02}  {progress}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Stops the sandbox."""
        if self._sandbox is not None:
            self._sandbox.__exit__()
            self._sandbox = None


def programs(profile: str) -> pathlib.Path:
    """The folder of cargo's builds with this profile."""
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")).absolute() / profile
