"""The archive with the source: what macOS, and any other system, builds from."""

from __future__ import annotations

import pathlib
import subprocess

from . import names, packing


def pack(path: pathlib.Path, commit: str) -> None:
    """Writes what is in this commit. git gives every file the commit's time. Crates are not in it: Cargo.lock names
    each with its checksum, and Cargo fetches them."""
    command = ["git", "archive", "--format=tar", f"--prefix={names.stem(path.name)}/", commit]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    packing.write(path, packing.compressed(archive))
