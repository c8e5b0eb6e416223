"""`make deploy` builds for the architecture that it deploys, and `make invoke` invokes once.

A stand-in replaces SAM and does only what its own comment says. What CloudFormation would create from
the template is proven elsewhere.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import boto3
import yaml

from .aws import ANYBODY, REGION, Answer, Refused
from .scene import Scene, expect
from .scripts import module
from .stack import ROOT, load

SAM = f"""#!{sys.executable}
# `sam build` reads parameters only from its own arguments, uses the template's defaults for others,
# and does not change the template. `sam deploy --guided` asks for all of them and saves them.
import json, os, pathlib, re, struct, sys
with open("sam.log", "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
overrides = [word for word in sys.argv if word.startswith("Architecture=")]
architecture = overrides[0].partition("=")[2] if overrides else "arm64"
if sys.argv[1] == "build":
    built = pathlib.Path(".aws-sam/build")
    (built / "SyncFunction").mkdir(parents=True, exist_ok=True)
    (built / "template.yaml").write_text(pathlib.Path("as-sam-writes.yaml").read_text())
    machine = {{"x86_64": 62, "arm64": 183}}[os.environ.get("BUILDS") or architecture]
    program = b"\\x7fELF" + bytes(14) + struct.pack("<H", machine)
    (built / "SyncFunction/bootstrap").write_bytes(program)
elif "--guided" in sys.argv:
    name = sys.argv[sys.argv.index("--config-env") + 1]
    with open("samconfig.toml", "a") as config:
        config.write(f'''
[{{name}}.deploy.parameters]
stack_name = "clerk-{{name}}"
parameter_overrides = "Resources=\\\\"users, organizations\\\\" Architecture=\\\\"{{architecture}}\\\\" MemorySize=\\\\"256\\\\""
[{{name}}.global.parameters]
region = "{REGION}"
''')
"""


def prove(scene: Scene) -> None:
    checkout = Checkout.of(scene.scratch / "checkout")
    builds_what_it_deploys(checkout)
    reads_what_sam_reads(checkout.script())
    invokes_once(scene, checkout)
    waits_for_the_answer(checkout.script())


@dataclass
class Checkout:
    """A folder with the files that the script needs, and without anybody's samconfig.toml."""

    folder: pathlib.Path

    @classmethod
    def of(cls, folder: pathlib.Path) -> Checkout:
        for name in ("deploy", "lambda_target.py"):
            (folder / "scripts").mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "scripts" / name, folder / "scripts")
        shutil.copytree(ROOT / "events", folder / "events")
        template = yaml.safe_dump(load(ROOT / "template.yaml"), sort_keys=False, width=1000)
        (folder / "as-sam-writes.yaml").write_text(template, encoding="utf-8")
        zig = folder / ".venv/lib/python3/site-packages/ziglang/zig"
        sam = folder / ".tools/sam/bin/sam"
        for path, text in ((zig, ""), (sam, SAM)):
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755)
        return cls(folder)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-B", self.folder / "scripts/deploy", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def sam(self) -> list[list[str]]:
        """The commands of SAM since the last call."""
        log = self.folder / "sam.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        log.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def script(self) -> ModuleType:
        return module(self.folder / "scripts" / "deploy")


def builds_what_it_deploys(checkout: Checkout) -> None:
    build = ["build", "--config-env"]
    deploy = ["deploy", "--config-env"]
    iam = ["--capabilities", "CAPABILITY_IAM"]
    arm64 = ["--parameter-overrides", "Architecture=arm64"]
    x86_64 = ["--parameter-overrides", "Architecture=x86_64"]

    first = checkout.run()
    expect(first.returncode == 0, first.stderr)
    told = checkout.sam()
    expect(
        told == [[*build, "default", *arm64], [*deploy, "default", *iam, "--guided", *arm64]], told
    )
    other = {"CONFIG": "acme"}
    checkout.run(**other, ARCHITECTURE="x86_64")
    told = checkout.sam()
    expect(told == [[*build, "acme", *x86_64], [*deploy, "acme", *iam, "--guided", *x86_64]], told)
    built = checkout.folder / ".aws-sam/build/template.yaml"
    parameters = yaml.safe_load(built.read_text(encoding="utf-8"))["Parameters"]
    expect(parameters["Architecture"]["AllowedValues"] == ["x86_64"], parameters["Architecture"])

    # From then on samconfig.toml says which architecture it is.
    checkout.run(**other)
    told = checkout.sam()
    expect(told == [[*build, "acme", *x86_64], [*deploy, "acme", *iam]], told)
    contradicted = checkout.run(ARCHITECTURE="x86_64")
    expect(contradicted.returncode and "samconfig.toml" in contradicted.stderr, contradicted.stderr)
    expect(not checkout.sam(), "SAM was run all the same")
    # As on a machine of the other architecture.
    mistaken = checkout.run(**other, BUILDS="arm64")
    expect(mistaken.returncode and "not a program for x86_64" in mistaken.stderr, mistaken.stderr)
    told = checkout.sam()
    expect(told == [[*build, "acme", *x86_64]], told)


def reads_what_sam_reads(script: ModuleType) -> None:
    default = load(ROOT / "template.yaml")["Parameters"]["Architecture"]["Default"]
    expect(default == script.DEFAULT_ARCHITECTURE, f"the template's default is {default}")
    for overrides, right in (
        ('Resources="users" Architecture="x86_64" MemorySize="256"', "x86_64"),
        ("Architecture=x86_64", "x86_64"),
        ("ParameterKey=Architecture,ParameterValue=x86_64", "x86_64"),
        (["Resources=users", "Architecture=x86_64"], "x86_64"),
        ({"Architecture": "x86_64"}, "x86_64"),
        ('Resources="users"', None),
        ("", None),
    ):
        found = script.parameter(overrides, "Architecture")
        expect(found == right, f"{overrides}: {found}")


def invokes_once(scene: Scene, checkout: Checkout) -> None:
    events: list[Any] = []
    answers = [
        Answer({"status": "complete", "message": "größer"}),
        Answer({"errorType": "InvalidConfig", "errorMessage": "…"}, is_error=True),
        Refused(503, "ServiceUnavailableException"),
    ]

    def function(event: Any) -> Answer:
        events.append(event)
        answer = answers[len(events) - 1]
        if isinstance(answer, Refused):
            raise answer
        return answer

    name = scene.stack.outputs["FunctionName"]
    scene.aws.functions[name] = function
    settings = scene.aws.settings(ANYBODY) | {"AWS_DEFAULT_REGION": REGION, "STACK": "clerk"}
    try:
        finished = [checkout.run("invoke", "sync-force", **settings) for _ in answers]
    finally:
        del scene.aws.functions[name]
    complete, failed, refused = finished
    expect(complete.returncode == 0, complete.stderr)
    expect(json.loads(complete.stdout) == answers[0].payload, complete.stdout)
    expect("größer" in complete.stdout and complete.stdout.count("\n") > 1, complete.stdout)
    expect(failed.returncode == 1 and "failed" in failed.stderr, failed.stderr)
    expect(json.loads(failed.stdout) == answers[1].payload, failed.stdout)
    expect(refused.returncode == 1 and "ServiceUnavailable" in refused.stderr, refused.stderr)
    sent = json.loads((ROOT / "events/sync-force.json").read_text(encoding="utf-8"))
    expect(events == [sent] * 3, f"invoked {len(events)} times: {events}")


def waits_for_the_answer(script: ModuleType) -> None:
    session = boto3.Session("key", "secret", region_name=REGION)
    config = script.lambda_client(session).meta.config
    function = load(ROOT / "template.yaml")["Resources"]["SyncFunction"]["Properties"]
    expect(config.read_timeout > function["Timeout"], f"gives up after {config.read_timeout} s")
    expect(config.retries["total_max_attempts"] == 1, str(config.retries))
    expect(config.tcp_keepalive, "does not keep the connection alive")
