"""The archives with all programs for Linux: static, so that they start on any kernel with that processor."""

from __future__ import annotations

import os
import pathlib
import platform
import subprocess
import sys

import build_paths
import lambda_target

from . import names, packing
from .elf import why_not_static
from .packing import File

HERE = pathlib.Path(__file__).parent

# Where `cp -r share ~/.local` puts what shells and `man` look for.
PAPERS = {
    "share/man/man1/{program}.1": ["man"],
    "share/bash-completion/completions/{program}": ["completions", "bash"],
    "share/zsh/site-functions/_{program}": ["completions", "zsh"],
    "share/fish/vendor_completions.d/{program}.fish": ["completions", "fish"],
}
# clerk-sandbox has neither manual nor completions.
WITH_PAPERS = ("clerk-sync", "clerk-access")


def build(architecture: str, target: pathlib.Path) -> pathlib.Path:
    """Builds the programs with their default features; returns the folder that they are in.

    Zig compiles the C in them, and links. So it does not matter which compiler the machine has.
    """
    subprocess.run(["scripts/python-environment", "cross"], check=True)
    triple = names.TRIPLES[architecture]
    lambda_target.install_rust_target(triple)
    command = [".venv/bin/cargo-zigbuild", "zigbuild", "--release", "--locked", "--quiet", "--target", triple, "--bins"]
    for program in names.PROGRAMS:
        command += ["--package", program]
    environment = os.environ | {"PATH": lambda_target.path_with_zig(), "CARGO_TARGET_DIR": str(target)}
    if architecture == "arm64":
        # Kernels for arm64 have pages of 4, 16 or 64 KiB, and jemalloc must be told the largest.
        environment["JEMALLOC_SYS_WITH_LG_PAGE"] = "16"
    subprocess.run([*command, *build_paths.options_without(target)], check=True, env=environment)
    folder = target / triple / "release"
    for program in names.PROGRAMS:
        content = (folder / program).read_bytes()
        if problem := why_not_static(content, architecture):
            sys.exit(f"{folder / program}: {problem}, and must be static. See scripts/releasing/programs.py.")
        if named := build_paths.found_in(content):
            sys.exit(f"{folder / program} names {', '.join(named)}, of this machine; see scripts/build_paths.py")
    return folder


def papers(folder: pathlib.Path) -> list[File]:
    """Manual pages and completions, as the programs in this folder print them. They are the same for all architectures,
    so the programs may be those of this machine."""
    found = []
    for program in WITH_PAPERS:
        for name, words in PAPERS.items():
            printed = subprocess.run([folder / program, *words], check=True, capture_output=True).stdout
            found.append(File(name.format(program=program), printed))
    return found


def can_run(architecture: str) -> bool:
    """Whether this machine runs the programs."""
    here = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return sys.platform == "linux" and architecture == here


def pack(
    path: pathlib.Path,
    folder: pathlib.Path,
    printed: list[File],
    *,
    version: str,
    triple: str,
    licences: str,
    repository: str | None,
    seconds: int,
    compression: int = 9,
) -> None:
    """Writes the archive with the programs in this folder."""
    more = f"\nDocumentation: {repository}/tree/v{version}/docs\n" if repository else ""
    readme = packing.filled(HERE / "archive.md", version=version, triple=triple, more=more)
    files = [
        *(File(f"bin/{name}", (folder / name).read_bytes(), executable=True) for name in names.PROGRAMS),
        *printed,
        File("README.md", readme),
        File("LICENSE", pathlib.Path("LICENSE").read_bytes()),
        File("third-party-licences.txt", licences.encode()),
    ]
    top = names.stem(path.name)
    inside = [File(f"{top}/{file.name}", file.content, file.executable) for file in files]
    packing.tar_gz(path, inside, seconds, compression)
