output "function_name" {
  description = "Name of the function, for `aws lambda invoke` with an event from events/"
  value       = aws_lambda_function.sync.function_name
}

output "function_arn" {
  description = "ARN of the function"
  value       = aws_lambda_function.sync.arn
}

output "function_role_arn" {
  description = "ARN of the function's role, for the policy of a KMS key or of a secret in another account"
  value       = aws_iam_role.function.arn
}

output "snapshot_bucket_name" {
  description = "Name of the bucket with the snapshots"
  value       = local.bucket
}

output "snapshot_url" {
  description = "Where clerk-sync writes"
  value       = local.snapshot_url
}

output "latest_snapshot_url" {
  description = "The file that names the newest published snapshot"
  value       = "s3://${local.bucket}/${local.key_prefix}latest.json"
}

output "log_group_name" {
  description = "The function's log group"
  value       = aws_cloudwatch_log_group.function.name
}

output "undelivered_ticks_url" {
  description = "Queue of what the scheduler could not deliver"
  value       = aws_sqs_queue.undelivered_ticks.url
}

output "failed_invocations_url" {
  description = "Queue of the invocations that failed for good"
  value       = aws_sqs_queue.failed_invocations.url
}

output "alarm_topic_arn" {
  description = "The topic that was created for alarms; null if there is none"
  value       = one(aws_sns_topic.alarms[*].arn)
}

output "notice_topic_arn" {
  description = "The topic that notices are sent to; null if there are none"
  value       = local.has_notices ? local.notice_topic : null
}
