resource "aws_lambda_function" "sync" {
  #checkov:skip=CKV_AWS_115:reserved_concurrency is a variable; accounts with a limit of 10 cannot reserve any
  #checkov:skip=CKV_AWS_116:Failed invocations go to the on-failure destination below, which has more details
  #checkov:skip=CKV_AWS_117:vpc_subnet_ids is a variable; it reads a public API, which needs a NAT gateway in a VPC
  #checkov:skip=CKV_AWS_173:No variable contains a secret; the key is read from Secrets Manager
  #checkov:skip=CKV_AWS_272:Releases are not signed for AWS Signer; SHA256SUMS tells whether the zip is the right one
  function_name                  = var.name
  description                    = "Copies who has access to what in a Clerk instance to S3"
  filename                       = var.package_file
  source_code_hash               = filebase64sha256(var.package_file)
  handler                        = "bootstrap"
  runtime                        = "provided.al2023"
  architectures                  = [var.architecture]
  timeout                        = 900
  memory_size                    = var.memory_size
  reserved_concurrent_executions = var.reserved_concurrency == "" ? null : tonumber(var.reserved_concurrency)
  role                           = aws_iam_role.function.arn
  tags                           = var.tags

  environment {
    # The program treats an empty variable as not set.
    variables = { for name, value in local.settings : name => value if value != "" }
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.function.name
    # LOG_LEVEL decides what the program logs. At a higher level here, Lambda would drop the metrics, which it treats
    # as lines of level INFO.
    application_log_level = "TRACE"
    system_log_level      = "INFO"
  }

  tracing_config {
    mode = var.tracing
  }

  dynamic "vpc_config" {
    for_each = var.vpc_subnet_ids == "" ? [] : [true]

    content {
      subnet_ids         = split(",", var.vpc_subnet_ids)
      security_group_ids = split(",", var.vpc_security_group_ids)
    }
  }

  # In a VPC, Lambda attaches the function with the role's permissions while it creates it.
  depends_on = [aws_iam_role_policy.function, terraform_data.rules]
}

locals {
  settings = {
    SNAPSHOT_URL                  = local.snapshot_url
    EXPECTED_BUCKET_OWNER         = local.bucket_owner
    SERVER_SIDE_ENCRYPTION        = var.encryption_header
    SERVER_SIDE_ENCRYPTION_KEY_ID = var.encryption_header == "aws:kms" ? var.snapshot_kms_key_arn : ""
    SIGNING_KEY_ID                = var.signing_key_arn
    RESOURCES                     = var.resources
    CLERK_SECRET_ID               = var.clerk_secret_arn
    CLERK_SECRET_FIELD            = var.clerk_secret_field
    CLERK_API_URL                 = var.clerk_api_url
    CLERK_API_VERSION             = var.clerk_api_version
    CLERK_REQUESTS_PER_10S        = var.clerk_requests_per_10_seconds
    CLERK_RATE_SHARE              = var.clerk_rate_share
    MAX_CONCURRENCY               = var.max_concurrency
    TIME_BUDGET_SECONDS           = var.time_budget_seconds
    DEADLINE_RESERVE_SECONDS      = var.deadline_reserve_seconds
    LEASE_SECONDS                 = var.lease_seconds
    SNAPSHOT_INTERVAL_MINUTES     = var.snapshot_interval_minutes
    SNAPSHOT_MAX_AGE_HOURS        = var.snapshot_max_age_hours
    COMPRESSION                   = var.compression
    METADATA                      = var.metadata
    INCLUDE_RAW                   = var.include_raw
    SESSIONS_LOOKBACK_DAYS        = var.sessions_lookback_days
    REDACT                        = var.redact
    DAU_LOOKBACK_DAYS             = var.dau_lookback_days
    SHRINK_GUARD_PERCENT          = var.shrink_guard_percent
    KEEP_SNAPSHOTS                = var.keep_snapshots
    CHANGES                       = var.changes
    METRICS_NAMESPACE             = var.metrics_namespace
    LOG_LEVEL                     = var.log_level
    # Settings of glibc: one memory pool for all threads takes a quarter less memory, and a pool that does not shrink
    # all the time takes less processor time (docs/decisions/0016-allocator.md).
    MALLOC_ARENA_MAX       = "1"
    MALLOC_MMAP_THRESHOLD_ = "131072"
    MALLOC_TRIM_THRESHOLD_ = "8388608"
  }
}

# For asynchronous invocations, including scheduled ones. The next scheduled invocation does the same work, so there are
# few retries, and none that would still wait when it comes.
resource "aws_lambda_function_event_invoke_config" "sync" {
  function_name                = aws_lambda_function.sync.function_name
  qualifier                    = "$LATEST"
  maximum_retry_attempts       = 1
  maximum_event_age_in_seconds = 900

  destination_config {
    on_failure {
      destination = aws_sqs_queue.failed_invocations.arn
    }

    dynamic "on_success" {
      for_each = local.has_notices ? [true] : []

      content {
        destination = local.default_event_bus
      }
    }
  }

  # Lambda refuses a destination that the role may not use.
  depends_on = [aws_iam_role_policy.function]
}

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158:log_kms_key_arn is a variable; lines contain no key and no personal data
  #checkov:skip=CKV_AWS_338:log_retention_days is a variable; what must be kept for years is in the bucket
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn == "" ? null : var.log_kms_key_arn
  tags              = var.tags
}

# Events that failed in every attempt; each message contains the event and the error.
resource "aws_sqs_queue" "failed_invocations" {
  #checkov:skip=CKV_AWS_27:SQS encrypts it with its own keys; checkov accepts only a KMS key
  name                      = "${var.name}-failed-invocations"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}
