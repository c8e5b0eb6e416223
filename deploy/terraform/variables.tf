# Except for the first three, each variable is a parameter of template.yaml, with its default, and accepts what that
# accepts. An empty text means that it is not set.

# What to deploy

variable "package_file" {
  type        = string
  nullable    = false
  description = <<-EOT
    The zip of a release for this architecture, on this machine: clerk-sync-<version>-<architecture>.zip. Check
    it against SHA256SUMS first.
  EOT

  validation {
    condition     = endswith(var.package_file, ".zip")
    error_message = "package_file must be the path of a zip: clerk-sync-<version>-<architecture>.zip."
  }
}

variable "name" {
  type        = string
  default     = "clerk-sync"
  nullable    = false
  description = <<-EOT
    Name of the function, and what the names of everything else begin with. Give each further instance of this
    module in an account and region another.
  EOT

  # Names of buckets and roles, which Terraform makes longer, leave no more room.
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "name must be 1 to 24 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "tags" {
  type        = map(string)
  default     = {}
  nullable    = false
  description = "Tags of everything that can have some."
}

# What to read

variable "clerk_secret_arn" {
  type        = string
  nullable    = false
  description = <<-EOT
    ARN of the Secrets Manager secret that contains Clerk's secret key: the bare key, or a JSON object. Create
    it yourself: no secret belongs into Terraform's state.
  EOT

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+$", var.clerk_secret_arn))
    error_message = "clerk_secret_arn must be the full ARN of a Secrets Manager secret."
  }
}

variable "clerk_secret_field" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Field of a JSON secret that contains the key. Empty: CLERK_SECRET_KEY, secret_key and secret-key are tried.
  EOT

  # Any name that JSON allows, but not a key: anyone who may read the state can see it.
  validation {
    condition     = can(regex("^.{0,256}$", var.clerk_secret_field)) && !can(regex("sk_(live|test)_", var.clerk_secret_field))
    error_message = "clerk_secret_field must be empty or the name of a field, not the key itself."
  }
}

variable "clerk_secret_kms_key_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    ARN of the customer-managed KMS key that encrypts the secret. Empty: the secret uses the account's
    aws/secretsmanager key.
  EOT

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.clerk_secret_kms_key_arn))
    error_message = "clerk_secret_kms_key_arn must be empty or the ARN of a KMS key (not of an alias)."
  }
}

variable "resources" {
  type        = string
  nullable    = false
  description = <<-EOT
    What to copy, separated by commas: users, organizations, organization_roles, organization_permissions,
    organization_memberships, and the other lists in docs/data.md. Nothing else is copied.
  EOT

  validation {
    condition     = can(regex("^ *[a-z][a-z0-9_]* *(, *[a-z][a-z0-9_]* *)*$", var.resources))
    error_message = "resources must be names separated by commas, for example users,organizations."
  }
}

variable "metadata" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Which of Clerk's metadata bags to copy, separated by commas: public, private, unsafe. Empty: none.
  EOT

  validation {
    condition     = can(regex("^$|^ *(public|private|unsafe) *(, *(public|private|unsafe) *)*$", var.metadata))
    error_message = "metadata must be empty or names out of public, private and unsafe, separated by commas."
  }
}

variable "include_raw" {
  type        = string
  default     = ""
  nullable    = false
  description = "true adds Clerk's own object, without its secrets, to each record. Empty means false."

  validation {
    condition     = contains(["", "true", "false"], var.include_raw)
    error_message = "include_raw must be empty or one of true, false."
  }
}

variable "sessions_lookback_days" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    If Clerk lists sessions only user by user, read the sessions of users who were active within this many days.
    Empty means 30.
  EOT

  validation {
    condition     = can(regex("^$|^[0-9]{1,3}(\\.[0-9]+)?$", var.sessions_lookback_days))
    error_message = "sessions_lookback_days must be empty or a number of days."
  }
}

variable "redact" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Which personal data to replace with keyed hashes, separated by commas: email, phone, name, ip. The key of
    the hashes is the field redaction_key of the secret; without it the data is left out. Empty: none.
  EOT

  validation {
    condition     = can(regex("^$|^ *(email|phone|name|ip) *(, *(email|phone|name|ip) *)*$", var.redact))
    error_message = "redact must be empty or names out of email, phone, name and ip, separated by commas."
  }
}

variable "dau_lookback_days" {
  type        = string
  default     = ""
  nullable    = false
  description = "How many days daily_active_users covers, 1 to 365. Empty means 30."

  validation {
    condition     = can(regex("^$|^[1-9][0-9]{0,2}$", var.dau_lookback_days))
    error_message = "dau_lookback_days must be empty or a number of days from 1 to 365."
  }
}

variable "clerk_api_url" {
  type        = string
  default     = ""
  nullable    = false
  description = "Address of Clerk's Backend API. Empty means https://api.clerk.com."

  validation {
    condition     = can(regex("^$|^https://[^ ?#@]+$", var.clerk_api_url))
    error_message = "clerk_api_url must be empty or an https address without query."
  }
}

variable "clerk_api_version" {
  type        = string
  default     = ""
  nullable    = false
  description = "Version of Clerk's API to request. Empty means 2026-05-12, for which this version was written."

  validation {
    condition     = can(regex("^$|^[0-9]{4}-[0-9]{2}-[0-9]{2}$", var.clerk_api_version))
    error_message = "clerk_api_version must be empty or a date, YYYY-MM-DD."
  }
}

# Where to write

variable "snapshot_bucket_name" {
  type        = string
  default     = ""
  nullable    = false
  description = "Name of the bucket to create for the snapshots. Empty lets Terraform choose a name."

  validation {
    condition     = can(regex("^$|^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.snapshot_bucket_name))
    error_message = "snapshot_bucket_name must be empty or 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "existing_bucket_name" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Name of an existing bucket in the same region. None is created then, and the existing one stays as it is.
  EOT

  validation {
    condition     = can(regex("^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.existing_bucket_name))
    error_message = "existing_bucket_name must be empty or the name of a bucket."
  }
}

variable "bucket_owner" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Account that owns the existing bucket, if it is another one. Requests that would reach a bucket of any other
    account are refused. Empty means this account.
  EOT

  validation {
    condition     = can(regex("^$|^[0-9]{12}$", var.bucket_owner))
    error_message = "bucket_owner must be empty or the 12 digits of an account."
  }
}

variable "snapshot_prefix" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Folder in the bucket to write to, without leading and trailing slashes. Empty means the whole bucket.
  EOT

  validation {
    condition     = can(regex("^$|^[A-Za-z0-9_=-][A-Za-z0-9_=.-]*(/[A-Za-z0-9_=-][A-Za-z0-9_=.-]*)*$", var.snapshot_prefix))
    error_message = "snapshot_prefix must be empty or a path such as identity/clerk."
  }
}

variable "compression" {
  type        = string
  default     = ""
  nullable    = false
  description = "How to compress parts. Empty means gzip."

  validation {
    condition     = contains(["", "none", "gzip", "zstd"], var.compression)
    error_message = "compression must be empty or one of none, gzip, zstd."
  }
}

variable "snapshot_kms_key_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    ARN of the KMS key that a created bucket encrypts with, or that the existing one encrypts with. Empty means
    S3's own keys.
  EOT

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.snapshot_kms_key_arn))
    error_message = "snapshot_kms_key_arn must be empty or the ARN of a KMS key (not of an alias)."
  }
}

variable "encryption_header" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Encryption to ask for with every write, for a bucket whose policy demands it: AES256, or aws:kms (with the
    key snapshot_kms_key_arn, if set). Empty leaves it to the bucket.
  EOT

  validation {
    condition     = contains(["", "AES256", "aws:kms"], var.encryption_header)
    error_message = "encryption_header must be empty or one of AES256, aws:kms."
  }
}

variable "signing_key_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    ARN of a KMS key (ECC_NIST_P256, SIGN_VERIFY) with which to sign the manifest of each snapshot. Empty: not
    signed.
  EOT

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.signing_key_arn))
    error_message = "signing_key_arn must be empty or the ARN of a KMS key (not of an alias)."
  }
}

variable "expire_snapshots_days" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    A created bucket removes snapshots this many days after they were written, including the newest one: choose
    many times the interval between two snapshots. Empty keeps them all.
  EOT

  validation {
    condition     = can(regex("^$|^[1-9][0-9]{0,4}$", var.expire_snapshots_days))
    error_message = "expire_snapshots_days must be empty or a number of days."
  }
}

variable "expire_replaced_days" {
  type        = number
  default     = 30
  nullable    = false
  description = <<-EOT
    A created bucket keeps overwritten and deleted objects for this many days, including the many versions of
    the checkpoint that every run writes.
  EOT

  validation {
    condition     = var.expire_replaced_days >= 1 && var.expire_replaced_days <= 36500
    error_message = "expire_replaced_days must be 1 to 36500."
  }
}

variable "object_lock_mode" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Object Lock for a created bucket: nothing that was written can be altered or removed for object_lock_days;
    under COMPLIANCE, not by anyone. It cannot be turned off again. Empty: no lock.
  EOT

  validation {
    condition     = contains(["", "GOVERNANCE", "COMPLIANCE"], var.object_lock_mode)
    error_message = "object_lock_mode must be empty or one of GOVERNANCE, COMPLIANCE."
  }
}

variable "object_lock_days" {
  type        = string
  default     = ""
  nullable    = false
  description = "How many days Object Lock protects what is written. Set it together with object_lock_mode."

  validation {
    condition     = can(regex("^$|^[1-9][0-9]{0,4}$", var.object_lock_days))
    error_message = "object_lock_days must be empty or a number of days."
  }
}

variable "bucket_events" {
  type        = string
  default     = "false"
  nullable    = false
  description = "Whether a bucket that this module creates tells EventBridge of new objects."

  validation {
    condition     = contains(["true", "false"], var.bucket_events)
    error_message = "bucket_events must be one of true, false."
  }
}

# When to run

variable "schedule_expression" {
  type        = string
  default     = "rate(15 minutes)"
  nullable    = false
  description = <<-EOT
    When to invoke the function, in EventBridge Scheduler's syntax. snapshot_interval_minutes sets how often a
    new snapshot starts.
  EOT

  validation {
    condition     = can(regex("^(rate|cron)\\(.+\\)$", var.schedule_expression))
    error_message = "schedule_expression must be rate(...) or cron(...)."
  }
}

variable "schedule_timezone" {
  type        = string
  default     = "UTC"
  nullable    = false
  description = "Time zone of a cron expression, for example Europe/Berlin."

  validation {
    condition     = can(regex("^[A-Za-z0-9_+/-]+$", var.schedule_timezone))
    error_message = "schedule_timezone must be the name of a time zone."
  }
}

variable "schedule_state" {
  type        = string
  default     = "ENABLED"
  nullable    = false
  description = "DISABLED stops the schedule."

  validation {
    condition     = contains(["ENABLED", "DISABLED"], var.schedule_state)
    error_message = "schedule_state must be one of ENABLED, DISABLED."
  }
}

variable "schedule_flexible_minutes" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    The schedule may fire up to this many minutes late, so that many schedules do not fire at once. Empty: on
    time.
  EOT

  validation {
    condition     = can(regex("^$|^([1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)$", var.schedule_flexible_minutes))
    error_message = "schedule_flexible_minutes must be empty or 1 to 1440 minutes."
  }
}

variable "snapshot_interval_minutes" {
  type        = string
  default     = "1430"
  nullable    = false
  description = <<-EOT
    A new snapshot starts this long after the newest one was started. A little less than a day keeps a daily
    snapshot at its time of day.
  EOT

  validation {
    condition     = can(regex("^$|^[0-9]+(\\.[0-9]+)?$", var.snapshot_interval_minutes))
    error_message = "snapshot_interval_minutes must be empty or a number of minutes."
  }
}

variable "snapshot_max_age_hours" {
  type        = string
  default     = ""
  nullable    = false
  description = "A run in progress older than this is abandoned and a new one started. Empty means 24."

  validation {
    condition     = can(regex("^$|^[0-9]+(\\.[0-9]+)?$", var.snapshot_max_age_hours))
    error_message = "snapshot_max_age_hours must be empty or a number of hours."
  }
}

# How fast to read

variable "clerk_requests_per_10_seconds" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    The instance's rate limit, in requests per 10 seconds. Empty means 1000 for a production key, 100 for a
    development key.
  EOT

  validation {
    condition     = can(regex("^$|^[1-9][0-9]*$", var.clerk_requests_per_10_seconds))
    error_message = "clerk_requests_per_10_seconds must be empty or a whole number."
  }
}

variable "clerk_rate_share" {
  type        = string
  default     = ""
  nullable    = false
  description = "The share of that limit to use, above 0 and at most 1. Empty means 0.5."

  validation {
    condition     = can(regex("^$|^1(\\.0+)?$|^0?\\.[0-9]*[1-9][0-9]*$", var.clerk_rate_share))
    error_message = "clerk_rate_share must be empty or above 0 and at most 1."
  }
}

variable "max_concurrency" {
  type        = string
  default     = ""
  nullable    = false
  description = "Most requests to Clerk in flight at once. Empty means 32 to 128, as the rate needs."

  validation {
    condition     = can(regex("^$|^[1-9][0-9]*$", var.max_concurrency))
    error_message = "max_concurrency must be empty or a whole number."
  }
}

variable "time_budget_seconds" {
  type        = string
  default     = ""
  nullable    = false
  description = "How long one invocation works before it pauses. Empty means until Lambda's own deadline."

  validation {
    condition     = can(regex("^$|^[0-9]+(\\.[0-9]+)?$", var.time_budget_seconds))
    error_message = "time_budget_seconds must be empty or a number of seconds."
  }
}

variable "deadline_reserve_seconds" {
  type        = string
  default     = ""
  nullable    = false
  description = "Time reserved before Lambda's deadline to store what was read. Empty means 20."

  validation {
    condition     = can(regex("^$|^[0-9]+(\\.[0-9]+)?$", var.deadline_reserve_seconds))
    error_message = "deadline_reserve_seconds must be empty or a number of seconds."
  }
}

variable "lease_seconds" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Another invocation may take over a run whose lease was not renewed for this long, 2 to 900. Empty means 60.
  EOT

  validation {
    condition     = can(regex("^$|^[0-9]+(\\.[0-9]+)?$", var.lease_seconds))
    error_message = "lease_seconds must be empty or a number of seconds."
  }
}

# Safety and operation

variable "shrink_guard_percent" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Hold back a snapshot if a dataset of at least 20 records lost more than this percentage, or if a dataset
    that had records cannot be read now. 0 turns the guard off. Empty means 50.
  EOT

  validation {
    condition     = can(regex("^$|^[0-9]{1,3}(\\.[0-9]+)?$", var.shrink_guard_percent))
    error_message = "shrink_guard_percent must be empty or a percentage."
  }
}

variable "keep_snapshots" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    How many published snapshots to keep; older ones are removed after the next is published. Empty keeps them
    all.
  EOT

  validation {
    condition     = can(regex("^$|^[1-9][0-9]{0,5}$", var.keep_snapshots))
    error_message = "keep_snapshots must be empty or a number of snapshots."
  }
}

variable "changes" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Write what changed since the snapshot before. access: who can do what, and how they prove who they are; all:
    everything. Empty means off.
  EOT

  validation {
    condition     = contains(["", "off", "access", "all"], var.changes)
    error_message = "changes must be empty or one of off, access, all."
  }
}

variable "architecture" {
  type        = string
  default     = "arm64"
  nullable    = false
  description = "The function's processor."

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be one of arm64, x86_64."
  }
}

variable "memory_size" {
  type        = number
  default     = 256
  nullable    = false
  description = "The function's memory in MiB. Lambda gives processor time in proportion."

  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 10240
    error_message = "memory_size must be 128 to 10240."
  }
}

variable "reserved_concurrency" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    1 prevents a second invocation from starting at all. Empty reserves nothing: the program's lease already
    lets only one work, and accounts with a limit of 10 cannot reserve any.
  EOT

  validation {
    condition     = can(regex("^$|^[1-9][0-9]*$", var.reserved_concurrency))
    error_message = "reserved_concurrency must be empty or a whole number."
  }
}

variable "log_level" {
  type        = string
  default     = "INFO"
  nullable    = false
  description = "The lowest level of log lines to keep."

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"], var.log_level)
    error_message = "log_level must be one of TRACE, DEBUG, INFO, WARN, ERROR."
  }
}

variable "log_retention_days" {
  type        = number
  default     = 90
  nullable    = false
  description = "How many days to keep log lines."

  validation {
    condition = contains([
      1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
    ], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs knows, such as 30, 90 or 365."
  }
}

variable "tracing" {
  type        = string
  default     = "PassThrough"
  nullable    = false
  description = "Active lets Lambda record every invocation in AWS X-Ray."

  validation {
    condition     = contains(["PassThrough", "Active"], var.tracing)
    error_message = "tracing must be one of PassThrough, Active."
  }
}

# Metrics and alarms

variable "metrics_namespace" {
  type        = string
  default     = "ClerkSync"
  nullable    = false
  description = <<-EOT
    CloudWatch namespace of the function's metrics. Empty means no metrics, and no alarms that use them.
  EOT

  validation {
    condition     = can(regex("^$|^[A-Za-z0-9._/#-][A-Za-z0-9._/#:-]{0,254}$", var.metrics_namespace))
    error_message = "metrics_namespace must be empty or letters, digits and . - _ / # :, at most 255."
  }
}

variable "alarms" {
  type        = string
  default     = "true"
  nullable    = false
  description = "Whether to create CloudWatch alarms. docs/operations.md explains each of them."

  validation {
    condition     = contains(["true", "false"], var.alarms)
    error_message = "alarms must be one of true, false."
  }
}

variable "alarm_topic_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = "ARN of an existing SNS topic to send alarms to. Empty means none."

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be empty or the ARN of an SNS topic."
  }
}

variable "alarm_email" {
  type        = string
  default     = ""
  nullable    = false
  description = "E-mail address to send alarms to. AWS first asks the recipient to confirm. Empty means none."

  validation {
    condition     = can(regex("^$|^[^@ ]+@[^@ ]+$", var.alarm_email))
    error_message = "alarm_email must be empty or an e-mail address."
  }
}

variable "privileged_alarm" {
  type        = string
  default     = "false"
  nullable    = false
  description = <<-EOT
    Whether to raise an alarm when somebody gains a permission to manage members or domains or to delete an
    organization. Needs changes.
  EOT

  validation {
    condition     = contains(["true", "false"], var.privileged_alarm)
    error_message = "privileged_alarm must be one of true, false."
  }
}

variable "no_snapshot_hours" {
  type        = number
  default     = 26
  nullable    = false
  description = <<-EOT
    Raise an alarm after this many hours without a snapshot. Choose a little more than the time between two.
  EOT

  validation {
    condition     = var.no_snapshot_hours >= 1 && var.no_snapshot_hours <= 168
    error_message = "no_snapshot_hours must be 1 to 168."
  }
}

# Notices

variable "notices" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Send the function's answers to EventBridge, and tell people of privileged grants, or of all published
    snapshots as well. Needs changes. Empty: neither.
  EOT

  validation {
    condition     = contains(["", "privileged", "all"], var.notices)
    error_message = "notices must be empty or one of privileged, all."
  }
}

variable "notice_email" {
  type        = string
  default     = ""
  nullable    = false
  description = "E-mail address to send notices to. AWS first asks the recipient to confirm. Empty means none."

  validation {
    condition     = can(regex("^$|^[^@ ]+@[^@ ]+$", var.notice_email))
    error_message = "notice_email must be empty or an e-mail address."
  }
}

variable "notice_topic_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    ARN of an existing SNS topic for notices, whose policy lets events.amazonaws.com publish. Empty creates one.
  EOT

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.notice_topic_arn))
    error_message = "notice_topic_arn must be empty or the ARN of an SNS topic."
  }
}

# Rules of the account

variable "permissions_boundary_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = "ARN of the policy that bounds every role of this module. Empty means none."

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be empty or the ARN of an IAM policy."
  }
}

variable "role_path" {
  type        = string
  default     = "/"
  nullable    = false
  description = "Path of every role of this module."

  validation {
    condition     = can(regex("^/([A-Za-z0-9+=,.@_-]+/)*$", var.role_path))
    error_message = "role_path must begin and end with a slash."
  }
}

variable "vpc_subnet_ids" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    Subnets to run the function in, separated by commas. They need a way to Clerk and to S3 (docs/deploy.md).
    Empty: outside of any VPC.
  EOT

  validation {
    condition     = can(regex("^$|^subnet-[0-9a-f]+(,subnet-[0-9a-f]+)*$", var.vpc_subnet_ids))
    error_message = "vpc_subnet_ids must be empty or ids of subnets, separated by commas without spaces."
  }
}

variable "vpc_security_group_ids" {
  type        = string
  default     = ""
  nullable    = false
  description = "Security groups of the function in these subnets, separated by commas."

  validation {
    condition     = can(regex("^$|^sg-[0-9a-f]+(,sg-[0-9a-f]+)*$", var.vpc_security_group_ids))
    error_message = "vpc_security_group_ids must be empty or ids of security groups, separated by commas without spaces."
  }
}

variable "log_kms_key_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = <<-EOT
    ARN of the KMS key that encrypts the logs; docs/deploy.md says what its policy must allow. Empty means
    CloudWatch's own keys.
  EOT

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.log_kms_key_arn))
    error_message = "log_kms_key_arn must be empty or the ARN of a KMS key (not of an alias)."
  }
}
