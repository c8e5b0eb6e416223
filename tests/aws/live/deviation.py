"""One thing that a live Clerk might do otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from ..scene import Scene
from .meddler import Meddle, Meddler
from .probe import Ran, run, sandbox


@dataclass(frozen=True)
class Deviation:
    """Something that Clerk does otherwise: by a fault of the synthetic one, or by a server in front
    of it."""

    what: str
    # The assumptions that it breaks; with none, it is one of the ways that are expected.
    breaks: set[str]
    # Words that the report has about it.
    says: str
    faults: tuple[str, ...] = ()
    meddle: Meddle | None = None
    protocol: str = "HTTP/1.1"

    def play(self, scene: Scene) -> Ran:
        with sandbox(scene, *self.faults) as clerk:
            if self.meddle is None:
                return run(clerk.url)
            with Meddler(clerk.url, self.meddle, self.protocol) as meddler:
                return run(meddler.url)
