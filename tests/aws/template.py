"""What the template says of what moto does not create or apply, written out: the bucket and its
policy, schedules, asynchronous invocations, alarms, tables; and what the template refuses."""

from __future__ import annotations

from typing import Any

from .aws import ACCOUNT, REGION
from .evaluation import Evaluation
from .roles import OWN_FUNCTION, STATE_MACHINE
from .scene import SNAPSHOT_URL, Failed, Scene, expect
from .stack import (
    BUCKET,
    EVERYTHING,
    EXISTING_BUCKET,
    KMS,
    LOCKED,
    OTHER_FUNCTIONS,
    PREFIX,
    REQUIRED,
    ROOT,
    SETS,
    TOPIC,
    load,
    translated,
)

UNDELIVERED = f"arn:aws:sqs:{REGION}:{ACCOUNT}:<UndeliveredTicks>"
FAILED = f"arn:aws:sqs:{REGION}:{ACCOUNT}:<FailedInvocations>"
CREATED_TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:<AlarmTopic>"

# Parameters that are refused, and by what: the parameter's own pattern or a rule.
REFUSED: list[tuple[dict[str, str], str]] = [
    (EXISTING_BUCKET | {"SnapshotBucketName": "mine"}, "not both"),
    (EXISTING_BUCKET | LOCKED, "ObjectLockMode is for a bucket that is created"),
    (EXISTING_BUCKET | {"ExpireSnapshotsDays": "400"}, "ExpireSnapshotsDays and ExpireReplaced"),
    (EXISTING_BUCKET | {"ExpireReplacedDays": "31"}, "ExpireSnapshotsDays and ExpireReplaced"),
    ({"ObjectLockMode": "COMPLIANCE"}, "go together"),
    ({"ObjectLockDays": "30"}, "go together"),
    ({"IncludeRaw": "true", "Redact": "email"}, "Redact and IncludeRaw"),
    ({"ClerkSecretField": "sk_test_abc"}, "ClerkSecretField"),
    ({"MoreFunctionArns": f'{OTHER_FUNCTIONS[0]},"'}, "MoreFunctionArns"),
    ({"MoreFunctionArns": "clerk-sync"}, "MoreFunctionArns"),
]

ACCEPTED: list[dict[str, str]] = [
    *SETS.values(),
    {"IncludeRaw": "false", "Redact": "email, ip"},
    {"IncludeRaw": "true"},
    {"ExpireSnapshotsDays": "400", "ExpireReplacedDays": "31"},
    {"ClerkSecretField": "clerk secret/key"},
    {"MoreFunctionArns": f"{OTHER_FUNCTIONS[0]}, {OTHER_FUNCTIONS[1]}:live"},
]


def prove(scene: Scene) -> None:
    for proof in (
        what_is_refused,
        bucket,
        bucket_policy,
        function,
        schedules,
        log_and_queues,
        alarms,
        tables,
    ):
        try:
            proof()
        except Failed as problem:
            raise Failed(f"{proof.__name__}: {problem}") from None
    scene.notes.append("rules and conditions are judged by an interpreter of our own")


def evaluated(parameters: dict[str, str]) -> Evaluation:
    return Evaluation(translated(REQUIRED | parameters), REQUIRED | parameters)


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


def bucket() -> None:
    created = evaluated({}).resources["SnapshotBucket"]
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        expect_equal(created.get(policy), "Retain", policy)
    rules: list[dict[str, Any]] = [
        {
            "Id": "abort-incomplete-uploads",
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
        {
            "Id": "expire-replaced-versions",
            "Status": "Enabled",
            "NoncurrentVersionExpiration": {"NoncurrentDays": "30"},
        },
        {
            "Id": "remove-markers-of-what-is-gone",
            "Status": "Enabled",
            "ExpiredObjectDeleteMarker": True,
        },
    ]
    expire = {"Id": "expire-snapshots", "Status": "Enabled", "ExpirationInDays": "400"}
    below_the_prefix = [*rules, expire | {"Prefix": f"{PREFIX}/snapshots/"}]
    of_the_whole_bucket = [*rules, expire | {"Prefix": "snapshots/"}]
    default = {
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "BucketEncryption": encryption({"SSEAlgorithm": "AES256"}),
        "VersioningConfiguration": {"Status": "Enabled"},
        "LifecycleConfiguration": {"Rules": rules},
    }
    key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS["SnapshotKmsKeyArn"]}
    retention = {"Mode": "GOVERNANCE", "Days": "365"}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    for parameters, more in (
        ({}, {}),
        (
            EVERYTHING,
            {"BucketName": BUCKET, "LifecycleConfiguration": {"Rules": below_the_prefix}},
        ),
        (
            {"ExpireSnapshotsDays": "400"},
            {"LifecycleConfiguration": {"Rules": of_the_whole_bucket}},
        ),
        (KMS, {"BucketEncryption": encryption(key, BucketKeyEnabled=True)}),
        (LOCKED, {"ObjectLockEnabled": True, "ObjectLockConfiguration": lock}),
    ):
        found = evaluated(parameters).properties("SnapshotBucket")
        expect_equal(found, default | more, f"bucket, {parameters}")
    expect("SnapshotBucket" not in evaluated(EXISTING_BUCKET).resources, "two buckets")


def encryption(by_default: dict[str, str], **more: bool) -> dict[str, Any]:
    rule = {"ServerSideEncryptionByDefault": by_default} | more
    return {"ServerSideEncryptionConfiguration": [rule]}


def bucket_policy() -> None:
    expected = {
        "Type": "AWS::S3::BucketPolicy",
        "Condition": "CreatesBucket",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "Bucket": "<SnapshotBucket>",
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "OnlyOverTls",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [
                            "arn:aws:s3:::<SnapshotBucket>",
                            "arn:aws:s3:::<SnapshotBucket>/*",
                        ],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            },
        },
    }
    expect_equal(evaluated({}).resources["SnapshotBucketPolicy"], expected, "policy")
    # Whoever owns the bucket has a policy that ours would replace.
    expect("SnapshotBucketPolicy" not in evaluated(EXISTING_BUCKET).resources, "existing bucket")


def function() -> None:
    default = evaluated({}).properties("SyncFunction")
    constant = {
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Timeout": 900,
        "MemorySize": "256",
        "Architectures": ["arm64"],
        "Role": f"arn:aws:iam::{ACCOUNT}:role/<FunctionRole>",
        "TracingConfig": {"Mode": "PassThrough"},
        "LoggingConfig": {
            "LogFormat": "JSON",
            "LogGroup": "<LogGroup>",
            "ApplicationLogLevel": "TRACE",
            "SystemLogLevel": "INFO",
        },
    }
    expect_equal({name: default[name] for name in constant}, constant, "function")
    others = {"Code", "Description", "Environment", "Tags"}
    expect_equal(set(default) - set(constant), others, "function")
    reserved = evaluated(SETS["reserved concurrency"]).properties("SyncFunction")
    expect_equal(reserved["ReservedConcurrentExecutions"], "1", "function")

    asynchronous = {
        "FunctionName": "<SyncFunction>",
        "Qualifier": "$LATEST",
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 900,
        "DestinationConfig": {"OnFailure": {"Destination": FAILED}},
    }
    found = evaluated({}).properties("SyncFunctionEventInvokeConfig")
    expect_equal(found, asynchronous, "asynchronous invocations")


def schedules() -> None:
    default = evaluated({})
    expect_equal(default.properties("SyncFunctionSchedule"), schedule(OWN_FUNCTION), "schedule")
    expect("SyncStateMachineSchedule" not in default.resources, "two schedules")
    disabled = evaluated(SETS["a disabled schedule"]).properties("SyncFunctionSchedule")
    expect_equal(disabled["State"], "DISABLED", "disabled schedule")

    nightly = {"ScheduleExpression": "cron(0 3 * * ? *)", "ScheduleTimezone": "Europe/Berlin"}
    machine = evaluated(EVERYTHING | nightly)
    expected = schedule(
        STATE_MACHINE,
        ScheduleExpression="cron(0 3 * * ? *)",
        ScheduleExpressionTimezone="Europe/Berlin",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": "5"},
    )
    events = ",".join(
        f'{{"function":"{arn}","event":{{}}}}' for arn in (OWN_FUNCTION, *OTHER_FUNCTIONS)
    )
    expected["Target"]["Input"] = f'{{"instances":[{events}]}}'
    expect_equal(machine.properties("SyncStateMachineSchedule"), expected, "state machine")
    # One of the two fires.
    expect_equal(machine.properties("SyncFunctionSchedule")["State"], "DISABLED", "state machine")
    disabled = evaluated(SETS["a disabled schedule + state machine"])
    states = {
        disabled.properties(name)["State"]
        for name in ("SyncFunctionSchedule", "SyncStateMachineSchedule")
    }
    expect_equal(states, {"DISABLED"}, "disabled state machine")


def schedule(target: str, **other: Any) -> dict[str, Any]:
    what = "clerk-sync, and continues a run that was paused"
    if target == STATE_MACHINE:
        what = "the state machine that runs clerk-sync until a snapshot is published"
    return {
        "Description": f"Starts {what}",
        "ScheduleExpression": "rate(15 minutes)",
        "ScheduleExpressionTimezone": "UTC",
        "State": "ENABLED",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": target,
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/<ScheduleRole>",
            "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 300},
            "DeadLetterConfig": {"Arn": UNDELIVERED},
        },
    } | other


def log_and_queues() -> None:
    default = evaluated({"LogRetentionDays": "30"})
    expect_equal(default.properties("LogGroup"), {"RetentionInDays": "30"}, "log")
    expect_equal(default.resources["LogGroup"].get("DeletionPolicy"), "Delete", "log")
    queue = {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}
    for name in ("UndeliveredTicks", "FailedInvocations"):
        expect_equal(default.properties(name), queue, name)


AT_LEAST = "GreaterThanOrEqualToThreshold"
LESS_THAN = "LessThanThreshold"

# Metric, statistic, seconds of a period, periods, comparison, threshold.
Alarm = tuple[str, str, int, int | str, str, int]
ALARMS: dict[str, Alarm] = {
    "NoSnapshotAlarm": ("SnapshotPublished", "Sum", 3600, "26", LESS_THAN, 1),
    "HeldAlarm": ("SnapshotHeld", "Maximum", 3600, 1, AT_LEAST, 1),
    "ErrorsAlarm": ("Errors", "Sum", 3600, 1, AT_LEAST, 2),
    "ThrottlesAlarm": ("Throttles", "Sum", 900, 1, AT_LEAST, 1),
    "DurationAlarm": ("Duration", "Maximum", 900, 1, AT_LEAST, 895_000),
    "UndeliveredTicksAlarm": (
        "ApproximateNumberOfMessagesVisible", "Maximum", 300, 1, AT_LEAST, 1
    ),
    "FailedInvocationsAlarm": (
        "ApproximateNumberOfMessagesVisible", "Maximum", 300, 1, AT_LEAST, 1
    ),
    "ExecutionsAlarm": ("ExecutionsFailed", "Sum", 900, 1, AT_LEAST, 1),
    "ExecutionsTimedOutAlarm": ("ExecutionsTimedOut", "Sum", 900, 1, AT_LEAST, 1),
}
OF_OUR_METRICS = {"NoSnapshotAlarm", "HeldAlarm"}
OF_THE_STATE_MACHINE = {"ExecutionsAlarm", "ExecutionsTimedOutAlarm"}

# Namespace and dimension.
ABOUT = {
    "NoSnapshotAlarm": ("ClerkSync", "Function", "<SyncFunction>"),
    "HeldAlarm": ("ClerkSync", "Function", "<SyncFunction>"),
    "UndeliveredTicksAlarm": ("AWS/SQS", "QueueName", "<UndeliveredTicks>"),
    "FailedInvocationsAlarm": ("AWS/SQS", "QueueName", "<FailedInvocations>"),
    "ExecutionsAlarm": ("AWS/States", "StateMachineArn", STATE_MACHINE),
    "ExecutionsTimedOutAlarm": ("AWS/States", "StateMachineArn", STATE_MACHINE),
}
OF_THE_FUNCTION = ("AWS/Lambda", "FunctionName", "<SyncFunction>")


def alarms() -> None:
    without_state_machine = set(ALARMS) - OF_THE_STATE_MACHINE
    topic = TOPIC["AlarmTopicArn"]
    for parameters, names, sent_to in (
        ({}, without_state_machine, []),
        (EVERYTHING, set(ALARMS), [CREATED_TOPIC]),
        (SETS["a topic"], without_state_machine, [topic]),
        (SETS["a topic and an address"], set(ALARMS), [topic, CREATED_TOPIC]),
        (SETS["no metrics"], without_state_machine - OF_OUR_METRICS, []),
        (SETS["no alarms"], set(), []),
    ):
        found = {
            name: resource["Properties"]
            for name, resource in evaluated(parameters).resources.items()
            if resource["Type"] == "AWS::CloudWatch::Alarm"
        }
        expect_equal(sorted(found), sorted(names), f"alarms, {parameters}")
        for name, properties in found.items():
            expected = alarm(name) | {"AlarmActions": sent_to, "OKActions": sent_to}
            described = properties.pop("AlarmDescription")
            expect(f"See {name} in docs/operations.md." in described, described)
            expect_equal(properties, expected, f"{name}, {parameters}")
    expect("OverviewDashboard" in evaluated({}).resources, "no dashboard")
    for without in ("no metrics", "no dashboard"):
        expect("OverviewDashboard" not in evaluated(SETS[without]).resources, without)


def alarm(name: str) -> dict[str, Any]:
    metric, statistic, period, periods, comparison, threshold = ALARMS[name]
    namespace, dimension, value = ABOUT.get(name, OF_THE_FUNCTION)
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": dimension, "Value": value}],
        "Statistic": statistic,
        "Period": period,
        "EvaluationPeriods": periods,
        "ComparisonOperator": comparison,
        "Threshold": threshold,
        # That nothing is heard is bad news of snapshots, and good news of failures.
        "TreatMissingData": "breaching" if name == "NoSnapshotAlarm" else "notBreaching",
    }


def tables() -> None:
    """Each dataset has a table, which looks into the folder of the snapshot that a query names."""
    given = evaluated(EVERYTHING).properties("Catalog")["Parameters"]
    expect_equal(given["SnapshotUrl"], SNAPSHOT_URL, "catalog")
    whole_bucket = evaluated({"DatabaseName": "clerk"}).properties("Catalog")["Parameters"]
    expect_equal(whole_bucket["SnapshotUrl"], "s3://<SnapshotBucket>", "catalog")

    catalog = Evaluation(load(ROOT / "deploy" / "catalog.yaml"), given)
    found = {}
    for resource in catalog.resources.values():
        if resource["Type"] == "AWS::Glue::Table":
            table = resource["Properties"]["TableInput"]
            found[table["Name"]] = table
    schemas = {path.name.removesuffix(".schema.json") for path in (ROOT / "schemas").iterdir()}
    expect_equal(sorted(found), sorted(schemas - {"latest", "manifest"}), "tables")
    for name, table in found.items():
        projected = {
            "EXTERNAL": "TRUE",
            "projection.enabled": "true",
            "projection.snapshot_id.type": "injected",
            "storage.location.template": f"{SNAPSHOT_URL}/snapshots/${{snapshot_id}}/{name}/",
        }
        expect_equal(table["Parameters"], projected, name)
        expect_equal(table["PartitionKeys"], [{"Name": "snapshot_id", "Type": "string"}], name)
        location = table["StorageDescriptor"]["Location"]
        expect_equal(location, f"{SNAPSHOT_URL}/snapshots/", name)
