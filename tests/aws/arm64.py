"""The program for arm64, the template's default, can be built, starts on Lambda, and runs.

It uses the program that `make package ARCHITECTURE=arm64` built, unless a source is newer. Otherwise
it builds the program in the same way (Cargo Lambda, Zig) but without optimisation, which takes some
four minutes on two processors the first time. QEMU runs it, with arm64's glibc (Debian: qemu-user and
libc6-arm64-cross, or a folder that QEMU_LD_PREFIX names). A note says so if QEMU or glibc is missing
and the program is not run, or if Rust's standard library for arm64 is missing and it is not built.
"""

from __future__ import annotations

import os
import pathlib
import platform
import shlex
import shutil
import subprocess
from types import ModuleType

from bench.population import Population

from .lambda_runtime import Environment
from .scene import Failed, Scene, expect, programs
from .scripts import module
from .stack import ROOT

LOADER = "lib/ld-linux-aarch64.so.1"


def prove(scene: Scene) -> None:
    if platform.machine() == "aarch64":
        scene.notes.append("this machine has arm64, so all other proofs are about arm64")
        return
    lambda_target = module(ROOT / "scripts" / "lambda_target.py")
    target = programs().parent
    bootstrap = target / "lambda" / "arm64" / "clerk-sync" / "bootstrap"
    how = "what make package built"
    if not is_newer_than_the_sources(bootstrap):
        try:
            lambda_target.install_rust_target(lambda_target.RUST_TARGETS["arm64"])
        except SystemExit as problem:
            scene.notes.append(f"NOT BUILT: {problem}")
            return
        bootstrap = build(lambda_target, target / "lambda" / "arm64-unoptimised")
        how = "built without optimisation"
    problem = lambda_target.why_lambda_cannot_start(bootstrap.read_bytes(), "arm64")
    expect(not problem, f"{bootstrap}: {problem}")
    scene.notes.append(f"{how}: for arm64, and for glibc 2.34 or an older one")

    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    libraries = folder_of_libraries()
    if emulator is None or libraries is None:
        missing = "qemu-aarch64" if emulator is None else "glibc for arm64"
        scene.notes.append(f"NOT RUN: there is no {missing} here")
        return
    under_emulator = scene.scratch / "bootstrap-arm64"
    command = shlex.join([emulator, "-L", str(libraries), str(bootstrap.absolute())])
    under_emulator.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    under_emulator.chmod(0o755)
    run(scene, under_emulator)


def is_newer_than_the_sources(bootstrap: pathlib.Path) -> bool:
    rust = (file for folder in ("src", "crates") for file in (ROOT / folder).rglob("*.rs"))
    sources = [*rust, *ROOT.glob("Cargo.*"), *ROOT.glob(".cargo/*")]
    if not bootstrap.is_file():
        return False
    return bootstrap.stat().st_mtime > max(path.stat().st_mtime for path in sources)


def build(lambda_target: ModuleType, folder: pathlib.Path) -> pathlib.Path:
    flags = ["--locked", "--bin", "clerk-sync", "--arm64", "--lambda-dir", str(folder)]
    # Debug information would be most of the file.
    flags += ["--config", "profile.dev.debug=false"]
    try:
        subprocess.run(["scripts/python-environment", "lambda", "cross"], cwd=ROOT, check=True)
        command = [".venv/bin/cargo-lambda", "lambda", "build", "--quiet", *flags]
        environment = os.environ | {"PATH": lambda_target.path_with_zig()}
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
    except subprocess.CalledProcessError as problem:
        raise Failed(str(problem)) from problem
    return folder / "clerk-sync" / "bootstrap"


def folder_of_libraries() -> pathlib.Path | None:
    """The folder that holds arm64's glibc."""
    folders = [os.environ.get("QEMU_LD_PREFIX"), "/usr/aarch64-linux-gnu", "/"]
    named = [pathlib.Path(folder) for folder in folders if folder]
    return next((folder for folder in named if (folder / LOADER).exists()), None)


def run(scene: Scene, bootstrap: pathlib.Path) -> None:
    """Runs it as Lambda would, with one event."""
    scene.empty_bucket()
    log = scene.scratch / "arm64.log"
    with (
        scene.sandbox(Population(20, 2, 20)) as clerk,
        Environment(bootstrap, scene.settings(clerk), log) as function,
    ):
        answer = function.invoke({})
        lines = function.lines()
    expect(not answer.is_error and answer.payload["status"] == "complete", answer.payload)
    expect(answer.payload["records"]["users"] == 20 and answer.payload["verified"], answer.payload)
    scene.notes.append(f"run by QEMU: a sync, in {answer.payload['elapsed_ms']} ms")
    expect(lines, "it logged nothing")
