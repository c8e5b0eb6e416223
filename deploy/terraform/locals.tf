# What several files use.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account    = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.region
  url_suffix = data.aws_partition.current.dns_suffix

  creates_bucket = var.existing_bucket_name == ""
  bucket         = local.creates_bucket ? aws_s3_bucket.snapshots[0].bucket : var.existing_bucket_name
  bucket_owner   = var.bucket_owner == "" ? local.account : var.bucket_owner

  # What every key in the bucket begins with.
  key_prefix   = var.snapshot_prefix == "" ? "" : "${var.snapshot_prefix}/"
  snapshot_url = var.snapshot_prefix == "" ? "s3://${local.bucket}" : "s3://${local.bucket}/${var.snapshot_prefix}"

  default_event_bus = "arn:${local.partition}:events:${local.region}:${local.account}:event-bus/default"
  has_notices       = var.notices != ""
  has_alarms        = var.alarms == "true"
}
