# docs/operations.md says of each alarm what to do.
resource "aws_cloudwatch_metric_alarm" "sync" {
  for_each = { for name, alarm in local.alarms : name => alarm if local.has_alarms && alarm.wanted }

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  alarm_actions       = local.alarm_topics
  ok_actions          = local.alarm_topics
  tags                = var.tags
}

locals {
  alarm_topics = concat(var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn], aws_sns_topic.alarms[*].arn)

  has_metrics     = var.metrics_namespace != ""
  watches_changes = local.has_metrics && !contains(["", "off"], var.changes)

  # What most alarms have in common.
  usual = {
    wanted    = true
    statistic = "Maximum"
    period    = 3600
    periods   = 1
    operator  = "GreaterThanOrEqualToThreshold"
    threshold = 1
    missing   = "notBreaching"
  }
  of_the_program = merge(local.usual, {
    namespace  = var.metrics_namespace
    dimensions = { Function = aws_lambda_function.sync.function_name }
  })
  of_lambda = merge(local.usual, {
    namespace  = "AWS/Lambda"
    dimensions = { FunctionName = aws_lambda_function.sync.function_name }
  })
  of_a_queue = merge(local.usual, {
    namespace = "AWS/SQS"
    metric    = "ApproximateNumberOfMessagesVisible"
    period    = 300
  })

  alarms = {
    # The most important alarm. An hour is the shortest period with which an alarm may cover more than a day.
    NoSnapshotAlarm = merge(local.of_the_program, {
      wanted      = local.has_metrics
      description = "clerk-sync published no snapshot for NoSnapshotHours. See NoSnapshotAlarm in docs/operations.md."
      metric      = "SnapshotPublished"
      statistic   = "Sum"
      periods     = var.no_snapshot_hours
      operator    = "LessThanThreshold"
      missing     = "breaching"
    })
    HeldAlarm = merge(local.of_the_program, {
      wanted      = local.has_metrics
      description = "clerk-sync holds a snapshot back because a dataset shrank. See HeldAlarm in docs/operations.md."
      metric      = "SnapshotHeld"
    })
    PrivilegedGrantAlarm = merge(local.of_the_program, {
      wanted = local.watches_changes && var.privileged_alarm == "true"
      description = join(" ", [
        "clerk-sync found a new grant of a privileged permission.",
        "See PrivilegedGrantAlarm in docs/operations.md.",
      ])
      metric = "PrivilegedGranted"
    })
    DatasetsLostAlarm = merge(local.of_the_program, {
      wanted = local.watches_changes
      description = join(" ", [
        "clerk-sync published a snapshot without a dataset that the one before had.",
        "See DatasetsLostAlarm in docs/operations.md.",
      ])
      metric = "DatasetsLost"
    })
    ChangesOwedAlarm = merge(local.of_the_program, {
      wanted = local.watches_changes
      description = join(" ", [
        "clerk-sync has not written the changes of the newest snapshot for six hours.",
        "See ChangesOwedAlarm in docs/operations.md.",
      ])
      metric    = "ChangesOwedSeconds"
      threshold = 21600
    })
    # A single failure is no reason for an alarm if the retry succeeds.
    ErrorsAlarm = merge(local.of_lambda, {
      description = "Invocations of clerk-sync and their retries fail. See ErrorsAlarm in docs/operations.md."
      metric      = "Errors"
      statistic   = "Sum"
      threshold   = 2
    })
    ThrottlesAlarm = merge(local.of_lambda, {
      description = "Lambda refused to start clerk-sync. See ThrottlesAlarm in docs/operations.md."
      metric      = "Throttles"
      statistic   = "Sum"
      period      = 900
    })
    # A run that does not fit into one invocation pauses DEADLINE_RESERVE_SECONDS before the time-out.
    DurationAlarm = merge(local.of_lambda, {
      description = join(" ", [
        "An invocation of clerk-sync came within five seconds of its time-out, though it should have paused earlier.",
        "See DurationAlarm in docs/operations.md.",
      ])
      metric    = "Duration"
      period    = 900
      threshold = 895000
    })
    UndeliveredTicksAlarm = merge(local.of_a_queue, {
      description = "The scheduler could not start clerk-sync. See UndeliveredTicksAlarm in docs/operations.md."
      dimensions  = { QueueName = aws_sqs_queue.undelivered_ticks.name }
    })
    FailedInvocationsAlarm = merge(local.of_a_queue, {
      description = join(" ", [
        "An invocation of clerk-sync failed in every attempt.",
        "See FailedInvocationsAlarm in docs/operations.md.",
      ])
      dimensions = { QueueName = aws_sqs_queue.failed_invocations.name }
    })
    UndeliveredNoticesAlarm = merge(local.of_a_queue, {
      wanted = local.has_notices
      description = join(" ", [
        "A notice of clerk-sync could not be delivered.",
        "See UndeliveredNoticesAlarm in docs/operations.md.",
      ])
      dimensions = { QueueName = one(aws_sqs_queue.undelivered_notices[*].name) }
    })
  }
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:CloudWatch could not publish with the key alias/aws/sns, and e-mail is not encrypted anyway
  count = local.has_alarms && var.alarm_email != "" ? 1 : 0

  name         = "${var.name}-alarms"
  display_name = "clerk-sync"
  tags         = var.tags
}

resource "aws_sns_topic_subscription" "alarms" {
  count = length(aws_sns_topic.alarms)

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = var.alarm_email
}
