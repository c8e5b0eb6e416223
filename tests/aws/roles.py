"""The permissions of each role, and who may assume it, to be compared with the template's roles
statement by statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .aws import ACCOUNT, REGION

Statement = dict[str, Any]

OWN_FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:<SyncFunction>"
STATE_MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:<SyncStateMachine>"


@dataclass(frozen=True)
class Role:
    trusted: Statement
    policy: str
    statements: list[Statement]


def roles(parameters: dict[str, str]) -> dict[str, Role]:
    """The roles of a stack with these parameters."""
    found = {"FunctionRole": function_role(parameters), "ScheduleRole": schedule_role(parameters)}
    if has_state_machine(parameters):
        found["StateMachineRole"] = state_machine_role(parameters)
    return found


def function_role(parameters: dict[str, str]) -> Role:
    bucket = (
        parameters.get("ExistingBucketName")
        or parameters.get("SnapshotBucketName")
        or "<SnapshotBucket>"
    )
    prefix = f"{parameters['SnapshotPrefix']}/" if "SnapshotPrefix" in parameters else ""
    statements = [
        {
            "Sid": "WriteLogs",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:<LogGroup>:*",
        },
        {
            "Sid": "ReadClerkKey",
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": parameters["ClerkSecretArn"],
        },
        {
            "Sid": "ReadAndWriteSnapshots",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": f"arn:aws:s3:::{bucket}/{prefix}*",
        },
        {
            "Sid": "ListSnapshots",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {"StringLikeIfExists": {"s3:prefix": f"{prefix}*"}},
        },
        {
            "Sid": "ReportFailedInvocations",
            "Effect": "Allow",
            "Action": "sqs:SendMessage",
            "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:<FailedInvocations>",
        },
    ]
    if "ClerkSecretKmsKeyArn" in parameters:
        through = {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}
        statements.append(
            {
                "Sid": "DecryptClerkKey",
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": parameters["ClerkSecretKmsKeyArn"],
                "Condition": {"StringEquals": through},
            }
        )
    if "SnapshotKmsKeyArn" in parameters:
        through = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
        statements.append(
            {
                "Sid": "EncryptSnapshots",
                "Effect": "Allow",
                "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                "Resource": parameters["SnapshotKmsKeyArn"],
                "Condition": {"StringEquals": through},
            }
        )
    if is_traced(parameters):
        statements.append(trace("xray:PutTraceSegments", "xray:PutTelemetryRecords"))
    trusted = may_assume("lambda", {"StringEquals": {"aws:SourceAccount": ACCOUNT}})
    return Role(trusted, "clerk-sync", statements)


def schedule_role(parameters: dict[str, str]) -> Role:
    group = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/default"
    source = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": group}
    if has_state_machine(parameters):
        start = {"Action": "states:StartExecution", "Resource": STATE_MACHINE}
    else:
        start = {"Action": "lambda:InvokeFunction", "Resource": OWN_FUNCTION}
    statements = [
        {"Effect": "Allow"} | start,
        {
            "Effect": "Allow",
            "Action": "sqs:SendMessage",
            "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:<UndeliveredTicks>",
        },
    ]
    return Role(may_assume("scheduler", {"StringEquals": source}), "invoke-clerk-sync", statements)


def state_machine_role(parameters: dict[str, str]) -> Role:
    machines = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:*"
    source = {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": machines},
    }
    statements: list[Statement] = [
        {
            "Sid": "InvokeOwnFunction",
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": OWN_FUNCTION,
        }
    ]
    if "MoreFunctionArns" in parameters:
        statements.append(
            {
                "Sid": "InvokeMoreFunctions",
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Resource": parameters["MoreFunctionArns"].split(","),
            }
        )
    if is_traced(parameters):
        statements.append(
            trace(
                "xray:PutTraceSegments",
                "xray:PutTelemetryRecords",
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
            )
        )
    return Role(may_assume("states", source), "invoke-clerk-sync", statements)


def has_state_machine(parameters: dict[str, str]) -> bool:
    return parameters.get("Continuation") == "StateMachine"


def is_traced(parameters: dict[str, str]) -> bool:
    return parameters.get("Tracing") == "Active"


def trace(*actions: str) -> Statement:
    return {"Sid": "Trace", "Effect": "Allow", "Action": list(actions), "Resource": "*"}


def may_assume(service: str, condition: dict[str, Any]) -> Statement:
    return {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": condition,
    }
