"""samconfig.toml: the settings of every stack that was deployed from here, in the form of the AWS SAM CLI."""

from __future__ import annotations

import json
import os
import pathlib
import re
import sys
import tomllib
from typing import Any

FILE = pathlib.Path("samconfig.toml")


def read(config: str) -> dict[str, Any]:
    """A stack's settings; none before its first deployment."""
    found: dict[str, Any] = {}
    for command in ("global", "deploy"):
        found |= whole().get(config, {}).get(command, {}).get("parameters", {})
    return found


def whole() -> dict[str, Any]:
    try:
        return tomllib.loads(FILE.read_text("utf-8")) if FILE.is_file() else {}
    except tomllib.TOMLDecodeError as problem:
        sys.exit(f"samconfig.toml cannot be read: {problem}. Correct it, or restore your copy")


def stack_names() -> dict[str, str]:
    """The configuration of each stack, by name."""
    configs = [name for name, part in whole().items() if isinstance(part, dict)]
    named = {config: read(config).get("stack_name") for config in configs}
    return {name: config for config, name in named.items() if name}


def overrides(saved: dict[str, Any]) -> dict[str, str]:
    """The parameters of a stack, from any form that SAM reads: a table, a text such as `A="1" B=2`, or a list of
    either."""
    given = saved.get("parameter_overrides", {})
    found: dict[str, str] = {}
    for part in given if isinstance(given, list) else [given]:
        found |= {name: str(value) for name, value in part.items()} if isinstance(part, dict) else pairs(part)
    return found


def pairs(text: str) -> dict[str, str]:
    """The parameters in `A="1" B=2` or `ParameterKey=A,ParameterValue=1 …`."""
    text = re.sub(r"ParameterKey=(\w+),ParameterValue=", r"\1=", text)
    value = r'"((?:[^"\\]|\\.)*)"|\'([^\']*)\'|((?:[^\s\\]|\\.)*)'
    found = re.findall(rf"(?:^|\s)(\w+)=(?:{value})", text)
    return {
        name: single if single else re.sub(r"\\(.)", r"\1", double or plain) for name, double, single, plain in found
    }


def add(config: str, settings: dict[str, Any], parameters: dict[str, str]) -> None:
    """Adds a stack. The file is replaced as a whole, so it is never half written."""
    if "deploy" in whole().get(config, {}):
        sys.exit(
            f"samconfig.toml has [{config}.deploy.parameters] without stack_name and parameter_overrides: complete it, "
            "or remove it to be asked"
        )
    before = FILE.read_text("utf-8") if FILE.is_file() else "version = 0.1\n"
    lines = [f"[{config}.deploy.parameters]", *(f"{name} = {json.dumps(value)}" for name, value in settings.items())]
    lines += ["", f"[{config}.deploy.parameters.parameter_overrides]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in parameters.items()]
    unfinished = FILE.with_suffix(".toml.unfinished")
    unfinished.write_text(before.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n", "utf-8")
    os.replace(unfinished, FILE)
