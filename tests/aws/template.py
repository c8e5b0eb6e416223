"""What moto cannot create or apply: the invariants hold in every way to deploy the template, its rules refuse
bad parameters, and the tables are over the snapshots."""

from __future__ import annotations

import functools
import json

import yaml

from .evaluation import Evaluation
from .invariants import INVARIANTS, Deployment, Fault, Invariant
from .scene import SNAPSHOT_URL, Failed, Scene, expect
from .stack import (
    ELSEWHERE,
    EVERYTHING,
    EXISTING_BUCKET,
    HEADER,
    KMS,
    LOCKED,
    NOTICES,
    OTHER_FUNCTIONS,
    PREFIX,
    REQUIRED,
    ROOT,
    SETS,
    STACK,
    VPC,
    load,
    packaged,
    templates,
    translated,
    without_nested,
)

# Further ways to deploy it, which moto would create no differently.
MORE_SETS: dict[str, dict[str, str]] = {
    "expiry in a whole bucket": {"ExpireSnapshotsDays": "400", "ExpireReplacedDays": "31"},
    "keys and a prefix": KMS | {"SnapshotPrefix": PREFIX},
    "a lock in a named bucket": LOCKED | {"SnapshotBucketName": "evidence"},
    "a nightly state machine": EVERYTHING
    | {"ScheduleExpression": "cron(0 3 * * ? *)", "ScheduleTimezone": "Europe/Berlin"},
    "another machine": {"Architecture": "x86_64", "MemorySize": "512", "LogRetentionDays": "30"},
    "another namespace and another day": {"MetricsNamespace": "Acme", "NoSnapshotHours": "50"},
    "tables over a whole bucket": {"DatabaseName": "clerk"},
    "notices of grants": NOTICES | {"Notices": "privileged"},
    "notices without alarms": NOTICES | {"Alarms": "false"},
    "a header without a key": HEADER,
    "a bucket that tells EventBridge": {"BucketEvents": "true"},
}

# Parameters that are refused, and by what: the parameter's own pattern or a rule.
REFUSED: list[tuple[dict[str, str], str]] = [
    (EXISTING_BUCKET | {"SnapshotBucketName": "mine"}, "not both"),
    (EXISTING_BUCKET | LOCKED, "ObjectLockMode is for a created bucket"),
    (EXISTING_BUCKET | {"ExpireSnapshotsDays": "400"}, "ExpireSnapshotsDays and ExpireReplaced"),
    (EXISTING_BUCKET | {"ExpireReplacedDays": "31"}, "ExpireSnapshotsDays and ExpireReplaced"),
    ({"ObjectLockMode": "COMPLIANCE"}, "go together"),
    ({"ObjectLockDays": "30"}, "go together"),
    ({"IncludeRaw": "true", "Redact": "email"}, "Redact and IncludeRaw"),
    ({"ClerkSecretField": "sk_test_abc"}, "ClerkSecretField"),
    ({"MoreFunctionArns": f'{OTHER_FUNCTIONS[0]},"'}, "MoreFunctionArns"),
    ({"MoreFunctionArns": "clerk-sync"}, "MoreFunctionArns"),
    ({"BucketOwner": ELSEWHERE["BucketOwner"]}, "BucketOwner is for an existing bucket"),
    (EXISTING_BUCKET | {"BucketOwner": "1234"}, "BucketOwner"),
    (EXISTING_BUCKET | {"BucketEvents": "true"}, "BucketEvents is for a created bucket"),
    (KMS | {"EncryptionHeader": "AES256"}, "EncryptionHeader AES256"),
    ({"VpcSubnetIds": VPC["VpcSubnetIds"]}, "go together"),
    ({"VpcSecurityGroupIds": VPC["VpcSecurityGroupIds"]}, "go together"),
    (VPC | {"VpcSubnetIds": "subnet-0123456789abcdef0, subnet-1"}, "VpcSubnetIds"),
    ({"Notices": "all"}, "Set Changes"),
    ({"Notices": "privileged", "Changes": "off"}, "Set Changes"),
    ({"RolePath": "workloads/"}, "RolePath"),
    ({"SigningKeyArn": "alias/signatures"}, "SigningKeyArn"),
]

ACCEPTED: list[dict[str, str]] = [
    *SETS.values(),
    {"IncludeRaw": "false", "Redact": "email, ip"},
    {"IncludeRaw": "true"},
    {"ExpireSnapshotsDays": "400", "ExpireReplacedDays": "31"},
    {"ClerkSecretField": "clerk secret/key"},
    {"EncryptionHeader": "AES256"},
    {"PermissionsBoundaryArn": "arn:aws:iam::aws:policy/PowerUserAccess"},
    NOTICES | {"Changes": "all"},
    {"MoreFunctionArns": f"{OTHER_FUNCTIONS[0]}, {OTHER_FUNCTIONS[1]}:live"},
]


def prove(scene: Scene) -> None:
    for proof in (
        templates_are_small_enough,
        what_is_refused,
        invariants_hold,
        invariants_notice_faults,
        tables,
    ):
        try:
            proof()
        except Failed as problem:
            raise Failed(f"{proof.__name__}: {problem}") from None
    faults = sum(len(invariant.faults) for invariant in INVARIANTS)
    scene.notes.append(f"{len(INVARIANTS)} invariants hold in {len(SETS | MORE_SETS)} sets of parameters")
    scene.notes.append(f"{faults} faults, planted one at a time, are noticed")
    scene.notes.append("rules and conditions are judged by an interpreter of our own")


@functools.cache
def as_json(parameters: str) -> str:
    """The translated template. SAM takes its time."""
    return json.dumps(translated(json.loads(parameters)))


def template(parameters: dict[str, str]) -> dict:
    return json.loads(as_json(json.dumps(REQUIRED | parameters, sort_keys=True)))


def evaluated(parameters: dict[str, str]) -> Evaluation:
    return Evaluation(template(parameters), REQUIRED | parameters)


def invariants_hold() -> None:
    complaints = [
        f"with {name}: {invariant.name}: {complaint}"
        for name, parameters in (SETS | MORE_SETS).items()
        for invariant in INVARIANTS
        for complaint in invariant.complaints(Deployment(template(parameters), parameters))
    ]
    expect(not complaints, complaints)


def invariants_notice_faults() -> None:
    """An invariant that cannot fail proves nothing."""
    blind = [f"{invariant.name} has no fault to notice" for invariant in INVARIANTS if not invariant.faults]
    blind += [
        f"{invariant.name} does not notice {fault.what}, with {fault.parameters or 'the defaults'}"
        for invariant in INVARIANTS
        for fault in invariant.faults
        if not notices(invariant, fault)
    ]
    expect(not blind, blind)


def notices(invariant: Invariant, fault: Fault) -> bool:
    sound = template(fault.parameters)
    # Nothing but the fault may be what it complains about.
    expect(not list(invariant.complaints(Deployment(sound, fault.parameters))), f"{invariant.name}: {fault.what}")
    return bool(list(invariant.complaints(fault.planted(sound))))


def expect_equal(found: object, expected: object, where: str) -> None:
    expect(found == expected, {"where": where, "found": found, "expected": expected})


def what_is_refused() -> None:
    template = load(ROOT / "template.yaml")
    # No properties: rules are about parameters alone.
    template["Resources"] = {}

    def refused_by(parameters: dict[str, str]) -> list[str]:
        return Evaluation(template, REQUIRED | parameters).refused_by()

    for parameters in ACCEPTED:
        expect_equal(refused_by(parameters), [], f"{parameters}")
    for parameters, reason in REFUSED:
        reasons = refused_by(parameters)
        expect(len(reasons) == 1 and reason in reasons[0], f"{parameters}: {reasons}")


# What CloudFormation accepts in a request that holds the template itself (AWS documentation, "AWS CloudFormation
# quotas"). Tools that send it so cannot deploy a larger one.
MAX_BYTES = 51_200

# As long as addresses in the bucket that SAM creates.
ADDRESS = "https://s3.ap-southeast-1.amazonaws.com/aws-sam-cli-managed-default-samclisourcebucket-0123456789ab"
ADDRESS += "/clerk-sync/0123456789abcdef0123456789abcdef.template"


def templates_are_small_enough() -> None:
    """As they are here, and as `sam package` writes them: without comments, but one item a line."""
    outermost = packaged()
    properties = outermost["Resources"]["SyncFunction"]["Properties"]
    properties["CodeUri"] = ADDRESS
    sizes = {path.name: path.stat().st_size for path in (ROOT / "template.yaml", *(ROOT / "deploy").glob("*.yaml"))}
    for number, one in enumerate(templates(outermost)):
        for resource in one["Resources"].values():
            if resource["Type"] == STACK:
                resource["Properties"]["TemplateURL"] = ADDRESS
        sizes[f"packaged template {number}"] = len(yaml.safe_dump(without_nested(one), sort_keys=False).encode())
    large = {name: size for name, size in sizes.items() if size > MAX_BYTES}
    expect(not large, f"larger than {MAX_BYTES} bytes: {large}")


# Schemas of files that are no datasets.
NO_TABLES = {"change", "changes_latest", "changes_summary", "latest", "manifest"}


def tables() -> None:
    """Each dataset has a table that looks into the folder of the snapshot that a query names, and one that follows
    the list of files of the newest. Changes have one."""
    tables_are_over(EVERYTHING, SNAPSHOT_URL)
    tables_are_over({"DatabaseName": "clerk"}, "s3://<SnapshotBucket>")


def tables_are_over(parameters: dict[str, str], url: str) -> None:
    found = {}
    for stack in evaluated(parameters).stacks():
        for resource in stack.resources.values():
            if resource["Type"] == "AWS::Glue::Table":
                table = resource["Properties"]["TableInput"]
                found[table["Name"]] = table
    schemas = {path.name.removesuffix(".schema.json") for path in (ROOT / "schemas").iterdir()} - NO_TABLES
    expect_equal(sorted(found), sorted([*schemas, *(f"latest_{name}" for name in schemas), "changes"]), "tables")
    for name in schemas:
        is_projected(found[name], f"{url}/snapshots/", name)
        expect_equal(columns(found[f"latest_{name}"]), columns(found[name]), f"columns of latest_{name}")
        follows_lists(found[f"latest_{name}"], f"{url}/athena/latest/{name}/")
    follows_lists(found["changes"], f"{url}/athena/changes/")
    change = json.loads((ROOT / "schemas" / "change.schema.json").read_text(encoding="utf-8"))
    expect_equal([name for name, _ in columns(found["changes"])], list(change["properties"]), "columns of changes")


def is_projected(table: dict, location: str, name: str) -> None:
    projected = {
        "EXTERNAL": "TRUE",
        "projection.enabled": "true",
        "projection.snapshot_id.type": "injected",
        "storage.location.template": f"{location}${{snapshot_id}}/{name}/",
    }
    expect_equal(table["Parameters"], projected, name)
    expect_equal(table["PartitionKeys"], [{"Name": "snapshot_id", "Type": "string"}], name)
    expect_equal(table["StorageDescriptor"]["Location"], location, name)


def follows_lists(table: dict, location: str) -> None:
    expect_equal(table["StorageDescriptor"]["Location"], location, table["Name"])
    symlinks = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
    expect_equal(table["StorageDescriptor"]["InputFormat"], symlinks, table["Name"])
    expect("PartitionKeys" not in table, f"{table['Name']} has partitions, which nobody registers")


def columns(table: dict) -> list[tuple[str, str]]:
    return [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]]
