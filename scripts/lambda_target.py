"""Which programs Lambda can start, and what building them needs."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

# The number of each architecture in an ELF file ("e_machine" in the ELF specification).
ARCHITECTURES = {"x86_64": 62, "arm64": 183}

# Rust's names for the architectures.
RUST_TARGETS = {
    "x86_64": "x86_64-unknown-linux-gnu",
    "arm64": "aarch64-unknown-linux-gnu",
}

# Amazon Linux 2023 has glibc 2.34 (AWS documentation, "Comparing AL2 and AL2023").
NEWEST_GLIBC = (2, 34)


def install_rust_target(target: str) -> None:
    """Installs Rust's standard library for another architecture, with rustup if Rust was installed with it."""
    library = subprocess.run(
        ["rustc", "--print", "target-libdir", "--target", target],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    if pathlib.Path(library).is_dir():
        return
    missing = f"Rust's standard library for {target} is missing"
    if shutil.which("rustup") is None:
        sys.exit(f"{missing}, and there is no rustup to install it; install it the way you installed Rust")
    print(f"{missing}; rustup installs it (once)", file=sys.stderr)
    if subprocess.run(["rustup", "target", "add", target], check=False).returncode:
        sys.exit(f"{missing}, and rustup could not install it: rustup target add {target}")


def path_with_zig() -> str:
    (zig,) = pathlib.Path(".venv").resolve().glob("lib/python3*/site-packages/ziglang/zig")
    return f"{zig.parent}:{os.environ['PATH']}"


def why_lambda_cannot_start(program: bytes, architecture: str) -> str | None:
    if program[:4] != b"\x7fELF":
        return "not a program for Linux"
    (machine,) = struct.unpack_from("<H", program, 18)
    if machine != ARCHITECTURES[architecture]:
        return f"not a program for {architecture}"
    # The file contains the versions of glibc's symbols by name.
    versions = re.findall(rb"\0GLIBC_(\d+)\.(\d+)", program)
    newest = max(((int(major), int(minor)) for major, minor in versions), default=(0, 0))
    if newest > NEWEST_GLIBC:
        return (
            f"needs glibc {newest[0]}.{newest[1]}, and Lambda's is {NEWEST_GLIBC[0]}."
            f"{NEWEST_GLIBC[1]}; build it on an older system, or with `sam build`"
        )
    return None
