# Which variables may be set together. These are conditions of a resource because the validation of a variable can
# look at other variables only in newer versions than versions.tf asks for.
resource "terraform_data" "rules" {
  lifecycle {
    precondition {
      condition     = var.snapshot_bucket_name == "" || var.existing_bucket_name == ""
      error_message = "Name either a bucket to create or an existing one, not both."
    }

    precondition {
      condition     = (var.object_lock_mode == "") == (var.object_lock_days == "")
      error_message = "object_lock_mode and object_lock_days go together."
    }

    precondition {
      condition     = var.existing_bucket_name == "" || var.object_lock_mode == ""
      error_message = "object_lock_mode is for a created bucket. Turn Object Lock on in the existing bucket yourself."
    }

    precondition {
      condition     = var.existing_bucket_name == "" || (var.expire_snapshots_days == "" && var.expire_replaced_days == 30)
      error_message = <<-EOT
        expire_snapshots_days and expire_replaced_days are for a created bucket. Give the existing one its own lifecycle
        rules, and leave these at their defaults (empty and 30).
      EOT
    }

    precondition {
      condition     = var.bucket_owner == "" || var.existing_bucket_name != ""
      error_message = "bucket_owner is for an existing bucket. A created one belongs to this account."
    }

    precondition {
      condition     = var.bucket_events == "false" || var.existing_bucket_name == ""
      error_message = "bucket_events is for a created bucket. Turn EventBridge on in the existing bucket yourself."
    }

    precondition {
      condition     = var.encryption_header != "AES256" || var.snapshot_kms_key_arn == ""
      error_message = "encryption_header AES256 asks for S3's own keys. Choose aws:kms, or leave snapshot_kms_key_arn empty."
    }

    precondition {
      condition     = (var.vpc_subnet_ids == "") == (var.vpc_security_group_ids == "")
      error_message = "vpc_subnet_ids and vpc_security_group_ids go together."
    }

    precondition {
      condition     = var.notices == "" || contains(["access", "all"], var.changes)
      error_message = "Notices say what changed. Set changes to access or all, or leave notices empty."
    }

    precondition {
      condition     = var.include_raw != "true" || var.redact == ""
      error_message = <<-EOT
        redact and include_raw true exclude each other, because Clerk's own object contains what redact replaces.
      EOT
    }
  }
}
