"""template.yaml as CloudFormation gets it: translated by SAM, and created as a stack on moto."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from typing import Any

import yaml

from .aws import REGION, Aws

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUCKET = "clerk-snapshots"
PREFIX = "identity/clerk"

OTHER_FUNCTIONS = [
    f"arn:aws:lambda:{REGION}:123456789012:function:of-another-stack-{number}" for number in (1, 2)
]

# Every optional part switched on, so that everything the template can create is created.
EVERYTHING = {
    "Resources": "users,organizations,organization_roles,organization_permissions,"
    "organization_memberships",
    "SnapshotBucketName": BUCKET,
    "SnapshotPrefix": PREFIX,
    "Continuation": "StateMachine",
    "Tracing": "Active",
    "MoreFunctionArns": ",".join(OTHER_FUNCTIONS),
    "AlarmEmail": "operations@example.com",
    "DatabaseName": "clerk",
    "ExpireSnapshotsDays": "400",
    "ScheduleFlexibleMinutes": "5",
}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` is `{"Ref": "x"}`."""


def _short_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


_Loader.add_multi_constructor("!", _short_form)
# "2012-10-17" is a version, not a day.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(path: pathlib.Path) -> dict[str, Any]:
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)


def definition() -> dict[str, Any]:
    """The state machine's."""
    text = (ROOT / "statemachine" / "sync.asl.json").read_text(encoding="utf-8")
    return json.loads(text)


def packaged() -> dict[str, Any]:
    """The template as `sam package` leaves it: local files are objects in S3. But the definition of
    the state machine is put in: moto would not fetch it."""
    template = load(ROOT / "template.yaml")
    resources = template["Resources"]
    resources["SyncFunction"]["Properties"]["CodeUri"] = "s3://packages/clerk-sync.zip"
    resources["Catalog"]["Properties"]["TemplateURL"] = (
        "https://packages.s3.amazonaws.com/catalog.yaml"
    )
    machine = resources["SyncStateMachine"]["Properties"]
    del machine["DefinitionUri"]
    machine["Definition"] = definition()
    return template


def translated(parameters: dict[str, str]) -> dict[str, Any]:
    """What CloudFormation's transform makes of it."""
    import boto3
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    session = boto3.session.Session(region_name=REGION)
    translator = Translator({}, Parser(), boto_session=session)
    return translator.translate(packaged(), dict(parameters))


@dataclass(frozen=True)
class Stack:
    """A created stack."""

    outputs: dict[str, str]
    # The function's environment variables.
    variables: dict[str, str]
    # Type of each resource that moto knows how to create, by logical name.
    created: dict[str, str]
    # And of those it does not.
    unknown: dict[str, str]


def create(aws: Aws, secret_arn: str) -> Stack:
    parameters = EVERYTHING | {"ClerkSecretArn": secret_arn}
    template = translated(parameters)
    # Moto makes no schedules, but outputs: by way of one it resolves what the schedule would send.
    target = template["Resources"]["SyncStateMachineSchedule"]["Properties"]["Target"]
    template["Outputs"]["ScheduleInput"] = {"Value": target["Input"]}
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="packages")
    s3.put_object(Bucket="packages", Key="clerk-sync.zip", Body=_empty_zip())
    s3.put_object(
        Bucket="packages", Key="catalog.yaml", Body=(ROOT / "catalog.yaml").read_bytes()
    )
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName="clerk",
        TemplateBody=json.dumps(template),
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_IAM"],
    )
    (stack,) = cloudformation.describe_stacks(StackName="clerk")["Stacks"]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
    described = cloudformation.list_stack_resources(StackName="clerk")["StackResourceSummaries"]
    # What moto does not know it lists without a name.
    created = {
        item["LogicalResourceId"]: item["ResourceType"]
        for item in described
        if item["LogicalResourceId"]
    }
    unknown = {
        name: resource["Type"]
        for name, resource in template["Resources"].items()
        if name not in created
    }
    function = aws.client("lambda").get_function_configuration(
        FunctionName=outputs["FunctionName"]
    )
    return Stack(outputs, function["Environment"]["Variables"], created, unknown)


def _empty_zip() -> bytes:
    """Moto wants code; it never runs it."""
    import io
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("bootstrap", "")
    return data.getvalue()
