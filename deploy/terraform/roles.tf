# The roles and their statements are those of template.yaml, word for word: tests/aws/terraform compares them. Their
# names end with digits that Terraform chooses, because the names of an account's roles know no regions.

resource "aws_iam_role" "function" {
  name_prefix          = "${var.name}-function-"
  description          = "Lets clerk-sync read one secret and write below one prefix"
  path                 = var.role_path
  permissions_boundary = local.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  name = "clerk-sync"
  role = aws_iam_role.function.name

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.always, local.with_keys, local.with_notices, local.with_traces, local.in_vpc)
  })
}

locals {
  permissions_boundary = var.permissions_boundary_arn == "" ? null : var.permissions_boundary_arn

  always = [
    {
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.function.arn}:*"
    },
    {
      Sid      = "ReadClerkKey"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = var.clerk_secret_arn
    },
    {
      Sid      = "ReadAndWriteSnapshots"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      Resource = "arn:${local.partition}:s3:::${local.bucket}/${local.key_prefix}*"
      # A bucket that was deleted can be created again under the same name, by anyone.
      Condition = { StringEquals = { "aws:ResourceAccount" = local.bucket_owner } }
    },
    {
      Sid      = "ListSnapshots"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = "arn:${local.partition}:s3:::${local.bucket}"
      Condition = {
        # IfExists, because reading an object needs this permission too: without it, a missing object is answered 403
        # instead of 404. Such a request has no prefix.
        StringLikeIfExists = { "s3:prefix" = "${local.key_prefix}*" }
        StringEquals       = { "aws:ResourceAccount" = local.bucket_owner }
      }
    },
    # Lambda sends these messages, using the function's role.
    {
      Sid      = "ReportFailedInvocations"
      Effect   = "Allow"
      Action   = "sqs:SendMessage"
      Resource = aws_sqs_queue.failed_invocations.arn
    },
  ]

  with_keys = concat(
    var.clerk_secret_kms_key_arn == "" ? [] : [{
      Sid       = "DecryptClerkKey"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = var.clerk_secret_kms_key_arn
      Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.${local.url_suffix}" } }
    }],
    var.snapshot_kms_key_arn == "" ? [] : [{
      Sid       = "EncryptSnapshots"
      Effect    = "Allow"
      Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource  = var.snapshot_kms_key_arn
      Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.${local.url_suffix}" } }
    }],
    var.signing_key_arn == "" ? [] : [{
      Sid      = "SignManifests"
      Effect   = "Allow"
      Action   = "kms:Sign"
      Resource = var.signing_key_arn
      Condition = {
        StringEquals = { "kms:SigningAlgorithm" = "ECDSA_SHA_256", "kms:MessageType" = "DIGEST" }
      }
    }],
  )

  # Lambda sends the answers, using the function's role.
  with_notices = local.has_notices ? [{
    Sid      = "AnnounceAnswers"
    Effect   = "Allow"
    Action   = "events:PutEvents"
    Resource = local.default_event_bus
  }] : []

  with_traces = var.tracing == "Active" ? [{
    Sid      = "Trace"
    Effect   = "Allow"
    Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    Resource = "*"
  }] : []

  in_vpc = var.vpc_subnet_ids == "" ? [] : [{
    Sid    = "AttachToVpc"
    Effect = "Allow"
    Action = [
      "ec2:CreateNetworkInterface",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSubnets",
      "ec2:DeleteNetworkInterface",
      "ec2:AssignPrivateIpAddresses",
      "ec2:UnassignPrivateIpAddresses",
    ]
    Resource = "*"
    # Only for Lambda itself. Requests of the program have this key.
    Condition = { Null = { "lambda:SourceFunctionArn" = "true" } }
  }]
}

resource "aws_iam_role" "schedule" {
  name_prefix          = "${var.name}-schedule-"
  description          = "Lets EventBridge Scheduler invoke clerk-sync"
  path                 = var.role_path
  permissions_boundary = local.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # Without this condition, a schedule of any account could use this role. The scheduler gives the group of a
      # schedule, not its name.
      Condition = {
        StringEquals = {
          "aws:SourceAccount" = local.account
          "aws:SourceArn"     = "arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule-group/default"
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "schedule" {
  name = "invoke-clerk-sync"
  role = aws_iam_role.schedule.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = aws_lambda_function.sync.arn
      },
      {
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = aws_sqs_queue.undelivered_ticks.arn
      },
    ]
  })
}
