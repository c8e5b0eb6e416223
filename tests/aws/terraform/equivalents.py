"""What Terraform created, as the resources of CloudFormation that are the same.

Nothing may be forgotten: what a resource has and no equivalent was made of is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..aws import ACCOUNT
from .core import Applied, Resource
from .provider import NAMES, schemas

# The resource of the template for each resource of the module, by address without an index. What belongs to one
# resource in CloudFormation may be several in Terraform: the first of them is the one with the name.
LOGICAL = {
    "SyncFunction": ["aws_lambda_function.sync"],
    "SyncFunctionEventInvokeConfig": ["aws_lambda_function_event_invoke_config.sync"],
    "FunctionRole": ["aws_iam_role.function", "aws_iam_role_policy.function"],
    "ScheduleRole": ["aws_iam_role.schedule", "aws_iam_role_policy.schedule"],
    "SyncFunctionSchedule": ["aws_scheduler_schedule.sync"],
    "UndeliveredTicks": ["aws_sqs_queue.undelivered_ticks"],
    "FailedInvocations": ["aws_sqs_queue.failed_invocations"],
    "LogGroup": ["aws_cloudwatch_log_group.function"],
    "SnapshotBucket": [
        "aws_s3_bucket.snapshots",
        "aws_s3_bucket_public_access_block.snapshots",
        "aws_s3_bucket_ownership_controls.snapshots",
        "aws_s3_bucket_server_side_encryption_configuration.snapshots",
        "aws_s3_bucket_versioning.snapshots",
        "aws_s3_bucket_lifecycle_configuration.snapshots",
        "aws_s3_bucket_object_lock_configuration.snapshots",
        "aws_s3_bucket_notification.snapshots",
    ],
    "SnapshotBucketPolicy": ["aws_s3_bucket_policy.snapshots"],
    "AlarmTopic": ["aws_sns_topic.alarms"],
    "AlarmTopic.Subscription": ["aws_sns_topic_subscription.alarms"],
    "NoticeTopic": ["aws_sns_topic.notices"],
    "NoticeTopicPolicy": ["aws_sns_topic_policy.notices"],
    "NoticeSubscription": ["aws_sns_topic_subscription.notices"],
    "PublishedRule": [
        'aws_cloudwatch_event_rule.notices["published"]',
        'aws_cloudwatch_event_target.notices["published"]',
    ],
    "PublishedAloneRule": [
        'aws_cloudwatch_event_rule.notices["published-alone"]',
        'aws_cloudwatch_event_target.notices["published-alone"]',
    ],
    "PrivilegedGrantRule": [
        'aws_cloudwatch_event_rule.notices["privileged-grant"]',
        'aws_cloudwatch_event_target.notices["privileged-grant"]',
    ],
    "UndeliveredNotices": ["aws_sqs_queue.undelivered_notices"],
    "UndeliveredNoticesPolicy": ["aws_sqs_queue_policy.undelivered_notices"],
}
ALARM = re.compile(r'aws_cloudwatch_metric_alarm\.sync\["(\w+)"\]')
# What checks variables and creates nothing.
NOTHING = {"terraform_data.rules"}

SCHEMAS = schemas()["resources"]


class Missing(Exception):
    """A block that every such resource has is not there, or is there twice."""


class Values:
    """The arguments of a resource. What was taken out is accounted for."""

    def __init__(self, values: dict[str, Any], block: dict[str, Any]):
        self._values = dict(values)
        self._block = block
        # The name of the resource that this one belongs to, if it is a part.
        self.owner: str | None = None

    def take(self, name: str) -> Any:
        return self._values.pop(name)

    def belongs_to(self, name: str) -> None:
        """This argument names the resource of which this one is a part."""
        self.owner = self.take(name)

    def one(self, name: str) -> Values:
        """The one block of this kind."""
        found = self.block(name)
        if found is None:
            raise Missing(f"there is no block {name}")
        return found

    def block(self, name: str) -> Values | None:
        """The one block of this kind, if there is one."""
        found = self.blocks(name)
        if len(found) > 1:
            raise Missing(f"there are several blocks {name}")
        return found[0] if found else None

    def blocks(self, name: str) -> list[Values]:
        inner = self._block["blocks"][name]
        # They are accounted for one by one.
        self._values[name] = [Values(one, inner) for one in self._values[name] or []]
        return self._values[name]

    def left(self) -> Iterator[str]:
        """What is set and was not taken."""
        for name, value in self._values.items():
            if isinstance(value, list) and value and isinstance(value[0], Values):
                yield from (f"{name}.{inner}" for one in value for inner in one.left())
            elif value not in (None, [], {}, "") and not self._is_made_by_aws(name):
                yield name

    def _is_made_by_aws(self, name: str) -> bool:
        return name == "id" or self._block["attributes"].get(name, {}).get("is") == ["computed"]


@dataclass(frozen=True)
class Equivalent:
    """The resources by their names in the template, and the outputs. Names that Terraform chose are those names in
    angle brackets, as in evaluation.py."""

    resources: dict[str, Any]
    outputs: dict[str, Any]
    # What has no equivalent, and what cannot be.
    problems: list[str]


def equivalent(applied: Applied, tags: dict[str, str]) -> Equivalent:
    of = {address: logical for logical, addresses in LOGICAL.items() for address in addresses}
    parts: dict[str, dict[str, Resource]] = {}
    problems = []
    for address, resource in applied.resources.items():
        alarm = ALARM.fullmatch(address)
        logical = alarm[1] if alarm else of.get(address.removesuffix("[0]"))
        if logical:
            parts.setdefault(logical, {})[address] = resource
        elif address not in NOTHING:
            problems.append(f"{address}: the template has nothing like it")
    rename = renaming(parts)
    made = {logical: together(parts[logical], LOGICAL.get(logical, [""])[0], tags, problems) for logical in parts}
    return Equivalent(json.loads(rename(json.dumps(made))), json.loads(rename(json.dumps(applied.outputs))), problems)


def together(parts: dict[str, Resource], first: str, tags: dict[str, str], problems: list[str]) -> dict[str, Any]:
    """One resource of CloudFormation, of its parts. The first has the name."""
    kind, properties = "", {}
    for address, resource in parts.items():
        values = Values(resource.values, SCHEMAS[resource.kind])
        if "tags" in resource.values and values.take("tags") != tags:
            problems.append(f"{address}: has not the tags {tags}")
        try:
            kind, found = EQUIVALENTS[resource.kind](values)
        except Missing as problem:
            problems.append(f"{address}: {problem}")
            continue
        problems += [f"{address}: the template has nothing like {name}" for name in values.left()]
        if values.owner is not None:
            whole = parts.get(first) or parts.get(f"{first}[0]")
            if not whole or whole.values[NAMES[whole.kind]] != values.owner:
                problems.append(f"{address}: belongs to {values.owner}, not to {first}")
        properties |= found
    return {"Type": kind, "Properties": properties}


def renaming(parts: dict[str, dict[str, Resource]]) -> Callable[[str], str]:
    """A function that puts the names of the template into a text of JSON."""
    names: dict[str, str] = {}
    for logical, resources in parts.items():
        for resource in resources.values():
            values, own = resource.values, f"<{logical}>"
            if resource.kind in REFERRED_TO and not (resource.kind == "aws_s3_bucket" and not values["bucket_prefix"]):
                names[values[NAMES[resource.kind]]] = own
            if resource.kind == "aws_iam_role":
                # The template's interpreter leaves the path out.
                names[values["arn"]] = f"arn:aws:iam::{ACCOUNT}:role/{own}"
            if resource.kind == "aws_sqs_queue":
                names[values["url"]] = own

    def rename(text: str) -> str:
        # A longer name may contain a shorter one.
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(name, names[name])
        return text

    return rename


# Kinds whose names and ARNs are in other resources.
REFERRED_TO = {
    "aws_cloudwatch_event_rule",
    "aws_cloudwatch_log_group",
    "aws_iam_role",
    "aws_lambda_function",
    "aws_s3_bucket",
    "aws_sns_topic",
    "aws_sqs_queue",
}

Made = tuple[str, dict[str, Any]]


def given(**properties: Any) -> dict[str, Any]:
    """Those that are set."""
    return {name: value for name, value in properties.items() if value not in (None, "")}


def lambda_function(of: Values) -> Made:
    # The zip is of another form in CloudFormation: an object in S3.
    for name in ("function_name", "filename", "source_code_hash"):
        of.take(name)
    environment, log, tracing = of.one("environment"), of.one("logging_config"), of.one("tracing_config")
    network = of.block("vpc_config")
    return "AWS::Lambda::Function", given(
        Description=of.take("description"),
        Handler=of.take("handler"),
        Runtime=of.take("runtime"),
        Architectures=of.take("architectures"),
        Timeout=of.take("timeout"),
        MemorySize=of.take("memory_size"),
        ReservedConcurrentExecutions=of.take("reserved_concurrent_executions"),
        Role=of.take("role"),
        TracingConfig={"Mode": tracing.take("mode")},
        VpcConfig=network
        and {"SubnetIds": network.take("subnet_ids"), "SecurityGroupIds": network.take("security_group_ids")},
        LoggingConfig=given(
            LogFormat=log.take("log_format"),
            LogGroup=log.take("log_group"),
            ApplicationLogLevel=log.take("application_log_level"),
            SystemLogLevel=log.take("system_log_level"),
        ),
        Environment={"Variables": environment.take("variables")},
    )


def event_invoke_config(of: Values) -> Made:
    destinations = of.one("destination_config")
    on = {
        cased: {"Destination": found.take("destination")}
        for name, cased in (("on_failure", "OnFailure"), ("on_success", "OnSuccess"))
        if (found := destinations.block(name))
    }
    return "AWS::Lambda::EventInvokeConfig", given(
        FunctionName=of.take("function_name"),
        Qualifier=of.take("qualifier"),
        MaximumRetryAttempts=of.take("maximum_retry_attempts"),
        MaximumEventAgeInSeconds=of.take("maximum_event_age_in_seconds"),
        DestinationConfig=on,
    )


def log_group(of: Values) -> Made:
    of.take("name")
    return "AWS::Logs::LogGroup", given(RetentionInDays=of.take("retention_in_days"), KmsKeyId=of.take("kms_key_id"))


def queue(of: Values) -> Made:
    of.take("name")
    return "AWS::SQS::Queue", given(
        MessageRetentionPeriod=of.take("message_retention_seconds"),
        SqsManagedSseEnabled=of.take("sqs_managed_sse_enabled"),
    )


def queue_policy(of: Values) -> Made:
    return "AWS::SQS::QueuePolicy", {
        "Queues": [of.take("queue_url")],
        "PolicyDocument": json.loads(of.take("policy")),
    }


def role(of: Values) -> Made:
    of.take("name")
    of.take("name_prefix")
    return "AWS::IAM::Role", given(
        Description=of.take("description"),
        Path=of.take("path"),
        PermissionsBoundary=of.take("permissions_boundary"),
        AssumeRolePolicyDocument=json.loads(of.take("assume_role_policy")),
    )


def role_policy(of: Values) -> Made:
    of.belongs_to("role")
    policy = {"PolicyName": of.take("name"), "PolicyDocument": json.loads(of.take("policy"))}
    return "AWS::IAM::Role", {"Policies": [policy]}


def schedule(of: Values) -> Made:
    of.take("name")
    window, target = of.one("flexible_time_window"), of.one("target")
    retries, undelivered = target.block("retry_policy"), target.block("dead_letter_config")
    return "AWS::Scheduler::Schedule", given(
        Description=of.take("description"),
        ScheduleExpression=of.take("schedule_expression"),
        ScheduleExpressionTimezone=of.take("schedule_expression_timezone"),
        State=of.take("state"),
        FlexibleTimeWindow=given(
            Mode=window.take("mode"), MaximumWindowInMinutes=window.take("maximum_window_in_minutes")
        ),
        Target=given(
            Arn=target.take("arn"),
            RoleArn=target.take("role_arn"),
            RetryPolicy=retry_policy(retries),
            DeadLetterConfig=undelivered and {"Arn": undelivered.take("arn")},
        ),
    )


def retry_policy(of: Values | None) -> dict[str, Any] | None:
    return of and given(
        MaximumRetryAttempts=of.take("maximum_retry_attempts"),
        MaximumEventAgeInSeconds=of.take("maximum_event_age_in_seconds"),
    )


def bucket(of: Values) -> Made:
    name, prefix = of.take("bucket"), of.take("bucket_prefix")
    # A name with a prefix is one that nobody chose.
    lock = of.take("object_lock_enabled") or None
    return "AWS::S3::Bucket", given(BucketName=None if prefix else name, ObjectLockEnabled=lock)


def public_access_block(of: Values) -> Made:
    of.belongs_to("bucket")
    return "AWS::S3::Bucket", {
        "PublicAccessBlockConfiguration": given(
            BlockPublicAcls=of.take("block_public_acls"),
            BlockPublicPolicy=of.take("block_public_policy"),
            IgnorePublicAcls=of.take("ignore_public_acls"),
            RestrictPublicBuckets=of.take("restrict_public_buckets"),
        )
    }


def ownership_controls(of: Values) -> Made:
    of.belongs_to("bucket")
    rules = [{"ObjectOwnership": rule.take("object_ownership")} for rule in of.blocks("rule")]
    return "AWS::S3::Bucket", {"OwnershipControls": {"Rules": rules}}


def encryption(of: Values) -> Made:
    of.belongs_to("bucket")
    rules = []
    for rule in of.blocks("rule"):
        default = rule.one("apply_server_side_encryption_by_default")
        rules.append(
            given(
                BucketKeyEnabled=rule.take("bucket_key_enabled"),
                ServerSideEncryptionByDefault=given(
                    SSEAlgorithm=default.take("sse_algorithm"), KMSMasterKeyID=default.take("kms_master_key_id")
                ),
            )
        )
    return "AWS::S3::Bucket", {"BucketEncryption": {"ServerSideEncryptionConfiguration": rules}}


def versioning(of: Values) -> Made:
    of.belongs_to("bucket")
    status = of.one("versioning_configuration").take("status")
    return "AWS::S3::Bucket", {"VersioningConfiguration": {"Status": status}}


def lifecycle(of: Values) -> Made:
    of.belongs_to("bucket")
    rules = []
    for rule in of.blocks("rule"):
        where, expiration = rule.one("filter"), rule.block("expiration")
        uploads, replaced = rule.block("abort_incomplete_multipart_upload"), rule.block("noncurrent_version_expiration")
        rules.append(
            given(
                Id=rule.take("id"),
                Status=rule.take("status"),
                Prefix=where.take("prefix"),
                ExpirationInDays=expiration and expiration.take("days"),
                ExpiredObjectDeleteMarker=expiration and expiration.take("expired_object_delete_marker"),
                AbortIncompleteMultipartUpload=uploads
                and {"DaysAfterInitiation": uploads.take("days_after_initiation")},
                NoncurrentVersionExpiration=replaced and {"NoncurrentDays": replaced.take("noncurrent_days")},
            )
        )
    return "AWS::S3::Bucket", {"LifecycleConfiguration": {"Rules": rules}}


def object_lock(of: Values) -> Made:
    of.belongs_to("bucket")
    retention = of.one("rule").one("default_retention")
    return "AWS::S3::Bucket", {
        "ObjectLockConfiguration": {
            "ObjectLockEnabled": of.take("object_lock_enabled"),
            "Rule": {"DefaultRetention": {"Mode": retention.take("mode"), "Days": retention.take("days")}},
        }
    }


def notification(of: Values) -> Made:
    of.belongs_to("bucket")
    events = {"EventBridgeConfiguration": {"EventBridgeEnabled": of.take("eventbridge")}}
    return "AWS::S3::Bucket", {"NotificationConfiguration": events}


def bucket_policy(of: Values) -> Made:
    return "AWS::S3::BucketPolicy", {"Bucket": of.take("bucket"), "PolicyDocument": json.loads(of.take("policy"))}


def topic(of: Values) -> Made:
    of.take("name")
    return "AWS::SNS::Topic", given(DisplayName=of.take("display_name"))


def topic_policy(of: Values) -> Made:
    return "AWS::SNS::TopicPolicy", {
        "Topics": [of.take("arn")],
        "PolicyDocument": json.loads(of.take("policy")),
    }


def subscription(of: Values) -> Made:
    return "AWS::SNS::Subscription", given(
        TopicArn=of.take("topic_arn"), Protocol=of.take("protocol"), Endpoint=of.take("endpoint")
    )


def alarm(of: Values) -> Made:
    of.take("alarm_name")
    dimensions = [{"Name": name, "Value": value} for name, value in of.take("dimensions").items()]
    return "AWS::CloudWatch::Alarm", given(
        AlarmDescription=of.take("alarm_description"),
        Namespace=of.take("namespace"),
        MetricName=of.take("metric_name"),
        Dimensions=dimensions,
        Statistic=of.take("statistic"),
        Period=of.take("period"),
        EvaluationPeriods=of.take("evaluation_periods"),
        ComparisonOperator=of.take("comparison_operator"),
        Threshold=of.take("threshold"),
        TreatMissingData=of.take("treat_missing_data"),
        AlarmActions=of.take("alarm_actions") or [],
        OKActions=of.take("ok_actions") or [],
    )


def rule(of: Values) -> Made:
    of.take("name")
    return "AWS::Events::Rule", given(
        Description=of.take("description"), EventPattern=json.loads(of.take("event_pattern"))
    )


def target(of: Values) -> Made:
    of.belongs_to("rule")
    undelivered, text = of.block("dead_letter_config"), of.block("input_transformer")
    found = given(
        Id=of.take("target_id"),
        Arn=of.take("arn"),
        RetryPolicy=retry_policy(of.block("retry_policy")),
        DeadLetterConfig=undelivered and {"Arn": undelivered.take("arn")},
        InputTransformer=text
        and {"InputPathsMap": text.take("input_paths"), "InputTemplate": text.take("input_template")},
    )
    return "AWS::Events::Rule", {"Targets": [found]}


EQUIVALENTS = {
    "aws_cloudwatch_event_rule": rule,
    "aws_cloudwatch_event_target": target,
    "aws_cloudwatch_log_group": log_group,
    "aws_cloudwatch_metric_alarm": alarm,
    "aws_iam_role": role,
    "aws_iam_role_policy": role_policy,
    "aws_lambda_function": lambda_function,
    "aws_lambda_function_event_invoke_config": event_invoke_config,
    "aws_s3_bucket": bucket,
    "aws_s3_bucket_lifecycle_configuration": lifecycle,
    "aws_s3_bucket_notification": notification,
    "aws_s3_bucket_object_lock_configuration": object_lock,
    "aws_s3_bucket_ownership_controls": ownership_controls,
    "aws_s3_bucket_policy": bucket_policy,
    "aws_s3_bucket_public_access_block": public_access_block,
    "aws_s3_bucket_server_side_encryption_configuration": encryption,
    "aws_s3_bucket_versioning": versioning,
    "aws_scheduler_schedule": schedule,
    "aws_sns_topic": topic,
    "aws_sns_topic_policy": topic_policy,
    "aws_sns_topic_subscription": subscription,
    "aws_sqs_queue": queue,
    "aws_sqs_queue_policy": queue_policy,
}
