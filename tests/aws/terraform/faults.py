"""Mistakes in the module that the comparison must notice, each in its place.

They are planted in copies of the module, several in one copy: of each, the comparison must say where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .comparison import EVERY_PART, EVERY_SETTING, NOTICES_ABROAD, QUIET


@dataclass(frozen=True)
class Fault:
    what: str
    file: str
    # A text that occurs once in the file, and what stands there instead.
    old: str
    new: str
    # What a complaint about it begins with.
    where: str


@dataclass(frozen=True)
class Copy:
    """A copy of the module with faults, and the parameters with which they are noticed."""

    parameters: dict[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


FUNCTION = "resources.SyncFunction.Properties"
INVOKED = "resources.SyncFunctionEventInvokeConfig.Properties"
SCHEDULE = "resources.SyncFunctionSchedule.Properties"
ROLE = "resources.FunctionRole.Properties"
MAY = f"{ROLE}.Policies[0].PolicyDocument.Statement"
TRUST = "AssumeRolePolicyDocument.Statement.sts:AssumeRole"
SCHEDULE_MAY = "resources.ScheduleRole.Properties.Policies[0].PolicyDocument.Statement"
BUCKET = "resources.SnapshotBucket.Properties"
RULES = f"{BUCKET}.LifecycleConfiguration.Rules"
TLS = "resources.SnapshotBucketPolicy.Properties.PolicyDocument.Statement.OnlyOverTls"

COPIES = [
    Copy(
        EVERY_SETTING,
        (
            Fault(
                "a setting that is forgotten",
                "function.tf",
                "    KEEP_SNAPSHOTS                = var.keep_snapshots\n",
                "",
                f"{FUNCTION}.Environment.Variables.KEEP_SNAPSHOTS is missing",
            ),
            Fault(
                "a setting with another's value",
                "function.tf",
                "CLERK_RATE_SHARE              = var.clerk_rate_share",
                "CLERK_RATE_SHARE              = var.max_concurrency",
                f"{FUNCTION}.Environment.Variables.CLERK_RATE_SHARE is 8",
            ),
            Fault(
                "a header without its key",
                "function.tf",
                '== "aws:kms" ? var.snapshot_kms_key_arn : ""',
                '== "AES256" ? var.snapshot_kms_key_arn : ""',
                f"{FUNCTION}.Environment.Variables.SERVER_SIDE_ENCRYPTION_KEY_ID is missing",
            ),
            Fault(
                "a concurrency that is not reserved",
                "function.tf",
                'var.reserved_concurrency == "" ? null : tonumber(var.reserved_concurrency)',
                "null",
                f"{FUNCTION}.ReservedConcurrentExecutions is missing",
            ),
            Fault(
                "a prefix that is ignored",
                "locals.tf",
                '"s3://${local.bucket}/${var.snapshot_prefix}"',
                '"s3://${local.bucket}"',
                f"{FUNCTION}.Environment.Variables.SNAPSHOT_URL",
            ),
            Fault(
                "another schedule",
                "schedule.tf",
                "= var.schedule_expression\n",
                '= "rate(15 minutes)"\n',
                f"{SCHEDULE}.ScheduleExpression ",
            ),
            Fault(
                "another time zone",
                "schedule.tf",
                "  schedule_expression_timezone = var.schedule_timezone\n",
                "",
                f"{SCHEDULE}.ScheduleExpressionTimezone",
            ),
            Fault(
                "a schedule that cannot be stopped",
                "schedule.tf",
                "= var.schedule_state",
                '= "ENABLED"',
                f"{SCHEDULE}.State",
            ),
            Fault(
                "a schedule that is always on time",
                "schedule.tf",
                '== "" ? "OFF" : "FLEXIBLE"',
                '== "" ? "OFF" : "OFF"',
                f"{SCHEDULE}.FlexibleTimeWindow.Mode",
            ),
            Fault(
                "retries for a day",
                "schedule.tf",
                "maximum_event_age_in_seconds = 300",
                "maximum_event_age_in_seconds = 86400",
                f"{SCHEDULE}.Target.RetryPolicy.MaximumEventAgeInSeconds",
            ),
            Fault(
                "ticks in the wrong queue",
                "schedule.tf",
                "arn = aws_sqs_queue.undelivered_ticks.arn",
                "arn = aws_sqs_queue.failed_invocations.arn",
                f"{SCHEDULE}.Target.DeadLetterConfig.Arn",
            ),
            Fault(
                "a queue that forgets after four days",
                "schedule.tf",
                "  message_retention_seconds = 1209600\n",
                "",
                "resources.UndeliveredTicks.Properties.MessageRetentionPeriod",
            ),
            Fault(
                "a queue without encryption",
                "function.tf",
                "  sqs_managed_sse_enabled   = true\n",
                "",
                "resources.FailedInvocations.Properties.SqsManagedSseEnabled",
            ),
            Fault(
                "metrics in another namespace",
                "alarms.tf",
                "namespace  = var.metrics_namespace",
                'namespace  = "ClerkSync"',
                "resources.NoSnapshotAlarm.Properties.Namespace",
            ),
            Fault(
                "an address that is none",
                "outputs.tf",
                "value       = aws_sqs_queue.undelivered_ticks.url",
                "value       = aws_sqs_queue.undelivered_ticks.arn",
                "outputs.undelivered_ticks_url",
            ),
            Fault(
                "a file that is elsewhere",
                "outputs.tf",
                '"s3://${local.bucket}/${local.key_prefix}latest.json"',
                '"s3://${local.bucket}/latest.json"',
                "outputs.latest_snapshot_url",
            ),
        ),
    ),
    # What a role may do, first copy.
    Copy(
        EVERY_PART,
        (
            Fault(
                "objects outside the prefix",
                "roles.tf",
                ":s3:::${local.bucket}/${local.key_prefix}*",
                ":s3:::${local.bucket}/*",
                f"{MAY}.ReadAndWriteSnapshots.Resource",
            ),
            Fault(
                "objects in a bucket of anybody",
                "roles.tf",
                '      Condition = { StringEquals = { "aws:ResourceAccount" = local.bucket_owner } }\n',
                "",
                f"{MAY}.ReadAndWriteSnapshots.Condition is missing",
            ),
            Fault(
                "a condition that refuses reading",
                "roles.tf",
                "StringLikeIfExists =",
                "StringLike =",
                f"{MAY}.ListSnapshots.Condition.StringLikeIfExists is missing",
            ),
            Fault("any secret", "roles.tf", "= var.clerk_secret_arn", '= "*"', f"{MAY}.ReadClerkKey.Resource"),
            Fault(
                "all logs",
                "roles.tf",
                '"${aws_cloudwatch_log_group.function.arn}:*"',
                '"arn:aws:logs:*:*:log-group:*"',
                f"{MAY}.WriteLogs.Resource",
            ),
            Fault(
                "failures that cannot be reported",
                "roles.tf",
                "aws_sqs_queue.failed_invocations.arn",
                "aws_sqs_queue.undelivered_ticks.arn",
                f"{MAY}.ReportFailedInvocations.Resource",
            ),
            Fault(
                "a key through another service",
                "roles.tf",
                '"secretsmanager.${local.region}.${local.url_suffix}"',
                '"ec2.${local.region}.${local.url_suffix}"',
                f"{MAY}.DecryptClerkKey.Condition",
            ),
            Fault(
                "snapshots that cannot be encrypted",
                "roles.tf",
                '["kms:GenerateDataKey", "kms:Decrypt"]',
                '["kms:Decrypt"]',
                f"{MAY}.EncryptSnapshots.Action",
            ),
            Fault(
                "signatures of whole messages",
                "roles.tf",
                '"kms:MessageType" = "DIGEST"',
                '"kms:MessageType" = "RAW"',
                f"{MAY}.SignManifests.Condition",
            ),
            Fault(
                "answers to any bus",
                "roles.tf",
                "Resource = local.default_event_bus",
                'Resource = "*"',
                f"{MAY}.AnnounceAnswers.Resource",
            ),
            Fault(
                "traces that cannot be written",
                "roles.tf",
                'var.tracing == "Active"',
                "false",
                f"{MAY}.Trace is missing",
            ),
            Fault(
                "network interfaces for the program",
                "roles.tf",
                '    Condition = { Null = { "lambda:SourceFunctionArn" = "true" } }\n',
                "",
                f"{MAY}.AttachToVpc.Condition",
            ),
            Fault(
                "a role for functions of any account",
                "roles.tf",
                '      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }\n',
                "",
                f"{ROLE}.{TRUST}.Condition",
            ),
            Fault(
                "a role for every schedule",
                "roles.tf",
                '          "aws:SourceArn"     = '
                '"arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule-group/default"\n',
                "",
                f"resources.ScheduleRole.Properties.{TRUST}.Condition.StringEquals.aws:SourceArn is missing",
            ),
            Fault(
                "any function",
                "roles.tf",
                "Resource = aws_lambda_function.sync.arn",
                'Resource = "*"',
                f"{SCHEDULE_MAY}.lambda:InvokeFunction.Resource",
            ),
            Fault(
                "a second policy",
                "roles.tf",
                'resource "aws_iam_role_policy" "schedule" {',
                'resource "aws_iam_role_policy" "more" {\n  role = aws_iam_role.function.name\n  policy = "{}"\n}\n\n'
                'resource "aws_iam_role_policy" "schedule" {',
                "aws_iam_role_policy.more: the template has nothing like it",
            ),
            Fault(
                "a managed policy",
                "roles.tf",
                '  description          = "Lets EventBridge Scheduler invoke clerk-sync"\n',
                '  description          = "Lets EventBridge Scheduler invoke clerk-sync"\n'
                '  managed_policy_arns  = ["arn:aws:iam::aws:policy/AWSLambda_FullAccess"]\n',
                "aws_iam_role.schedule: the template has nothing like managed_policy_arns",
            ),
            # The alarms, first copy.
            Fault(
                "another threshold",
                "alarms.tf",
                "threshold   = 2\n",
                "threshold   = 3\n",
                "resources.ErrorsAlarm.Properties.Threshold",
            ),
            Fault(
                "a snapshot that nobody misses",
                "alarms.tf",
                '      missing     = "breaching"\n',
                "",
                "resources.NoSnapshotAlarm.Properties.TreatMissingData",
            ),
            Fault(
                "another number of hours",
                "alarms.tf",
                "= var.no_snapshot_hours",
                "= 26",
                "resources.NoSnapshotAlarm.Properties.EvaluationPeriods",
            ),
            Fault(
                "an alarm the wrong way round",
                "alarms.tf",
                '      operator    = "LessThanThreshold"\n',
                "",
                "resources.NoSnapshotAlarm.Properties.ComparisonOperator",
            ),
            Fault(
                "another statistic",
                "alarms.tf",
                '      metric      = "Throttles"\n      statistic   = "Sum"',
                '      metric      = "Throttles"\n      statistic   = "Average"',
                "resources.ThrottlesAlarm.Properties.Statistic",
            ),
            Fault(
                "another period",
                "alarms.tf",
                '      metric    = "Duration"\n      period    = 900',
                '      metric    = "Duration"\n      period    = 60',
                "resources.DurationAlarm.Properties.Period",
            ),
            Fault(
                "another metric",
                "alarms.tf",
                'metric = "DatasetsLost"',
                'metric = "DatasetsFailed"',
                "resources.DatasetsLostAlarm.Properties.MetricName",
            ),
            Fault(
                "an alarm about another queue",
                "alarms.tf",
                "{ QueueName = aws_sqs_queue.failed_invocations.name }",
                "{ QueueName = aws_sqs_queue.undelivered_ticks.name }",
                "resources.FailedInvocationsAlarm.Properties.Dimensions",
            ),
            Fault(
                "an alarm that is forgotten",
                "alarms.tf",
                'wanted = local.watches_changes && var.privileged_alarm == "true"',
                "wanted = false",
                "resources.PrivilegedGrantAlarm is missing",
            ),
            Fault(
                "an end that nobody is told of",
                "alarms.tf",
                "  ok_actions          = local.alarm_topics\n",
                "",
                "resources.HeldAlarm.Properties.OKActions",
            ),
            # Notices, first copy.
            Fault(
                "answers that name no snapshot",
                "notices.tf",
                "          # Other actions answer complete, too, but name no snapshot.\n"
                "          snapshot_id = [{ exists = true }]\n",
                "",
                "resources.PublishedRule.Properties.EventPattern.detail.responsePayload.snapshot_id is missing",
            ),
            Fault(
                "a first snapshot that nobody hears of",
                "notices.tf",
                "changes     = { from = [{ exists = false }] }",
                "changes     = { from = [{ exists = true }] }",
                "resources.PublishedAloneRule.Properties.EventPattern.detail.responsePayload.changes",
            ),
            Fault(
                "another number in a notice",
                "notices.tf",
                'gained     = "changes.events.role_granted"',
                'gained     = "changes.events.role_revoked"',
                "resources.PublishedRule.Properties.Targets[0].InputTransformer.InputPathsMap.gained",
            ),
            Fault(
                "another text",
                "notices.tf",
                '      "They allow managing members or domains, or deleting an organization.",\n',
                "",
                "resources.PrivilegedGrantRule.Properties.Targets[0].InputTransformer.InputTemplate",
            ),
            Fault(
                "a queue for notices of anybody",
                "notices.tf",
                '        ArnEquals = { "aws:SourceArn" = [for name in keys(local.rules) : '
                "aws_cloudwatch_event_rule.notices[name].arn] }\n",
                '        ArnLike = { "aws:SourceArn" = "*" }\n',
                "resources.UndeliveredNoticesPolicy.Properties.PolicyDocument.Statement.KeepUndelivered.Condition",
            ),
            Fault(
                "a topic for everybody",
                "notices.tf",
                '      Sid       = "PublishNotices"\n      Effect    = "Allow"\n'
                '      Principal = { Service = "events.amazonaws.com" }',
                '      Sid       = "PublishNotices"\n      Effect    = "Allow"\n      Principal = "*"',
                "resources.NoticeTopicPolicy.Properties.PolicyDocument.Statement.PublishNotices.Principal",
            ),
            Fault(
                "a topic without tags",
                "notices.tf",
                '  name         = "${var.name}-notices"\n  display_name = "clerk-sync"\n  tags         = var.tags\n',
                '  name         = "${var.name}-notices"\n  display_name = "clerk-sync"\n',
                "aws_sns_topic.notices[0]: has not the tags",
            ),
            # The bucket, first copy.
            Fault(
                "public bucket policies that are not blocked",
                "bucket.tf",
                "block_public_policy     = true",
                "block_public_policy     = false",
                f"{BUCKET}.PublicAccessBlockConfiguration.BlockPublicPolicy",
            ),
            Fault(
                "objects owned by their writers",
                "bucket.tf",
                '"BucketOwnerEnforced"',
                '"ObjectWriter"',
                f"{BUCKET}.OwnershipControls",
            ),
            Fault(
                "a request to KMS for every object",
                "bucket.tf",
                '    bucket_key_enabled = var.snapshot_kms_key_arn == "" ? null : true\n',
                "",
                f"{BUCKET}.BucketEncryption.ServerSideEncryptionConfiguration[0].BucketKeyEnabled",
            ),
            Fault(
                "another key",
                "bucket.tf",
                'kms_master_key_id = var.snapshot_kms_key_arn == "" ? null : var.snapshot_kms_key_arn',
                "kms_master_key_id = var.clerk_secret_kms_key_arn",
                f"{BUCKET}.BucketEncryption.ServerSideEncryptionConfiguration[0].ServerSideEncryptionByDefault.KMSMasterKeyID",
            ),
            Fault(
                "no versions",
                "bucket.tf",
                '  versioning_configuration {\n    status = "Enabled"',
                '  versioning_configuration {\n    status = "Suspended"',
                f"{BUCKET}.VersioningConfiguration.Status",
            ),
            Fault(
                "another number of days for versions",
                "bucket.tf",
                "noncurrent_days = var.expire_replaced_days",
                "noncurrent_days = 3",
                f"{RULES}[1].NoncurrentVersionExpiration",
            ),
            Fault(
                "an expiry outside the prefix",
                "bucket.tf",
                '"${local.key_prefix}snapshots/"',
                '"snapshots/"',
                f"{RULES}[3].Prefix",
            ),
            Fault(
                "a lock that nobody can lift",
                "bucket.tf",
                "mode = var.object_lock_mode",
                'mode = "COMPLIANCE"',
                f"{BUCKET}.ObjectLockConfiguration.Rule.DefaultRetention.Mode",
            ),
            Fault(
                "a lock that is not on",
                "bucket.tf",
                'object_lock_enabled = var.object_lock_mode != ""\n',
                "object_lock_enabled = false\n",
                f"{BUCKET}.ObjectLockEnabled is missing",
            ),
            Fault(
                "plain HTTP to objects",
                "bucket.tf",
                'Resource  = [aws_s3_bucket.snapshots[0].arn, "${aws_s3_bucket.snapshots[0].arn}/*"]',
                "Resource  = [aws_s3_bucket.snapshots[0].arn]",
                f"{TLS}.Resource",
            ),
            Fault(
                "a condition the wrong way round",
                "bucket.tf",
                '"aws:SecureTransport" = "false"',
                '"aws:SecureTransport" = "true"',
                f"{TLS}.Condition",
            ),
            Fault(
                "a bucket that is emptied and deleted",
                "bucket.tf",
                "  tags                = var.tags\n",
                "  tags                = var.tags\n  force_destroy       = true\n",
                "aws_s3_bucket.snapshots[0]: the template has nothing like force_destroy",
            ),
            # The function.
            Fault(
                "another time-out", "function.tf", "= 900\n  memory_size", "= 60\n  memory_size", f"{FUNCTION}.Timeout"
            ),
            Fault("another memory", "function.tf", "= var.memory_size", "= 256", f"{FUNCTION}.MemorySize"),
            Fault("another machine", "function.tf", "[var.architecture]", '["arm64"]', f"{FUNCTION}.Architectures"),
            Fault(
                "a level at which metrics are lost",
                "function.tf",
                'application_log_level = "TRACE"',
                'application_log_level = "WARN"',
                f"{FUNCTION}.LoggingConfig.ApplicationLogLevel",
            ),
            Fault(
                "no traces", "function.tf", "mode = var.tracing", 'mode = "PassThrough"', f"{FUNCTION}.TracingConfig"
            ),
            Fault(
                "a function outside of its VPC",
                "function.tf",
                'var.vpc_subnet_ids == "" ? [] : [true]',
                "[]",
                f"{FUNCTION}.VpcConfig is missing",
            ),
            Fault(
                "three attempts",
                "function.tf",
                "maximum_retry_attempts       = 1",
                "maximum_retry_attempts       = 2",
                f"{INVOKED}.MaximumRetryAttempts",
            ),
            Fault(
                "failures in the wrong queue",
                "function.tf",
                "destination = aws_sqs_queue.failed_invocations.arn",
                "destination = aws_sqs_queue.undelivered_ticks.arn",
                f"{INVOKED}.DestinationConfig.OnFailure",
            ),
            Fault(
                "answers that nobody gets",
                "function.tf",
                "for_each = local.has_notices ? [true] : []",
                "for_each = []",
                f"{INVOKED}.DestinationConfig.OnSuccess is missing",
            ),
            Fault(
                "a log for ever",
                "function.tf",
                "  retention_in_days = var.log_retention_days\n",
                "",
                "resources.LogGroup.Properties.RetentionInDays is missing",
            ),
            Fault(
                "a log without its key",
                "function.tf",
                'var.log_kms_key_arn == "" ? null : var.log_kms_key_arn',
                "null",
                "resources.LogGroup.Properties.KmsKeyId is missing",
            ),
        ),
    ),
    # Faults where the first copy has some already.
    Copy(
        EVERY_PART,
        (
            Fault(
                "a secret that can be changed",
                "roles.tf",
                '"secretsmanager:GetSecretValue"',
                '["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"]',
                f"{MAY}.ReadClerkKey.Action",
            ),
            Fault(
                "every action",
                "roles.tf",
                '["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]',
                '["s3:*"]',
                f"{MAY}.ReadAndWriteSnapshots.Action",
            ),
            Fault(
                "the names in a bucket of anybody",
                "roles.tf",
                '        StringEquals       = { "aws:ResourceAccount" = local.bucket_owner }\n',
                "",
                f"{MAY}.ListSnapshots.Condition.StringEquals is missing",
            ),
            Fault(
                "any bucket",
                "roles.tf",
                'Resource = "arn:${local.partition}:s3:::${local.bucket}"',
                'Resource = "arn:${local.partition}:s3:::*"',
                f"{MAY}.ListSnapshots.Resource",
            ),
            Fault(
                "credentials for half a day",
                "roles.tf",
                '  name_prefix          = "${var.name}-schedule-"\n',
                '  name_prefix          = "${var.name}-schedule-"\n  max_session_duration = 43200\n',
                "aws_iam_role.schedule: the template has nothing like max_session_duration",
            ),
            Fault(
                "roles without a boundary",
                "roles.tf",
                'var.permissions_boundary_arn == "" ? null : var.permissions_boundary_arn',
                "null",
                f"{ROLE}.PermissionsBoundary is missing",
            ),
            Fault(
                "a role elsewhere",
                "roles.tf",
                '  description          = "Lets clerk-sync read one secret and write below one prefix"\n'
                "  path                 = var.role_path\n",
                '  description          = "Lets clerk-sync read one secret and write below one prefix"\n',
                f"{ROLE}.Path",
            ),
            Fault(
                "a role for another service",
                "roles.tf",
                '{ Service = "scheduler.amazonaws.com" }',
                '{ Service = "events.amazonaws.com" }',
                f"resources.ScheduleRole.Properties.{TRUST}.Principal",
            ),
            Fault(
                "a policy of the wrong role",
                "roles.tf",
                "  role = aws_iam_role.schedule.name\n",
                "  role = aws_iam_role.function.name\n",
                "aws_iam_role_policy.schedule: belongs to",
            ),
            Fault(
                "the topic of the account alone",
                "alarms.tf",
                "aws_sns_topic.alarms[*].arn)",
                "[])",
                "resources.ErrorsAlarm.Properties.AlarmActions",
            ),
            Fault(
                "another way to tell",
                "alarms.tf",
                '  protocol  = "email"\n',
                '  protocol  = "email-json"\n',
                "resources.AlarmTopic.Subscription.Properties.Protocol",
            ),
            Fault(
                "changes that are owed for ten hours",
                "alarms.tf",
                "threshold = 21600",
                "threshold = 36000",
                "resources.ChangesOwedAlarm.Properties.Threshold",
            ),
            Fault(
                "answers of other versions that nobody hears of",
                "notices.tf",
                '[aws_lambda_function.sync.arn, { prefix = "${aws_lambda_function.sync.arn}:" }]',
                "[aws_lambda_function.sync.arn]",
                "resources.PublishedRule.Properties.EventPattern.detail.requestContext.functionArn",
            ),
            Fault(
                "notices that are lost",
                "notices.tf",
                "  dead_letter_config {\n    arn = aws_sqs_queue.undelivered_notices[0].arn\n  }\n",
                "",
                "resources.PublishedRule.Properties.Targets[0].DeadLetterConfig is missing",
            ),
            Fault(
                "notices of the wrong rule",
                "notices.tf",
                "  rule      = aws_cloudwatch_event_rule.notices[each.key].name\n",
                '  rule      = aws_cloudwatch_event_rule.notices["published"].name\n',
                'aws_cloudwatch_event_target.notices["published-alone"]: belongs to',
            ),
            Fault(
                "a policy that lets in",
                "bucket.tf",
                'Effect    = "Deny"',
                'Effect    = "Allow"',
                f"{TLS}.Effect",
            ),
            Fault(
                "incomplete uploads that are kept",
                "bucket.tf",
                "days_after_initiation = 1\n",
                "days_after_initiation = 365\n",
                f"{RULES}[0].AbortIncompleteMultipartUpload",
            ),
            Fault(
                "delete markers that are kept",
                "bucket.tf",
                '    id     = "remove-markers-of-what-is-gone"\n    status = "Enabled"',
                '    id     = "remove-markers-of-what-is-gone"\n    status = "Disabled"',
                f"{RULES}[2].Status",
            ),
            Fault(
                "a lock for a day",
                "bucket.tf",
                "days = tonumber(var.object_lock_days)",
                "days = 1",
                f"{BUCKET}.ObjectLockConfiguration",
            ),
            Fault(
                "objects that nobody hears of",
                "bucket.tf",
                'var.bucket_events == "true" ? 1 : 0',
                "false ? 1 : 0",
                f"{BUCKET}.NotificationConfiguration is missing",
            ),
            Fault(
                "a log elsewhere",
                "function.tf",
                "    log_group  = aws_cloudwatch_log_group.function.name\n",
                "",
                f"{FUNCTION}.LoggingConfig.LogGroup is missing",
            ),
            Fault(
                "another prefix for versions",
                "bucket.tf",
                '    id     = "expire-replaced-versions"\n    status = "Enabled"\n\n    filter {}',
                '    id     = "expire-replaced-versions"\n    status = "Enabled"\n\n'
                '    filter {\n      prefix = "a/"\n    }',
                f"{RULES}[1].Prefix",
            ),
        ),
    ),
    # What is not asked for is not there.
    Copy(
        {},
        (
            Fault("traces that nobody asked for", "roles.tf", 'var.tracing == "Active"', "true", f"{MAY}.Trace is {{"),
            Fault(
                "answers to nobody", "roles.tf", "local.has_notices ? [{", "true ? [{", f"{MAY}.AnnounceAnswers is {{"
            ),
            Fault(
                "network interfaces without a network",
                "roles.tf",
                'in_vpc = var.vpc_subnet_ids == "" ? [] :',
                "in_vpc = false ? [] :",
                f"{MAY}.AttachToVpc is {{",
            ),
            Fault(
                "an alarm that cannot be right",
                "alarms.tf",
                "watches_changes = local.has_metrics && !contains",
                "watches_changes = local.has_metrics || !contains",
                "resources.ChangesOwedAlarm is {",
            ),
            Fault(
                "an expiry that nobody asked for",
                "bucket.tf",
                'var.expire_snapshots_days == "" ? [] : [tonumber(var.expire_snapshots_days)]',
                "[400]",
                f"{RULES} is [",
            ),
            Fault(
                "a lock that nobody asked for",
                "bucket.tf",
                'object_lock_enabled = var.object_lock_mode != ""\n',
                "object_lock_enabled = true\n",
                f"{BUCKET}.ObjectLockEnabled is true",
            ),
            Fault(
                "a name that nobody chose",
                "bucket.tf",
                '  bucket              = var.snapshot_bucket_name == "" ? null : var.snapshot_bucket_name\n'
                '  bucket_prefix       = var.snapshot_bucket_name == "" ? "${var.name}-" : null\n',
                '  bucket              = "clerk-snapshots"\n',
                f"{BUCKET}.BucketName is clerk-snapshots",
            ),
        ),
    ),
    Copy(
        NOTICES_ABROAD,
        (
            Fault(
                "a bucket of the wrong account",
                "locals.tf",
                'var.bucket_owner == "" ? local.account : var.bucket_owner',
                "local.account",
                f"{MAY}.ListSnapshots.Condition.StringEquals.aws:ResourceAccount",
            ),
            Fault(
                "a second topic",
                "notices.tf",
                'local.has_notices && var.notice_topic_arn == ""',
                "local.has_notices",
                "resources.NoticeTopic is {",
            ),
            Fault(
                "notices of everything",
                "notices.tf",
                'var.notices == "all"',
                "local.has_notices",
                "resources.PublishedRule is {",
            ),
        ),
    ),
    Copy(
        QUIET,
        (
            Fault(
                "a second bucket",
                "locals.tf",
                'creates_bucket = var.existing_bucket_name == ""',
                "creates_bucket = true",
                "resources.SnapshotBucket is {",
            ),
            Fault(
                "alarms that nobody wants",
                "alarms.tf",
                "if local.has_alarms && alarm.wanted }",
                "if alarm.wanted }",
                "resources.ErrorsAlarm is {",
            ),
            Fault(
                "a topic that nobody wants",
                "alarms.tf",
                'local.has_alarms && var.alarm_email != "" ? 1 : 0',
                'var.alarm_email != "" ? 1 : 0',
                "resources.AlarmTopic is {",
            ),
        ),
    ),
]

# In rules.tf: each rule, switched off. Then the module takes what the template refuses.
RULES_OFF = tuple(
    Fault(condition, "rules.tf", condition, 'var.name != ""', "")
    for condition in (
        'var.snapshot_bucket_name == "" || var.existing_bucket_name == ""',
        '(var.object_lock_mode == "") == (var.object_lock_days == "")',
        'var.existing_bucket_name == "" || var.object_lock_mode == ""',
        'var.existing_bucket_name == "" || (var.expire_snapshots_days == "" && var.expire_replaced_days == 30)',
        'var.bucket_owner == "" || var.existing_bucket_name != ""',
        'var.bucket_events == "false" || var.existing_bucket_name == ""',
        'var.encryption_header != "AES256" || var.snapshot_kms_key_arn == ""',
        '(var.vpc_subnet_ids == "") == (var.vpc_security_group_ids == "")',
        'var.notices == "" || contains(["access", "all"], var.changes)',
        'var.include_raw != "true" || var.redact == ""',
    )
)

# In variables.tf.
VARIABLES = (
    Fault("another default", "variables.tf", '"1430"', '"60"', "snapshot_interval_minutes is 60 by default"),
    Fault("another default number", "variables.tf", "= 256\n", "= 128\n", "memory_size is 128 by default"),
    Fault("any path", "variables.tf", '"^/([A-Za-z0-9+=,.@_-]+/)*$"', '"^/"', "role_path takes '//'"),
    Fault(
        "a key in place of its field",
        "variables.tf",
        '"sk_(live|test)_"',
        '"sk_live_"',
        "clerk_secret_field takes 'sk_test_abc'",
    ),
    Fault(
        "too many days", "variables.tf", "var.expire_replaced_days <= 36500", "true", "expire_replaced_days takes 36501"
    ),
    Fault("too little memory", "variables.tf", "var.memory_size >= 128", "true", "memory_size takes 127"),
    Fault("a level that is refused", "variables.tf", '"DEBUG", ', "", "log_level refuses 'DEBUG'"),
    Fault(
        "days that CloudWatch does not know",
        "variables.tf",
        "1, 3, 5, 7, 14,",
        "1, 2, 3, 5, 7, 14,",
        "log_retention_days takes 2",
    ),
    Fault(
        "a pattern without its end",
        "variables.tf",
        '"^$|^[0-9]{12}$"',
        '"^$|^[0-9]{12}"',
        "bucket_owner takes '1234567890123'",
    ),
    Fault(
        "plain HTTP", "variables.tf", '"^$|^https://', '"^$|^https?://', "clerk_api_url takes 'http://clerk.example'"
    ),
    Fault(
        "a variable that is no parameter",
        "variables.tf",
        "# How fast to read\n",
        'variable "more" {\n  type    = string\n  default = ""\n}\n\n# How fast to read\n',
        "variables: ",
    ),
)
