"""Copies of this repository."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

from .stack import ROOT


def copy_sources(folder: pathlib.Path, *paths: str) -> None:
    """Copies the files that git tracks or would track, as they are now: all, or those in the paths named."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
