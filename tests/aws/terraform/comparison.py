"""What the module creates is what the template creates, for the same parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..invariants import Deployment
from ..stack import (
    ACCOUNT,
    ACCOUNT_RULES,
    ELSEWHERE,
    EXISTING_BUCKET,
    KMS,
    LOCKED,
    NOTICE_TOPIC,
    NOTICES,
    PREFIX,
    REGION,
    REQUIRED,
    SETS,
    SIGNED,
    TOPIC,
    TRACED,
    VPC,
)
from ..template import MORE_SETS, template
from .core import Applied, Call
from .equivalents import equivalent

# Parameters of parts that the module does not have; deploy/terraform/README.md says why.
LEFT_OUT = {
    "AthenaWorkGroup",
    "Continuation",
    "Dashboard",
    "DatabaseName",
    "MoreFunctionArns",
    "StateMachineLogLevel",
}
# So the template is to have none of these parts, either.
WITHOUT = {"Dashboard": "false"}

# No text of the module has this in it.
NAME = "tf-parity"
TAGS = {"team": "identity"}

# Each setting of the function has a value, and each another.
EVERY_SETTING = (
    KMS
    | SIGNED
    | {
        "Resources": "users,organizations",
        "ClerkSecretField": "clerk secret/key",
        "Metadata": "public,private",
        "IncludeRaw": "false",
        "SessionsLookbackDays": "7",
        "Redact": "email, ip",
        "DauLookbackDays": "60",
        "ClerkApiUrl": "https://clerk.example",
        "ClerkApiVersion": "2026-01-01",
        "SnapshotPrefix": PREFIX,
        "Compression": "zstd",
        "EncryptionHeader": "aws:kms",
        "SnapshotIntervalMinutes": "59.5",
        "SnapshotMaxAgeHours": "48",
        "ClerkRequestsPer10Seconds": "500",
        "ClerkRateShare": "0.25",
        "MaxConcurrency": "8",
        "TimeBudgetSeconds": "600",
        "DeadlineReserveSeconds": "31",
        "LeaseSeconds": "120",
        "ShrinkGuardPercent": "10",
        "KeepSnapshots": "9",
        "Changes": "all",
        "LogLevel": "DEBUG",
        "MetricsNamespace": "Acme",
        "ScheduleFlexibleMinutes": "5",
        "ScheduleTimezone": "Europe/Berlin",
        "ScheduleExpression": "cron(0 3 * * ? *)",
        "ScheduleState": "DISABLED",
        "ReservedConcurrency": "1",
    }
)


# And every optional part that the module has.
EVERY_PART = (
    NOTICES
    | TOPIC
    | VPC
    | ACCOUNT_RULES
    | LOCKED
    | KMS
    | SIGNED
    | TRACED
    | {
        "AlarmEmail": "operations@example.com",
        "Architecture": "x86_64",
        "BucketEvents": "true",
        "ExpireReplacedDays": "31",
        "ExpireSnapshotsDays": "400",
        "LogRetentionDays": "30",
        "MemorySize": "512",
        "NoSnapshotHours": "50",
        "NoticeEmail": "audit@example.com",
        "PrivilegedAlarm": "true",
        "SnapshotBucketName": "evidence",
        "SnapshotPrefix": PREFIX,
    }
)

# In another bucket, and with as little as possible.
NOTICES_ABROAD = ELSEWHERE | NOTICES | NOTICE_TOPIC | {"Notices": "privileged"}
QUIET = EXISTING_BUCKET | {"Alarms": "false", "AlarmEmail": "operations@example.com", "MetricsNamespace": ""}

OWN_SETS = {
    "every setting": EVERY_SETTING,
    "every part": EVERY_PART,
    "notices of a bucket of another account": NOTICES_ABROAD,
    "neither alarms nor metrics": QUIET,
}


def sets() -> dict[str, dict[str, str]]:
    """Ways to deploy both: those of the template, less what the module does not have."""
    found = dict(OWN_SETS)
    for name, parameters in (SETS | MORE_SETS).items():
        reduced = {key: value for key, value in parameters.items() if key not in LEFT_OUT}
        if reduced not in found.values():
            found[name] = reduced
    return found


def call(source: Any, parameters: dict[str, str]) -> Call:
    """The module with the variables that stand for these parameters."""
    own = {"name": NAME, "tags": TAGS, "package_file": str(source / "clerk-sync.zip")}
    return Call(source, own | {variable(name): value for name, value in (REQUIRED | parameters).items()})


def variable(parameter: str) -> str:
    """The name of the variable that stands for a parameter, and of the output that stands for an output."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Z])", "_", parameter)
    return words.lower()


def differences(applied: Applied, parameters: dict[str, str]) -> list[str]:
    """What is not the same, each with where that is."""
    found = equivalent(applied, TAGS)
    # SAM's transform does not look at parameters: proof.py makes sure of it.
    wanted = Deployment(template({}), parameters | WITHOUT)
    of_template = {variable(name): value for name, value in wanted.stacks[0].outputs().items()}
    return [
        *found.problems,
        *different(normal(of_the_template(wanted)), normal(found.resources), "resources"),
        *different(of_template, {name: value for name, value in found.outputs.items() if value is not None}, "outputs"),
    ]


def of_the_template(stack: Deployment) -> dict[str, Any]:
    """Its resources, as far as Terraform can have the same."""
    found = {}
    for name, resource in stack.resources.items():
        properties = dict(resource.get("Properties", {}))
        if resource["Type"] == "AWS::CloudFormation::Stack":
            # What is in it is looked at by itself.
            continue
        if resource["Type"] == "AWS::Lambda::Function":
            # The zip comes another way, and a tag says that SAM made the function.
            del properties["Code"], properties["Tags"]
            variables = properties["Environment"]["Variables"]
            given = {key: value for key, value in variables.items() if value != ""}
            properties["Environment"] = {"Variables": given}
        if resource["Type"] == "AWS::SNS::Topic" and "Subscription" in properties:
            (subscription,) = properties.pop("Subscription")
            arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:<{name}>"
            more = {"Type": "AWS::SNS::Subscription", "Properties": subscription | {"TopicArn": arn}}
            found[f"{name}.Subscription"] = more
        found[name] = {"Type": resource["Type"], "Properties": properties}
    return found


def normal(value: Any) -> Any:
    """Numbers and truth as texts, as parameters are, and what has no order of its own in one."""
    if isinstance(value, dict):
        return {name: statements(item) if name == "Statement" else normal(item) for name, item in value.items()}
    if isinstance(value, list):
        items = [normal(item) for item in value]
        return sorted(items) if all(isinstance(item, str) for item in items) else items
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def statements(policy: list[dict[str, Any]]) -> dict[str, Any]:
    """The statements of a policy by their names, or by what they allow."""
    named = {one.get("Sid") or str(one["Action"]): normal(one) for one in policy}
    assert len(named) == len(policy), policy
    return named


def different(wanted: Any, found: Any, where: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in sorted(wanted.keys() | found.keys()):
            if name not in found:
                yield f"{where}.{name} is missing: the template has {wanted[name]}"
            elif name not in wanted:
                yield f"{where}.{name} is {found[name]}: the template has none"
            else:
                yield from different(wanted[name], found[name], f"{where}.{name}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for place, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from different(one, other, f"{where}[{place}]")
    elif wanted != found:
        yield f"{where} is {found}, and the template's is {wanted}"
