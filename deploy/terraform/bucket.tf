# The bucket is kept when everything else is destroyed, because snapshots serve as evidence. So is all that makes it
# safe: `terraform destroy` refuses, and README.md says what to do then.

resource "aws_s3_bucket" "snapshots" {
  #checkov:skip=CKV_AWS_18:Access logs need a second bucket; CloudTrail data events record who read what (docs/deploy.md)
  #checkov:skip=CKV_AWS_19:It encrypts with AES256 or aws:kms; checkov cannot follow the condition below
  #checkov:skip=CKV_AWS_144:Replicating snapshots is for whoever needs a second copy
  #checkov:skip=CKV_AWS_145:snapshot_kms_key_arn is a variable; without it, S3 encrypts with its own keys
  #checkov:skip=CKV2_AWS_62:bucket_events is a variable
  count = local.creates_bucket ? 1 : 0

  bucket              = var.snapshot_bucket_name == "" ? null : var.snapshot_bucket_name
  bucket_prefix       = var.snapshot_bucket_name == "" ? "${var.name}-" : null
  object_lock_enabled = var.object_lock_mode != ""
  tags                = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "snapshots" {
  count = local.creates_bucket ? 1 : 0

  bucket                  = aws_s3_bucket.snapshots[0].bucket
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_ownership_controls" "snapshots" {
  count = local.creates_bucket ? 1 : 0

  bucket = aws_s3_bucket.snapshots[0].bucket

  rule {
    object_ownership = "BucketOwnerEnforced"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "snapshots" {
  count = local.creates_bucket ? 1 : 0

  bucket = aws_s3_bucket.snapshots[0].bucket

  rule {
    # With a key of KMS: one request for many objects, not one for each.
    bucket_key_enabled = var.snapshot_kms_key_arn == "" ? null : true

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.snapshot_kms_key_arn == "" ? "AES256" : "aws:kms"
      kms_master_key_id = var.snapshot_kms_key_arn == "" ? null : var.snapshot_kms_key_arn
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "snapshots" {
  count = local.creates_bucket ? 1 : 0

  bucket = aws_s3_bucket.snapshots[0].bucket

  versioning_configuration {
    status = "Enabled"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "snapshots" {
  count = local.creates_bucket ? 1 : 0

  bucket = aws_s3_bucket.snapshots[0].bucket

  rule {
    id     = "abort-incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  rule {
    id     = "expire-replaced-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.expire_replaced_days
    }
  }

  rule {
    id     = "remove-markers-of-what-is-gone"
    status = "Enabled"

    filter {}

    expiration {
      expired_object_delete_marker = true
    }
  }

  dynamic "rule" {
    for_each = var.expire_snapshots_days == "" ? [] : [tonumber(var.expire_snapshots_days)]

    content {
      id     = "expire-snapshots"
      status = "Enabled"

      filter {
        prefix = "${local.key_prefix}snapshots/"
      }

      expiration {
        days = rule.value
      }
    }
  }

  # Rules about replaced versions need versions.
  depends_on = [aws_s3_bucket_versioning.snapshots]

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_object_lock_configuration" "snapshots" {
  count = local.creates_bucket && var.object_lock_mode != "" ? 1 : 0

  bucket              = aws_s3_bucket.snapshots[0].bucket
  object_lock_enabled = "Enabled"

  rule {
    default_retention {
      mode = var.object_lock_mode
      days = tonumber(var.object_lock_days)
    }
  }

  depends_on = [aws_s3_bucket_versioning.snapshots]

  lifecycle {
    prevent_destroy = true
  }
}

# It holds nothing, so it may be turned off again.
resource "aws_s3_bucket_notification" "snapshots" {
  count = local.creates_bucket && var.bucket_events == "true" ? 1 : 0

  bucket      = aws_s3_bucket.snapshots[0].bucket
  eventbridge = true
}

resource "aws_s3_bucket_policy" "snapshots" {
  count = local.creates_bucket ? 1 : 0

  bucket = aws_s3_bucket.snapshots[0].bucket

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyOverTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.snapshots[0].arn, "${aws_s3_bucket.snapshots[0].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 takes one change of a bucket's access at a time.
  depends_on = [aws_s3_bucket_public_access_block.snapshots]

  lifecycle {
    prevent_destroy = true
  }
}
