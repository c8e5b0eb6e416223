"""The artifact for SAM: its templates are this repository's but for where the code is, and it becomes a stack, nested
stacks included, when its files are copied to a bucket and nothing else is done."""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import zipfile
from typing import Any

from ..aws import REGION
from ..scene import Failed, Scene, expect
from ..stack import EVERYTHING, REQUIRED, ROOT, STACK, created_resources, load
from .scripts import names, packing, project, sam

VERSION = project.version()
BUCKET = "releases.of.acme"
PREFIX = f"clerk-sync/{VERSION}"
PLACE = {"CodeBucket": BUCKET, "CodePrefix": PREFIX}

# A place in the source, what stands there instead, and whether making the artifact must fail or its comparison.
FAULTS = (
    ("template.yaml", "      CodeUri: .\n", "      CodeUri: src\n"),
    ("template.yaml", "        Binary: clerk-sync\n", "        Binary: clerk-access\n"),
    ("template.yaml", "TemplateURL: deploy/alarms.yaml\n", "TemplateURL: deploy/more-alarms.yaml\n"),
    ("template.yaml", "\nParameters:\n  # What to read\n", "\nParameters:\n"),
    ("deploy/catalog.yaml", "TemplateURL: latest.yaml\n", "TemplateURL: newest.yaml\n"),
)


def prove(scene: Scene) -> list[str]:
    folder = unpacked(scene.scratch)
    nothing_but_the_place_differs(folder)
    changed_templates_are_refused()
    cloudformation_lint_is_content(folder)
    scene.aws.client("s3").create_bucket(Bucket=BUCKET)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = f"{PREFIX}/{path.relative_to(folder)}"
            scene.aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    becomes_a_stack(scene, folder, "release-all", EVERYTHING, "arm64")
    becomes_a_stack(scene, folder, "release-x86", {"Architecture": "x86_64"}, "x86_64")
    return ["the artifact for SAM, translated by SAM's own transform, becomes a stack with all nested stacks on moto"]


def unpacked(scratch: pathlib.Path) -> pathlib.Path:
    functions = {}
    for architecture in names.TRIPLES:
        path = scratch / f"{architecture}.zip"
        packing.zipped(path, [packing.File("bootstrap", architecture.encode(), executable=True)])
        functions[architecture] = path.read_bytes()
    artifact = scratch / names.sam(VERSION)
    sam.pack(artifact, functions, version=VERSION, licences="licences\n", repository=None)
    with zipfile.ZipFile(artifact) as opened:
        opened.extractall(scratch)
    folder = scratch / names.stem(artifact.name)
    nested = {f"deploy/{name}.yaml" for name in sam.NESTED}
    own = {"LICENSE", "README.md", "template.yaml", "third-party-licences.txt"}
    wanted = own | nested | {f"function-{architecture}.zip" for architecture in names.TRIPLES}
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    expect(found == wanted, f"the artifact holds {sorted(found ^ wanted)}, or lacks it")
    deployed = {str(path.relative_to(ROOT)) for path in (ROOT / "deploy").glob("*.yaml")}
    expect(nested == deployed, f"templates that the artifact does not know: {sorted(nested ^ deployed)}")
    readme = (folder / "README.md").read_text(encoding="utf-8")
    named = parameters_in(readme)
    expect(set(REQUIRED) | set(PLACE) <= named, f"the README gives {sorted(named)}")
    expect(f"s3://BUCKET/{PREFIX}/" in readme and "{version}" not in readme, readme)
    return folder


def parameters_in(readme: str) -> set[str]:
    words = readme.split("--parameter-overrides", 1)[1].split("\n\n", 1)[0].split()
    return {word.partition("=")[0] for word in words if "=" in word}


def nothing_but_the_place_differs(folder: pathlib.Path) -> None:
    """With the place put back, every template is the source's. So all invariants that hold there hold here."""
    for path in ("template.yaml", *(f"deploy/{name}.yaml" for name in sam.NESTED)):
        expect(put_back(load(folder / path), path) == without_build(load(ROOT / path)), f"{path} differs")


def cloudformation_lint_is_content(folder: pathlib.Path) -> None:
    """About the templates that differ from the source's, which `make check` lints."""
    command = [pathlib.Path(sys.executable).with_name("cfn-lint"), "template.yaml", "deploy/catalog.yaml"]
    linted = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    expect(linted.returncode == 0, linted.stdout + linted.stderr)


def put_back(template: dict[str, Any], path: str) -> dict[str, Any]:
    for name in (*PLACE, "TemplatesUrl"):
        template["Parameters"].pop(name, None)
    groups = template.get("Metadata", {}).get("AWS::CloudFormation::Interface", {}).get("ParameterGroups", [])
    groups[:] = [group for group in groups if group["Parameters"] != list(PLACE)]
    for resource in template["Resources"].values():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::Serverless::Function":
            key = {"Fn::Sub": "${CodePrefix}/function-${Architecture}.zip"}
            expect(properties["CodeUri"] == {"Bucket": {"Ref": "CodeBucket"}, "Key": key}, properties["CodeUri"])
            properties["CodeUri"] = "."
        if resource["Type"] == STACK:
            address = properties["TemplateURL"]["Fn::Sub"]
            base = "${TemplatesUrl}" if path == "deploy/catalog.yaml" else sam.PLACE
            expect(address.startswith(f"{base}/"), address)
            properties["TemplateURL"] = address.removeprefix(f"{base}/")
            properties["Parameters"].pop("TemplatesUrl", None)
    return template


def without_build(template: dict[str, Any]) -> dict[str, Any]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            expect(resource.pop("Metadata")["BuildMethod"] == "rust-cargolambda", "another build")
    return template


def changed_templates_are_refused() -> None:
    make = {"template.yaml": sam.outermost, "deploy/catalog.yaml": sam.catalog}
    for path, old, new in FAULTS:
        text = (ROOT / path).read_text(encoding="utf-8")
        expect(old in text, f"{path} does not say {old!r}")
        try:
            make[path](text.replace(old, new))
        except sam.TemplateChanged:
            continue
        raise Failed(f"not refused: {new!r} in {path}")


def becomes_a_stack(
    scene: Scene, folder: pathlib.Path, name: str, chosen: dict[str, str], architecture: str
) -> None:
    own = {"SnapshotBucketName": f"{name}-snapshots"} if "SnapshotBucketName" in chosen else {}
    parameters = REQUIRED | chosen | own | PLACE
    cloudformation = scene.aws.client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(translated(folder, parameters)),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    known = {item["LogicalResourceId"]: item for item in created_resources(cloudformation, name)}
    if chosen is EVERYTHING:
        types = {logical: item["ResourceType"] for logical, item in known.items()}
        expect(types == scene.stack.created, {"created": types, "expected": scene.stack.created})
    function = known["SyncFunction"]["PhysicalResourceId"]
    found = scene.aws.client("lambda").get_function_configuration(FunctionName=function)
    code = (folder / f"function-{architecture}.zip").read_bytes()
    expect(found["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode(), "another zip")


def translated(folder: pathlib.Path, parameters: dict[str, str]) -> dict[str, Any]:
    """What CloudFormation's transform makes of the artifact's template."""
    import boto3
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    session = boto3.session.Session(region_name=REGION)
    translator = Translator({}, Parser(), boto_session=session)
    template = translator.translate(load(folder / "template.yaml"), dict(parameters))
    # To nobody; it would complain otherwise.
    translator.metrics.publish()
    return template
