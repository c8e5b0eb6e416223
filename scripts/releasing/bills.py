"""Bills of materials: what is compiled into each program, by cargo-cyclonedx, in CycloneDX's JSON."""

from __future__ import annotations

import os
import pathlib
import subprocess

# Fixed, because dates and serial numbers would differ each time.
NO_TIME = "315532800"
NAME = "clerk-sync-bill"
# Where the crate of each program is.
FOLDERS = {"clerk-sync": ".", "clerk-access": "crates/access", "clerk-sandbox": "crates/sandbox"}


def of_the_function(target: str) -> str:
    """For the program that is built without the feature `cli`."""
    return written(target, ["--no-default-features"])["clerk-sync"]


def of_the_programs(target: str) -> dict[str, str]:
    """For each program of the archive."""
    return written(target, [])


def written(target: str, features: list[str]) -> dict[str, str]:
    """cargo-cyclonedx writes a bill next to each Cargo.toml."""
    command = ["scripts/cargo-tool", "cargo-cyclonedx", "cyclonedx", "--format", "json", "--spec-version", "1.5"]
    command += ["--target", target, "--no-build-deps", "--quiet", "--override-filename", NAME, *features]
    root = pathlib.Path.cwd()
    try:
        subprocess.run(command, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": NO_TIME})
        bills = {name: (root / folder / f"{NAME}.json").read_text("utf-8") for name, folder in FOLDERS.items()}
    finally:
        for folder in (root, *root.glob("crates/*")):
            (folder / f"{NAME}.json").unlink(missing_ok=True)
    return {name: bill.replace(str(root), "/clerk-sync") for name, bill in bills.items()}
