"""template.yaml as CloudFormation gets it: translated by SAM, and created as a stack on moto."""

from __future__ import annotations

import ast
import itertools
import json
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from .aws import ACCOUNT, REGION, Aws
from .evaluation import STACK

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUCKET = "clerk-snapshots"
PREFIX = "identity/clerk"

OTHER_FUNCTIONS = [
    f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:of-another-stack-{number}" for number in (1, 2)
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
    "KeepSnapshots": "30",
    "Changes": "access",
    "PrivilegedAlarm": "true",
    "Notices": "all",
    "NoticeEmail": "audit@example.com",
    "BucketEvents": "true",
    "SigningKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/of-signatures",
    "StateMachineLogLevel": "ALL",
    "RolePath": "/audit/",
}

# What has no default.
REQUIRED = {
    "ClerkSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:clerk-a1b2c3",
    "Resources": "users",
}

STATE_MACHINE = {"Continuation": "StateMachine"}
TRACED = {"Tracing": "Active"}
KMS = {
    "ClerkSecretKmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/of-the-secret",
    "SnapshotKmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/of-the-bucket",
}
LOCKED = {"ObjectLockMode": "GOVERNANCE", "ObjectLockDays": "365"}
EXISTING_BUCKET = {"ExistingBucketName": "somebody-elses", "SnapshotPrefix": PREFIX}
TOPIC = {"AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:of-the-account"}
ELSEWHERE = EXISTING_BUCKET | {"BucketOwner": "210987654321"}
HEADER = {"EncryptionHeader": "aws:kms"}
SIGNED = {"SigningKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/of-signatures"}
ACCOUNT_RULES = {
    "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundaries/of-workloads",
    "RolePath": "/workloads/audit/",
    "LogKmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/of-the-logs",
}
VPC = {
    "VpcSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "VpcSecurityGroupIds": "sg-0123456789abcdef0",
}
NOTICES = {"Changes": "access", "Notices": "all"}
NOTICE_TOPIC = {"NoticeTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:of-audit"}

# Ways to deploy it. Each is translated, evaluated and created.
SETS: dict[str, dict[str, str]] = {
    "an existing bucket": EXISTING_BUCKET,
    "an existing bucket with a key": EXISTING_BUCKET | KMS,
    "Object Lock": LOCKED,
    "a topic": TOPIC,
    "a topic and an address": TOPIC | {"AlarmEmail": "operations@example.com"} | STATE_MACHINE,
    "reserved concurrency": {"ReservedConcurrency": "1"},
    "no alarms": {"Alarms": "false", "AlarmEmail": "operations@example.com"} | STATE_MACHINE,
    "no metrics": {"MetricsNamespace": ""},
    "no dashboard": {"Dashboard": "false"},
    "a disabled schedule": {"ScheduleState": "DISABLED"},
    "a disabled schedule + state machine": {"ScheduleState": "DISABLED"} | STATE_MACHINE,
    "a bucket of another account": ELSEWHERE,
    "a header and signatures": KMS | HEADER | SIGNED,
    "rules of the account": ACCOUNT_RULES | VPC,
    "rules of the account + state machine": ACCOUNT_RULES | {"StateMachineLogLevel": "ERROR"} | STATE_MACHINE,
    "notices": NOTICES | {"NoticeEmail": "audit@example.com"},
    "notices to a topic": NOTICES | NOTICE_TOPIC | TOPIC | STATE_MACHINE,
    "everything": EVERYTHING | {"SnapshotBucketName": "everything"},
} | {
    " + ".join(name for name, _ in chosen) or "the defaults": dict(
        item for _, parameters in chosen for item in parameters.items()
    )
    for count in range(4)
    for chosen in itertools.combinations(
        [("state machine", STATE_MACHINE), ("KMS", KMS), ("traces", TRACED)], count
    )
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
    return parsed(path.read_text(encoding="utf-8"))


def parsed(text: str) -> dict[str, Any]:
    return yaml.load(text, _Loader)


def definition() -> dict[str, Any]:
    """The state machine's."""
    template = load(ROOT / "deploy" / "state-machine.yaml")
    return template["Resources"]["SyncStateMachine"]["Properties"]["Definition"]


def packaged() -> dict[str, Any]:
    """The template as `sam package` leaves it: local files are objects in S3."""
    template = load(ROOT / "template.yaml")
    template["Resources"]["SyncFunction"]["Properties"]["CodeUri"] = "s3://packages/clerk-sync.zip"
    package_nested(template, ROOT)
    return template


def package_nested(template: dict[str, Any], folder: pathlib.Path) -> None:
    """Makes objects in S3 of the templates of nested stacks, and keeps them under `Nested`."""
    template["Nested"] = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == STACK:
            properties = resource["Properties"]
            path = folder / properties["TemplateURL"]
            template["Nested"][name] = load(path)
            package_nested(template["Nested"][name], path.parent)
            properties["TemplateURL"] = f"https://packages.s3.amazonaws.com/{path.name}"


def translated(parameters: dict[str, str]) -> dict[str, Any]:
    """What CloudFormation's transform makes of it. The templates of nested stacks need none."""
    given = packaged()
    nested = given.pop("Nested")
    return transformed(given, parameters) | {"Nested": nested}


def transformed(template: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
    """What CloudFormation's transform makes of a template."""
    import boto3
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    session = boto3.session.Session(region_name=REGION)
    translator = Translator({}, Parser(), boto_session=session)
    found = translator.translate(template, dict(parameters))
    # To nobody; it would complain otherwise.
    translator.metrics.publish()
    return found


def templates(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """This template and those of the stacks in it."""
    yield template
    for nested in template["Nested"].values():
        yield from templates(nested)


@dataclass(frozen=True)
class Launched:
    """What moto made of a template."""

    outputs: dict[str, str]
    # What each resource that it knows how to create is called, by logical name, nested stacks included.
    created: dict[str, str]
    types: dict[str, str]


@dataclass(frozen=True)
class Stack:
    """A created stack."""

    outputs: dict[str, str]
    # The function's environment variables.
    variables: dict[str, str]
    # Type of each resource that moto knows how to create, by logical name, nested stacks included.
    created: dict[str, str]
    # And of those it does not.
    unknown: dict[str, str]
    # What moto made of the template.
    launched: Launched


def create(aws: Aws, secret_arn: str, key_arn: str) -> Stack:
    parameters = EVERYTHING | {"ClerkSecretArn": secret_arn, "SigningKeyArn": key_arn}
    template = translated(parameters)
    # Moto makes no schedules, but outputs: by way of one it resolves what the schedule would send.
    machine = template["Nested"]["StateMachineStack"]
    target = machine["Resources"]["SyncStateMachineSchedule"]["Properties"]["Target"]
    machine["Outputs"]["ScheduleInput"] = {"Value": target["Input"]}
    template["Outputs"]["ScheduleInput"] = {"Value": {"Fn::GetAtt": ["StateMachineStack", "Outputs.ScheduleInput"]}}
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="packages")
    s3.put_object(Bucket="packages", Key="clerk-sync.zip", Body=_empty_zip())
    launched = launch(aws, "clerk", template, parameters)
    unknown = {
        name: resource["Type"]
        for one in templates(template)
        for name, resource in one["Resources"].items()
        if name not in launched.created
    }
    function = aws.client("lambda").get_function_configuration(
        FunctionName=launched.outputs["FunctionName"]
    )
    variables = function["Environment"]["Variables"]
    return Stack(launched.outputs, variables, launched.types, unknown, launched)


def launch(
    aws: Aws, name: str, template: dict[str, Any], parameters: dict[str, str]
) -> Launched:
    upload_nested(aws, template)
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(without_nested(template)),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_IAM"],
    )
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
    known = list(created_resources(cloudformation, name))
    return Launched(
        outputs,
        {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in known},
        {item["LogicalResourceId"]: item["ResourceType"] for item in known},
    )


def upload_nested(aws: Aws, template: dict[str, Any]) -> None:
    """Puts the templates of nested stacks where `sam package` would."""
    for name, nested in template["Nested"].items():
        upload_nested(aws, nested)
        url = template["Resources"][name]["Properties"]["TemplateURL"]
        key = url.rpartition("/")[2]
        body = json.dumps(without_nested(nested))
        aws.client("s3").put_object(Bucket="packages", Key=key, Body=body.encode())


def without_nested(template: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in template.items() if name != "Nested"}


def created_resources(cloudformation: Any, stack: str) -> Iterator[dict[str, Any]]:
    """Those of a stack and of the stacks in it that moto knows how to create."""
    for item in cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]:
        # What moto does not know it lists without a name.
        if item["LogicalResourceId"]:
            yield item
        if item["ResourceType"] == STACK:
            yield from created_resources(cloudformation, item["PhysicalResourceId"])


def role_policy(aws: Aws, role: str, policy: str) -> dict[str, Any]:
    document = aws.client("iam").get_role_policy(RoleName=role, PolicyName=policy)
    # Moto hands out what CloudFormation gave it, unprinted, with None for AWS::NoValue.
    found = ast.literal_eval(document["PolicyDocument"])
    found["Statement"] = [statement for statement in found["Statement"] if statement]
    return found


def _empty_zip() -> bytes:
    """Moto wants code; it never runs it."""
    import io
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("bootstrap", "")
    return data.getvalue()
