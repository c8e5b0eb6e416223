resource "aws_scheduler_schedule" "sync" {
  #checkov:skip=CKV_AWS_297:A schedule contains nothing secret; checkov accepts only a KMS key
  name                         = var.name
  description                  = "Starts clerk-sync, and continues a run that was paused"
  schedule_expression          = var.schedule_expression
  schedule_expression_timezone = var.schedule_timezone
  state                        = var.schedule_state

  flexible_time_window {
    mode = var.schedule_flexible_minutes == "" ? "OFF" : "FLEXIBLE"
    maximum_window_in_minutes = (
      var.schedule_flexible_minutes == "" ? null : tonumber(var.schedule_flexible_minutes)
    )
  }

  target {
    arn      = aws_lambda_function.sync.arn
    role_arn = aws_iam_role.schedule.arn

    retry_policy {
      maximum_retry_attempts       = 2
      maximum_event_age_in_seconds = 300
    }

    dead_letter_config {
      arn = aws_sqs_queue.undelivered_ticks.arn
    }
  }
}

# Events that the scheduler could not deliver to its target.
resource "aws_sqs_queue" "undelivered_ticks" {
  #checkov:skip=CKV_AWS_27:SQS encrypts it with its own keys; checkov accepts only a KMS key
  name                      = "${var.name}-undelivered-ticks"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}
