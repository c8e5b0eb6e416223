"""Keeps the folders of this machine out of the programs that it builds: another machine must build the same."""

from __future__ import annotations

import json
import os
import pathlib


def options_without(target: pathlib.Path) -> list[str]:
    """Options for cargo that shorten the folders in panic messages. They are settings instead of environment variables,
    because those would replace Cargo Lambda's own flags."""
    home = pathlib.Path.home()
    # If several prefixes match, rustc uses the last.
    shorter = [
        (home, "/home"),
        (pathlib.Path.cwd(), "/clerk-sync"),
        (target.resolve(), "/target"),
        *[(registry, "") for registry in cargo_home().glob("registry/src/*")],
    ]
    flags = [f"--remap-path-prefix={path}={instead}" for path, instead in shorter]
    # A JSON list is also a TOML list.
    return ["--config", f"build.rustflags={json.dumps(flags)}"]


def found_in(program: bytes) -> list[str]:
    """The folders of this machine that the program names all the same."""
    folders = {str(folder.resolve()) for folder in (pathlib.Path.cwd(), cargo_home())}
    return sorted(folder for folder in folders if f"{folder}/".encode() in program)


def cargo_home() -> pathlib.Path:
    return pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
