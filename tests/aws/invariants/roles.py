"""What each role may do, and who may assume it.

The permissions that a role needs are derived from the resources that use it. A statement too many is as
wrong as a missing one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..aws import ACCOUNT, REGION
from ..stack import (
    ACCOUNT_RULES,
    ELSEWHERE,
    EXISTING_BUCKET,
    KMS,
    NOTICES,
    OTHER_FUNCTIONS,
    PREFIX,
    SIGNED,
    TRACED,
    VPC,
)
from .deployment import Complaints, Deployment, Sid, add, drop, fault, invariant, listed, put

# Action, resource, condition as JSON.
Grant = tuple[str, str, str]

TRACES = {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
}

# AWS documentation, "Giving Lambda functions access to resources in an Amazon VPC".
INTERFACES = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}

# AWS documentation, "Using CloudWatch Logs to log execution history in Step Functions".
DELIVERIES = {
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}

# What may be allowed for every resource: these have none that a policy could name.
EVERYWHERE = TRACES | INTERFACES | DELIVERIES

BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"

# Objects of one bucket, and streams of one log group of the stack.
PART_OF_ONE = re.compile(rf"arn:aws:(s3:::[^*/]+/.*|logs:{REGION}:{ACCOUNT}:log-group:<\w+>:)\*")

MACHINE = {"Continuation": "StateMachine"}
MORE = {"MoreFunctionArns": ",".join(OTHER_FUNCTIONS)}

TRUST = ("Properties", "AssumeRolePolicyDocument", "Statement", 0)
STATEMENTS = ("Properties", "Policies", 0, "PolicyDocument", "Statement")


def grants(role: dict[str, Any]) -> Iterator[Grant]:
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            condition = json.dumps(statement.get("Condition", {}), sort_keys=True)
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    yield action, resource, condition


def needed(stack: Deployment) -> dict[str, set[Grant]]:
    """By the name of the role."""
    found: dict[str, set[Grant]] = {}
    for arn, wanted in (
        (stack.function["Role"], needed_by_function(stack)),
        *(
            (schedule["Target"]["RoleArn"], needed_by_schedule(stack, schedule))
            for schedule in stack.of_type("AWS::Scheduler::Schedule").values()
        ),
        *(
            (machine["RoleArn"], needed_by_state_machine(stack, machine))
            for machine in stack.of_type("AWS::StepFunctions::StateMachine").values()
        ),
    ):
        name = stack.arns("AWS::IAM::Role")[arn]
        found.setdefault(name, set()).update(wanted)
    return found


def grant(action: str, resource: str, **condition: dict[str, str]) -> Grant:
    return action, resource, json.dumps(condition, sort_keys=True)


def needed_by_function(stack: Deployment) -> Iterator[Grant]:
    """permissions.py shows by trying that the program needs these and no more, as far as moto goes."""
    log = stack.function["LoggingConfig"].get("LogGroup", "<none>").strip("<>")
    for arn, name in stack.arns("AWS::Logs::LogGroup").items():
        if name == log:
            yield from (grant(f"logs:{action}", arn) for action in ("CreateLogStream", "PutLogEvents"))
    yield grant("secretsmanager:GetSecretValue", stack.variables["CLERK_SECRET_ID"])
    bucket, prefix = stack.place
    owner = {"aws:ResourceAccount": stack.parameters["BucketOwner"] or ACCOUNT}
    for action in ("GetObject", "PutObject", "DeleteObject"):
        yield grant(f"s3:{action}", f"arn:aws:s3:::{bucket}/{prefix}*", StringEquals=owner)
    # IfExists: reading an object needs this permission as well, and such a request carries no prefix.
    below = {"s3:prefix": f"{prefix}*"}
    yield grant("s3:ListBucket", f"arn:aws:s3:::{bucket}", StringEquals=owner, StringLikeIfExists=below)
    for invoked in stack.of_type("AWS::Lambda::EventInvokeConfig").values():
        yield grant("sqs:SendMessage", invoked["DestinationConfig"]["OnFailure"]["Destination"])
        if "OnSuccess" in invoked["DestinationConfig"]:
            yield grant("events:PutEvents", invoked["DestinationConfig"]["OnSuccess"]["Destination"])
    if stack.variables["SIGNING_KEY_ID"]:
        signature = {"kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256"}
        yield grant("kms:Sign", stack.variables["SIGNING_KEY_ID"], StringEquals=signature)
    if "VpcConfig" in stack.function:
        # The key is in requests of the program alone: Lambda may do this, and the program may not.
        yield from (grant(action, "*", Null={"lambda:SourceFunctionArn": "true"}) for action in INTERFACES)
    for key, service, actions in (
        (stack.parameters["ClerkSecretKmsKeyArn"], "secretsmanager", ["Decrypt"]),
        (stack.parameters["SnapshotKmsKeyArn"], "s3", ["GenerateDataKey", "Decrypt"]),
    ):
        through = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}
        if key:
            yield from (grant(f"kms:{action}", key, StringEquals=through) for action in actions)
    if stack.function["TracingConfig"]["Mode"] == "Active":
        yield from (grant(f"xray:{action}", "*") for action in ("PutTraceSegments", "PutTelemetryRecords"))


def needed_by_schedule(stack: Deployment, schedule: dict[str, Any]) -> Iterator[Grant]:
    target = schedule["Target"]["Arn"]
    machines = stack.arns("AWS::StepFunctions::StateMachine")
    if target in machines:
        yield grant("states:StartExecution", target)
    elif not machines:
        yield grant("lambda:InvokeFunction", target)
    # Where there is a state machine the function's own schedule is off, and needs nothing.
    yield grant("sqs:SendMessage", schedule["Target"]["DeadLetterConfig"]["Arn"])


def needed_by_state_machine(stack: Deployment, machine: dict[str, Any]) -> Iterator[Grant]:
    more = [arn.strip() for arn in stack.parameters["MoreFunctionArns"].split(",") if arn]
    yield from (grant("lambda:InvokeFunction", arn) for arn in (stack.function_arn, *more))
    if stack.parameters["Notices"]:
        yield grant("events:PutEvents", BUS, StringEquals={"events:source": "clerk-sync"})
    if machine["TracingConfiguration"]["Enabled"]:
        yield from (grant(action, "*") for action in TRACES)
    if "LoggingConfiguration" in machine:
        yield from (grant(action, "*") for action in DELIVERIES)


ALL_OBJECTS = {"Fn::Sub": "${SnapshotBucket.Arn}/*"}


@invariant(
    fault(
        "objects outside the prefix",
        put("FunctionRole", *STATEMENTS, Sid("ReadAndWriteSnapshots"), "Resource", value=ALL_OBJECTS),
        SnapshotPrefix=PREFIX,
    ),
    fault(
        "keys outside the prefix",
        drop("FunctionRole", *STATEMENTS, Sid("ListSnapshots"), "Condition"),
        SnapshotPrefix=PREFIX,
    ),
    fault(
        "a condition that refuses reading",
        put("FunctionRole", *STATEMENTS, Sid("ListSnapshots"), "Condition", value={"StringLike": {"s3:prefix": "*"}}),
    ),
    fault(
        "another secret",
        put(
            "FunctionRole",
            *STATEMENTS,
            Sid("ReadClerkKey"),
            "Resource",
            value="arn:aws:secretsmanager:us-east-1:123456789012:secret:*",
        ),
    ),
    fault(
        "a secret that can be changed",
        put(
            "FunctionRole",
            *STATEMENTS,
            Sid("ReadClerkKey"),
            "Action",
            value=["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"],
        ),
    ),
    fault(
        "all logs",
        put(
            "FunctionRole",
            *STATEMENTS,
            Sid("WriteLogs"),
            "Resource",
            value="arn:aws:logs:us-east-1:123456789012:log-group:*",
        ),
    ),
    fault(
        "failures that cannot be reported",
        put(
            "FunctionRole",
            *STATEMENTS,
            Sid("ReportFailedInvocations"),
            "Resource",
            value={"Fn::GetAtt": ["UndeliveredTicks", "Arn"]},
        ),
    ),
    fault(
        "a key that may decrypt everything",
        drop("FunctionRole", *STATEMENTS, Sid("DecryptClerkKey"), "Condition"),
        **KMS,
    ),
    fault(
        "a key through another service",
        put(
            "FunctionRole",
            *STATEMENTS,
            Sid("EncryptSnapshots"),
            "Condition",
            "StringEquals",
            "kms:ViaService",
            value="ec2.us-east-1.amazonaws.com",
        ),
        **KMS,
    ),
    fault(
        "snapshots that cannot be encrypted",
        put("FunctionRole", *STATEMENTS, Sid("EncryptSnapshots"), "Action", value="kms:Decrypt"),
        **KMS,
    ),
    fault("traces that cannot be written", drop("FunctionRole", *STATEMENTS, 7), **TRACED),
    fault(
        "objects in a bucket of anybody",
        drop("FunctionRole", *STATEMENTS, Sid("ReadAndWriteSnapshots"), "Condition"),
        **EXISTING_BUCKET,
    ),
    fault(
        "the names in a bucket of anybody",
        drop("FunctionRole", *STATEMENTS, Sid("ListSnapshots"), "Condition", "StringEquals"),
        **EXISTING_BUCKET,
    ),
    fault(
        "a bucket of another account that cannot be used",
        put(
            "FunctionRole",
            *STATEMENTS,
            Sid("ReadAndWriteSnapshots"),
            "Condition",
            "StringEquals",
            "aws:ResourceAccount",
            value={"Ref": "AWS::AccountId"},
        ),
        **ELSEWHERE,
    ),
    fault(
        "any signing key",
        put(
            "FunctionRole", *STATEMENTS, Sid("SignManifests"), "Resource", value=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*"
        ),
        **SIGNED,
    ),
    fault("signatures of anything", drop("FunctionRole", *STATEMENTS, Sid("SignManifests"), "Condition"), **SIGNED),
    fault(
        "signatures of whole messages",
        put(
            "FunctionRole",
            *STATEMENTS,
            Sid("SignManifests"),
            "Condition",
            "StringEquals",
            "kms:MessageType",
            value="RAW",
        ),
        **SIGNED,
    ),
    fault(
        "a key that may do more than sign",
        put("FunctionRole", *STATEMENTS, Sid("SignManifests"), "Action", value=["kms:Sign", "kms:CreateGrant"]),
        **SIGNED,
    ),
    fault("signatures that cannot be made", drop("FunctionRole", *STATEMENTS, 8), **SIGNED),
    fault("answers that cannot be sent", drop("FunctionRole", *STATEMENTS, 9), **NOTICES),
    fault(
        "answers to any bus",
        put("FunctionRole", *STATEMENTS, Sid("AnnounceAnswers"), "Resource", value=BUS.replace("/default", "/*")),
        **NOTICES,
    ),
    fault("a function that cannot reach its network", drop("FunctionRole", *STATEMENTS, 10), **VPC),
    fault(
        "network interfaces for the program",
        drop("FunctionRole", *STATEMENTS, Sid("AttachToVpc"), "Condition"),
        **VPC,
    ),
    fault(
        "network interfaces for nobody",
        put(
            "FunctionRole",
            *STATEMENTS,
            Sid("AttachToVpc"),
            "Condition",
            "Null",
            "lambda:SourceFunctionArn",
            value="false",
        ),
        **VPC,
    ),
    fault(
        "network interfaces without a network",
        put(
            "FunctionRole",
            *STATEMENTS,
            10,
            "Fn::If",
            2,
            value={"Effect": "Allow", "Action": sorted(INTERFACES), "Resource": "*"},
        ),
    ),
    fault(
        "answers in the name of another",
        drop("StateMachineRole", *STATEMENTS, Sid("AnnounceAnswers"), "Condition"),
        **MACHINE,
        **NOTICES,
    ),
    fault(
        "answers that nobody wants",
        put("StateMachineStack", "Properties", "Parameters", "Announce", value="true"),
        **MACHINE,
    ),
    fault(
        "a log that cannot be delivered",
        drop("StateMachineRole", *STATEMENTS, 4),
        StateMachineLogLevel="ALL",
        **MACHINE,
    ),
    fault(
        "one statement too many",
        add(
            "FunctionRole",
            *STATEMENTS,
            value={
                "Effect": "Allow",
                "Action": "s3:PutBucketPolicy",
                "Resource": {"Fn::GetAtt": ["SnapshotBucket", "Arn"]},
            },
        ),
    ),
    fault(
        "a function that cannot be started",
        put("ScheduleRole", *STATEMENTS, 0, "Fn::If", 2, "Resource", value=OTHER_FUNCTIONS[0]),
    ),
    fault(
        "a state machine that cannot be started",
        put("MachineScheduleRole", *STATEMENTS, 0, "Action", value="states:StartSyncExecution"),
        **MACHINE,
    ),
    fault(
        "a function that two schedules may start",
        put(
            "ScheduleRole",
            *STATEMENTS,
            0,
            "Fn::If",
            1,
            value={
                "Effect": "Allow",
                "Action": "lambda:InvokeFunction",
                "Resource": {"Fn::GetAtt": ["SyncFunction", "Arn"]},
            },
        ),
        **MACHINE,
    ),
    fault("ticks that cannot be kept", drop("ScheduleRole", *STATEMENTS, 1)),
    fault("ticks of the state machine that cannot be kept", drop("MachineScheduleRole", *STATEMENTS, 1), **MACHINE),
    fault(
        "any function",
        put(
            "StateMachineRole",
            *STATEMENTS,
            Sid("InvokeOwnFunction"),
            "Resource",
            value="arn:aws:lambda:us-east-1:123456789012:function:*",
        ),
        **MACHINE,
    ),
    fault("functions that cannot be invoked", drop("StateMachineRole", *STATEMENTS, 1), **MACHINE, **MORE),
)
def roles_may_do_what_is_needed_and_nothing_else(stack: Deployment) -> Complaints:
    wanted = needed(stack)
    for name, role in stack.of_type("AWS::IAM::Role").items():
        found = set(grants(role))
        yield from (f"{name}: may not {one}" for one in sorted(wanted.get(name, set()) - found))
        yield from (f"{name}: may {one}, which nothing needs" for one in sorted(found - wanted.get(name, set())))


@invariant(
    fault(
        "every action of a service",
        put("FunctionRole", *STATEMENTS, Sid("ReadAndWriteSnapshots"), "Action", value="s3:*"),
    ),
    fault("an action everywhere", put("FunctionRole", *STATEMENTS, Sid("ReadClerkKey"), "Resource", value="*")),
    fault("any bucket", put("FunctionRole", *STATEMENTS, Sid("ListSnapshots"), "Resource", value="arn:aws:s3:::*")),
    fault(
        "a managed policy",
        put("FunctionRole", "Properties", "ManagedPolicyArns", value=["arn:aws:iam::aws:policy/AmazonS3FullAccess"]),
    ),
    fault(
        "all actions but one",
        put(
            "FunctionRole",
            *STATEMENTS,
            0,
            value={
                "Effect": "Allow",
                "NotAction": "iam:*",
                "Resource": "*",
            },
        ),
    ),
    fault("a second policy", put("Elsewhere", value={"Type": "AWS::IAM::Policy", "Properties": {}})),
)
def nothing_is_allowed_everywhere(stack: Deployment) -> Complaints:
    # What a role may do stands in its policies alone.
    allowed = {"Description", "AssumeRolePolicyDocument", "Policies", "Path", "PermissionsBoundary"}
    for name, resource in stack.resources.items():
        kind = resource["Type"]
        if kind.startswith("AWS::IAM::") and kind != "AWS::IAM::Role":
            yield f"{name}: gives permissions outside the roles"
    for name, role in stack.of_type("AWS::IAM::Role").items():
        if set(role) - allowed:
            yield f"{name}: has {sorted(set(role) - allowed)}"
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                if set(statement) - {"Sid", "Condition"} != {"Effect", "Action", "Resource"}:
                    yield f"{name}: {sorted(statement)} says what is not allowed"
                    continue
                yield from (f"{name}: {problem}" for problem in too_wide(statement))


def too_wide(statement: dict[str, Any]) -> Complaints:
    if statement["Effect"] != "Allow":
        yield f"{statement['Effect']} is not expected"
    actions, resources = listed(statement["Action"]), listed(statement["Resource"])
    yield from (f"allows {action}" for action in actions if "*" in action)
    for resource in resources:
        if resource == "*":
            yield from (f"allows {action} everywhere" for action in actions if action not in EVERYWHERE)
        elif "*" in resource and not PART_OF_ONE.fullmatch(resource):
            yield f"allows {resource}"


@invariant(
    fault("a role without its boundary", drop("ScheduleRole", "Properties", "PermissionsBoundary"), **ACCOUNT_RULES),
    fault(
        "a boundary that is not passed on",
        put("StateMachineStack", "Properties", "Parameters", "PermissionsBoundaryArn", value=""),
        **ACCOUNT_RULES,
        **MACHINE,
    ),
    fault("a role elsewhere", drop("FunctionRole", "Properties", "Path"), **ACCOUNT_RULES),
    fault(
        "a role of the state machine elsewhere",
        drop("MachineScheduleRole", "Properties", "Path"),
        **ACCOUNT_RULES,
        **MACHINE,
    ),
)
def every_role_follows_the_rules_of_the_account(stack: Deployment) -> Complaints:
    wanted = stack.parameters["RolePath"], stack.parameters["PermissionsBoundaryArn"] or None
    for name, role in stack.of_type("AWS::IAM::Role").items():
        found = role.get("Path"), role.get("PermissionsBoundary")
        if found != wanted:
            yield f"{name}: path and boundary are {found}, not {wanted}"


@invariant(
    fault("a function's role for functions of any account", drop("FunctionRole", *TRUST, "Condition")),
    fault(
        "a role for schedules of any account",
        drop("ScheduleRole", *TRUST, "Condition", "StringEquals", "aws:SourceAccount"),
    ),
    fault("a role for every schedule", drop("ScheduleRole", *TRUST, "Condition", "StringEquals", "aws:SourceArn")),
    fault(
        "a role for state machines of any account",
        put("StateMachineRole", *TRUST, "Condition", "ArnLike", "aws:SourceArn", value="*"),
        **MACHINE,
    ),
    fault(
        "a pattern that is compared as a text",
        put(
            "StateMachineRole",
            *TRUST,
            "Condition",
            value={
                "StringEquals": {
                    "aws:SourceAccount": ACCOUNT,
                    "aws:SourceArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:*",
                },
            },
        ),
        **MACHINE,
    ),
    fault(
        "a role for another service",
        put(
            "FunctionRole",
            *TRUST,
            "Principal",
            value={
                "Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"],
            },
        ),
    ),
    fault("a role for another account", put("ScheduleRole", *TRUST, "Principal", value={"AWS": "210987654321"})),
    fault(
        "a second statement of trust",
        add(
            "FunctionRole",
            *TRUST[:-1],
            value={
                "Effect": "Allow",
                "Principal": "*",
                "Action": "sts:AssumeRole",
            },
        ),
    ),
    fault(
        "schedules in a group that the role does not know",
        put("SyncFunctionSchedule", "Properties", "GroupName", value="nightly"),
    ),
    fault(
        "a role that nothing uses",
        put(
            "Forgotten",
            value={
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {"Statement": []},
                    "Policies": [],
                },
            },
        ),
    ),
)
def roles_trust_only_the_service_that_uses_them(stack: Deployment) -> Complaints:
    used_by: dict[str, set[tuple[str, str]]] = {}
    for arn, service, source in users(stack):
        used_by.setdefault(arn, set()).add((service, source))
    for arn, name in stack.arns("AWS::IAM::Role").items():
        wanted = [may_assume(*one) for one in sorted(used_by.get(arn, set()))]
        found = stack.of_type("AWS::IAM::Role")[name]["AssumeRolePolicyDocument"]["Statement"]
        if not wanted or found != wanted:
            yield f"{name}: is trusted to {found}, not to {wanted or 'anybody: nothing uses it'}"


def users(stack: Deployment) -> Iterator[tuple[str, str, str]]:
    """The ARN of a role, the service that takes it, and for which of its resources, if it can be said."""
    # The ARN of the function is not known before its role is there.
    yield stack.function["Role"], "lambda", ""
    for schedule in stack.of_type("AWS::Scheduler::Schedule").values():
        # The scheduler names the group of a schedule, not which one it is.
        yield schedule["Target"]["RoleArn"], "scheduler", f"schedule-group/{schedule.get('GroupName', 'default')}"
    for machine in stack.of_type("AWS::StepFunctions::StateMachine").values():
        # Not the one state machine: its definition already names this role.
        yield machine["RoleArn"], "states", "stateMachine:*"


def may_assume(service: str, source: str) -> dict[str, Any]:
    condition: dict[str, dict[str, str]] = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    if source:
        # A pattern takes another operator, or it is never met.
        operator = "ArnLike" if "*" in source else "StringEquals"
        condition.setdefault(operator, {})["aws:SourceArn"] = f"arn:aws:{service}:{REGION}:{ACCOUNT}:{source}"
    return {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": condition,
    }
