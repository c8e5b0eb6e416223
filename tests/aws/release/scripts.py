"""The modules of scripts/releasing, imported as scripts/release does."""

from __future__ import annotations

import sys

from ..stack import ROOT

sys.path.append(str(ROOT / "scripts"))

from releasing import (  # noqa: E402
    elf,
    homebrew,
    licences,
    names,
    packing,
    programs,
    project,
    provenance,
    sam,
    signing,
    source,
)

__all__ = [
    "elf",
    "homebrew",
    "licences",
    "names",
    "packing",
    "programs",
    "project",
    "provenance",
    "sam",
    "signing",
    "source",
]
