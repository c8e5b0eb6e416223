"""Three answers deploy it: `make deploy` in a clone, on a terminal, with the AWS SAM CLI itself, creates the stack on
moto.

Two things are replaced:

- The compiler. An optimised build for arm64 takes ten minutes. A stand-in for Cargo passes everything on to Cargo, but
  if it is called as SAM calls Cargo Lambda, it puts a file that begins like a program for arm64 where Cargo Lambda
  would put the program. The proof `arm64` builds that.
- Change sets of CloudFormation, of which moto supports too little: see change_sets.py.

SAM asks how far the stack is every half second instead of every five.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pathlib
import shutil
import struct
import time
import tomllib
import zipfile
from dataclasses import dataclass
from typing import Any

from . import creation
from . import stack as stacks
from .aws import ANYBODY
from .change_sets import Front
from .evaluation import Evaluation
from .scene import KEY, Failed, Scene, expect
from .sources import copy_sources
from .stack import ROOT
from .terminal import Shown, on_terminal

NAME = "clerk-sync"
RESOURCES = "users,organizations,sessions"
EMAIL = "operations@example.com"

CARGO = """#!/bin/sh
case "$*" in
'lambda build --release --arm64 --bin clerk-sync')
  mkdir -p "$CARGO_TARGET_DIR/lambda/clerk-sync"
  exec cp '{program}' "$CARGO_TARGET_DIR/lambda/clerk-sync/bootstrap"
  ;;
lambda*)
  echo "called as: cargo $*" >&2
  exit 1
  ;;
esac
HOME='{home}' exec '{cargo}' "$@"
"""


def prove(scene: Scene) -> None:
    secret = scene.aws.client("secretsmanager").describe_secret(SecretId="clerk")["ARN"]
    with Front(scene.aws) as front:
        clone = Clone.of(scene.scratch / "deployment", front)
        three_answers_deploy_it(scene, clone, secret)
        a_second_deployment_asks_nothing(scene, clone)
        what_changes_in_samconfig_is_deployed(scene, clone)
        faults_are_noticed(scene, clone, secret)


@dataclass(frozen=True)
class Clone:
    """The files of this repository as they are now, where nobody has deployed yet, and what replaces the compiler."""

    folder: pathlib.Path
    # What is built.
    program: bytes
    # The environment of whoever deploys.
    place: dict[str, str]
    front: Front

    @classmethod
    def of(cls, scratch: pathlib.Path, front: Front) -> Clone:
        folder, home, tools = (scratch / name for name in ("clone", "home", "tools"))
        copy_sources(folder)
        # What `make deploy` would install.
        for name in (".venv", ".tools"):
            (folder / name).symlink_to((ROOT / name).resolve())
        make_home(home)
        program = replace_compiler(tools)
        place = {name: value for name, value in os.environ.items() if name.startswith(("CARGO_HOME", "RUSTUP_"))}
        place |= front.aws.settings(ANYBODY) | {"AWS_ENDPOINT_URL": front.url}
        place |= {"PATH": os.pathsep.join([str(tools), os.environ["PATH"]]), "HOME": str(home), "TERM": "xterm"}
        return cls(folder, program, place | {"SAM_CLI_POLL_DELAY": "0.5"}, front)

    def deploy(self, answers: dict[str, str] | None = None, **variables: str) -> Shown:
        return on_terminal(["make", "deploy"], self.folder, self.place | variables, answers or {})

    def saved(self) -> dict[str, Any]:
        text = (self.folder / "samconfig.toml").read_text(encoding="utf-8")
        return tomllib.loads(text)["default"]["deploy"]["parameters"]


def make_home(home: pathlib.Path) -> None:
    for name in (".aws", ".aws-sam"):
        (home / name).mkdir(parents=True)
    # Where a bucket's name in front of localhost leads depends on the machine.
    (home / ".aws/config").write_text("[default]\ns3 =\n  addressing_style = path\n", encoding="utf-8")
    # Once a week SAM would ask the network whether there is a newer one.
    (home / ".aws-sam/metadata.json").write_text(json.dumps({"lastVersionCheck": time.time()}), encoding="utf-8")


def replace_compiler(tools: pathlib.Path) -> bytes:
    """Makes a stand-in for Cargo, and returns what it builds."""
    tools.mkdir()
    program = b"\x7fELF" + bytes(14) + struct.pack("<H", 183) + os.urandom(4096)
    (tools / "program").write_bytes(program)
    text = CARGO.format(program=tools / "program", cargo=shutil.which("cargo"), home=os.environ["HOME"])
    (tools / "cargo").write_text(text, encoding="utf-8")
    for name in ("program", "cargo"):
        (tools / name).chmod(0o755)
    return program


def three_answers_deploy_it(scene: Scene, clone: Clone, secret: str) -> None:
    began = time.monotonic()
    shown = clone.deploy({"1 of 3:": "clerk", "2 of 3:": RESOURCES, "3 of 3:": EMAIL})
    seconds = time.monotonic() - began
    expect(shown.status == 0, shown.text)
    expect(shown.text.count(" of 3:") == 3, f"it asks something twice: {shown.text}")
    expect(KEY not in shown.text, "it shows the value of a secret")
    for next_step in ("make invoke EVENT=check", f"No alarm reaches {EMAIL} before"):
        expect(next_step in shown.text, f"it does not say {next_step!r}: {shown.text}")
    # SAM's own advice, which does not fit here.
    for misleading in ("sam deploy --guided", "does not support value"):
        expect(misleading not in shown.text, f"it says {misleading!r}")

    saved = clone.saved()
    answered = {"ClerkSecretArn": secret, "Resources": RESOURCES, "AlarmEmail": EMAIL, "Architecture": "arm64"}
    expect(saved["parameter_overrides"] == answered and saved["stack_name"] == NAME, saved)
    created = is_as_answered(scene, clone, NAME, answered)
    scene.notes.append(
        f"make deploy, three answers, and SAM itself create {created} resources, nested stacks among them, in "
        f"{seconds:.0f} s without compiling"
    )
    scene.notes.append("the function is told what was answered, and its code is the zip with what was built")


def is_as_answered(scene: Scene, clone: Clone, name: str, answered: dict[str, str]) -> int:
    """The stack has what the template says for these parameters, and the function was told what was answered. How many
    resources there are."""
    cloudformation = scene.aws.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    expect(stack["StackStatus"].endswith("_COMPLETE"), stack["StackStatus"])
    given = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
    expect(given | answered == given, given)
    created = {
        item["LogicalResourceId"]: item["ResourceType"] for item in stacks.created_resources(cloudformation, name)
    }
    expected = creation.what_moto_creates(Evaluation(stacks.translated(answered), answered))
    expect(created == expected, {"created": created, "expected": expected})

    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
    function = scene.aws.client("lambda").get_function(FunctionName=outputs["FunctionName"])["Configuration"]
    variables = function["Environment"]["Variables"]
    bucket = outputs["SnapshotBucketName"]
    told = {
        "CLERK_SECRET_ID": answered["ClerkSecretArn"],
        "RESOURCES": answered["Resources"],
        "SNAPSHOT_URL": f"s3://{bucket}",
    }
    expect(variables | told == variables, {"told": variables, "expected": told})
    expect(function["MemorySize"] == int(given["MemorySize"]), f"the function has {function['MemorySize']} MB")
    scene.aws.client("s3").head_bucket(Bucket=bucket)
    tells_whom_was_answered(scene, name, outputs)
    has_what_was_built(scene, clone, name, function)
    return len(created)


def tells_whom_was_answered(scene: Scene, name: str, outputs: dict[str, str]) -> None:
    """The alarms go to the created topic. Moto cannot subscribe the address to it; it is among the parameters."""
    topic = outputs["AlarmTopicArn"]
    scene.aws.client("sns").get_topic_attributes(TopicArn=topic)
    pages = scene.aws.client("cloudformation").get_paginator("describe_stacks").paginate()
    listed = [stack for page in pages for stack in page["Stacks"]]
    (alarms,) = [one for one in listed if one["StackName"].startswith(f"{name}-AlarmsStack-")]
    given = {item["ParameterKey"]: item["ParameterValue"] for item in alarms["Parameters"]}
    expect(given["CreatedTopicArn"] == topic, given)


def has_what_was_built(scene: Scene, clone: Clone, name: str, function: dict[str, Any]) -> None:
    """The function's code is the zip that SAM uploaded; it contains what was built, and Lambda may start it."""
    address = clone.front.executed[name].template["Resources"]["SyncFunction"]["Properties"]["CodeUri"]
    bucket, _, key = address.removeprefix("s3://").partition("/")
    uploaded = scene.aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    digest = base64.b64encode(hashlib.sha256(uploaded).digest()).decode()
    expect(function["CodeSha256"] == digest, {"function": function["CodeSha256"], "uploaded": digest})
    with zipfile.ZipFile(io.BytesIO(uploaded)) as archive:
        expect(archive.namelist() == ["bootstrap"], archive.namelist())
        expect(archive.read("bootstrap") == clone.program, "the zip contains something that was not built")
        mode = archive.getinfo("bootstrap").external_attr >> 16
        expect(mode & 0o111 == 0o111, f"Lambda may not start it: {mode:o}")


def a_second_deployment_asks_nothing(scene: Scene, clone: Clone) -> None:
    before = (clone.folder / "samconfig.toml").read_bytes()
    shown = clone.deploy()
    expect(shown.status == 0 and " of 3:" not in shown.text, shown.text)
    expect(f"No changes to deploy. Stack {NAME} is up to date" in shown.text, shown.text)
    expect((clone.folder / "samconfig.toml").read_bytes() == before, "a second deployment changes samconfig.toml")
    (stack,) = scene.aws.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    expect(stack["StackStatus"] == "CREATE_COMPLETE", stack["StackStatus"])
    scene.notes.append("the second make deploy asks nothing and changes nothing")


def what_changes_in_samconfig_is_deployed(scene: Scene, clone: Clone) -> None:
    with (clone.folder / "samconfig.toml").open("a", encoding="utf-8") as file:
        file.write('MemorySize = "512"\n')
    shown = clone.deploy()
    expect(shown.status == 0 and " of 3:" not in shown.text, shown.text)
    is_as_answered(scene, clone, NAME, clone.saved()["parameter_overrides"])
    scene.notes.append("a parameter that is changed in samconfig.toml is changed in the stack")


@dataclass(frozen=True)
class Fault:
    what: str
    file: str
    # A text that occurs once, and what stands there instead.
    old: str
    new: str
    # By what it is noticed: in what `make deploy` says, or in what is found not to be as answered.
    says: str


FAULTS = (
    Fault(
        "a build that fails",
        "template.yaml",
        "Binary: clerk-sync",
        "Binary: nothing",
        "called as: cargo lambda build --release --arm64 --bin nothing",
    ),
    Fault("a nested template that is missing", "deploy/catalog.yaml", "queries.yaml", "nothing.yaml", "nothing.yaml"),
    Fault(
        "a nested stack without an output",
        "deploy/dashboard.yaml",
        "  DashboardName:\n    Description:",
        "  Name:\n    Description:",
        "has no output DashboardName",
    ),
    Fault(
        "a parameter without a value",
        "template.yaml",
        "\nParameters:\n",
        "\nParameters:\n  Colour: { Type: String }\n",
        "Missing parameter Colour",
    ),
    Fault(
        "an answer that the function is not told",
        "template.yaml",
        "RESOURCES: !Ref Resources",
        "RESOURCES: users",
        '"RESOURCES": "users",',
    ),
)


def faults_are_noticed(scene: Scene, clone: Clone, secret: str) -> None:
    for number, fault in enumerate(FAULTS):
        path = clone.folder / fault.file
        sound = path.read_text(encoding="utf-8")
        expect(sound.count(fault.old) == 1, f"{fault.what}: {fault.old!r} is there {sound.count(fault.old)} times")
        path.write_text(sound.replace(fault.old, fault.new), encoding="utf-8")
        said = what_is_wrong(scene, clone, f"fault-{number}", secret)
        expect(fault.says in said, f"not noticed: {fault.what}: {said}")
        path.write_text(sound, encoding="utf-8")
    scene.notes.append(f"noticed: {', '.join(fault.what for fault in FAULTS)}")


def what_is_wrong(scene: Scene, clone: Clone, config: str, secret: str) -> str:
    """What `make deploy` says if it fails, or else what is not as answered. Nothing if nothing is wrong."""
    shown = clone.deploy(CONFIG=config, YES="1", SECRET=secret, RESOURCES=RESOURCES, TELL=EMAIL)
    if shown.status != 0:
        expect("make invoke" not in shown.text, f"says what to do with a stack that is not there: {shown.text}")
        return shown.text
    answered = {"ClerkSecretArn": secret, "Resources": RESOURCES, "AlarmEmail": EMAIL}
    try:
        is_as_answered(scene, clone, f"{NAME}-{config}", answered)
    except Failed as problem:
        return str(problem)
    return ""
