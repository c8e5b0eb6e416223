# Notices of published snapshots and of privileged grants, for people. Lambda sends the answers of scheduled invocations
# to the account's default event bus. Notices contain ids and numbers, no names and no addresses.

resource "aws_cloudwatch_event_rule" "notices" {
  for_each = local.rules

  name          = "${var.name}-${each.key}"
  description   = each.value.description
  event_pattern = jsonencode(each.value.pattern)
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "notices" {
  for_each = local.rules

  rule      = aws_cloudwatch_event_rule.notices[each.key].name
  target_id = "topic"
  arn       = local.notice_topic

  retry_policy {
    maximum_retry_attempts       = 10
    maximum_event_age_in_seconds = 3600
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered_notices[0].arn
  }

  # EventBridge leaves a place empty if the answer has no such number: the text must make sense without it. It does not
  # escape what it puts in, so only ids, numbers and addresses of files may be put in.
  input_transformer {
    input_paths    = { for name, path in each.value.values : name => "$.detail.responsePayload.${path}" }
    input_template = join("\n", [for line in each.value.lines : "\"${line}\""])
  }
}

locals {
  creates_notice_topic = local.has_notices && var.notice_topic_arn == ""
  notice_topic         = local.creates_notice_topic ? aws_sns_topic.notices[0].arn : var.notice_topic_arn

  rules = {
    for name, rule in {
      published        = local.published
      published-alone  = local.published_alone
      privileged-grant = local.privileged_grant
    } : name => rule if local.has_notices && (var.notices == "all" || name == "privileged-grant")
  }

  # The state machine of template.yaml, which this module does not have, sends answers as clerk-sync.
  published = {
    description = "clerk-sync published a snapshot, and knows what changed"
    pattern = {
      source = ["lambda", "clerk-sync"]
      detail-type = [
        "Lambda Function Invocation Result - Success",
        "Lambda Function Invocation Result – Success",
        "clerk-sync answer",
      ]
      detail = {
        requestContext = local.of_this_function
        responsePayload = {
          status = ["complete"]
          # Other actions answer complete, too, but name no snapshot.
          snapshot_id = [{ exists = true }]
          changes     = { from = [{ exists = true }] }
        }
      }
    }
    values = {
      snapshot   = "snapshot_id"
      verified   = "verified"
      from       = "changes.from"
      joined     = "changes.events.member_added"
      left       = "changes.events.member_removed"
      gained     = "changes.events.role_granted"
      lost       = "changes.events.role_revoked"
      privileged = "changes.privileged_granted"
      summary    = "changes.summary"
    }
    lines = [
      "clerk-sync published the snapshot <snapshot>. Verified: <verified>.",
      join(" ", [
        "Since <from> (no number means none): joined <joined>, left <left>,",
        "roles gained <gained>, roles lost <lost>.",
      ]),
      "Privileged grants: <privileged>.",
      "Who and what: clerk-access --url ${local.snapshot_url} diff <from> <snapshot>",
      "In numbers: <summary>",
    ]
  }

  published_alone = {
    description = "clerk-sync published a snapshot, and does not know yet what changed"
    pattern = {
      source = ["lambda", "clerk-sync"]
      detail-type = [
        "Lambda Function Invocation Result - Success",
        "Lambda Function Invocation Result – Success",
        "clerk-sync answer",
      ]
      detail = {
        requestContext = local.of_this_function
        responsePayload = {
          status      = ["complete"]
          snapshot_id = [{ exists = true }]
          changes     = { from = [{ exists = false }] }
        }
      }
    }
    values = {
      snapshot = "snapshot_id"
      verified = "verified"
      manifest = "manifest"
    }
    lines = [
      "clerk-sync published the snapshot <snapshot>. Verified: <verified>.",
      "It is the first, or what changed is not written yet: the next scheduled invocation does that.",
      "What it holds: <manifest>",
      "Later, who and what: clerk-access --url ${local.snapshot_url} diff",
    ]
  }

  privileged_grant = {
    description = "somebody gained a permission to manage members or domains or to delete an organization"
    pattern = {
      source = ["lambda", "clerk-sync"]
      detail-type = [
        "Lambda Function Invocation Result - Success",
        "Lambda Function Invocation Result – Success",
        "clerk-sync answer",
      ]
      detail = {
        requestContext = local.of_this_function
        responsePayload = {
          status      = ["complete"]
          snapshot_id = [{ exists = true }]
          changes     = { privileged_granted = [{ numeric = [">", 0] }] }
        }
      }
    }
    values = {
      snapshot   = "snapshot_id"
      from       = "changes.from"
      privileged = "changes.privileged_granted"
      summary    = "changes.summary"
    }
    lines = [
      "Privileged access was granted in Clerk: <privileged> grants between the snapshots <from> and <snapshot>.",
      "They allow managing members or domains, or deleting an organization.",
      "To whom: clerk-access --url ${local.snapshot_url} diff <from> <snapshot>",
      "By id, in highlights: <summary>",
    ]
  }

  # With or without a version.
  of_this_function = {
    functionArn = [aws_lambda_function.sync.arn, { prefix = "${aws_lambda_function.sync.arn}:" }]
  }
}

resource "aws_sns_topic" "notices" {
  #checkov:skip=CKV_AWS_26:EventBridge could not publish with the key alias/aws/sns, and e-mail is not encrypted anyway
  count = local.creates_notice_topic ? 1 : 0

  name         = "${var.name}-notices"
  display_name = "clerk-sync"
  tags         = var.tags
}

resource "aws_sns_topic_policy" "notices" {
  count = local.creates_notice_topic ? 1 : 0

  arn = aws_sns_topic.notices[0].arn

  policy = jsonencode({
    Version = "2012-10-17"
    # Without a condition, because EventBridge supports none in the policy of a topic (AWS documentation, "Using
    # resource-based policies for Amazon EventBridge").
    Statement = [{
      Sid       = "PublishNotices"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.notices[0].arn
    }]
  })
}

resource "aws_sns_topic_subscription" "notices" {
  count = local.has_notices && var.notice_email != "" ? 1 : 0

  topic_arn = local.notice_topic
  protocol  = "email"
  endpoint  = var.notice_email
}

# Notices that the topic did not take.
resource "aws_sqs_queue" "undelivered_notices" {
  #checkov:skip=CKV_AWS_27:SQS encrypts it with its own keys; checkov accepts only a KMS key
  count = local.has_notices ? 1 : 0

  name                      = "${var.name}-undelivered-notices"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "undelivered_notices" {
  count = local.has_notices ? 1 : 0

  queue_url = aws_sqs_queue.undelivered_notices[0].url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "KeepUndelivered"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.undelivered_notices[0].arn
      Condition = {
        ArnEquals = { "aws:SourceArn" = [for name in keys(local.rules) : aws_cloudwatch_event_rule.notices[name].arn] }
      }
    }]
  })
}
