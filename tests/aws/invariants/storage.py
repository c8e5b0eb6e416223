"""Resources that hold data: who can read it, how long it is kept, and whether it outlives the stack."""

from __future__ import annotations

from ..stack import ACCOUNT_RULES, EXISTING_BUCKET, KMS, LOCKED, PREFIX
from .deployment import Complaints, Deployment, add, drop, fault, invariant, listed, put

# The deletion policy of each type that holds data. Every type must be in one of these two tables, so that
# whoever adds a resource decides what happens to its data.
RETENTION = {
    "AWS::S3::Bucket": "Retain",
    # It lives as long as its bucket.
    "AWS::S3::BucketPolicy": "Retain",
    # Log lines expire anyway.
    "AWS::Logs::LogGroup": "Delete",
}
HOLDS_NO_DATA = {
    "AWS::Athena::NamedQuery",
    # What is in it is looked at by itself.
    "AWS::CloudFormation::Stack",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::Rule",
    # The records are in the bucket.
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::IAM::Role",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Function",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    # Events that failed, for 14 days at most; the log has them too.
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::StepFunctions::StateMachine",
}

# The longest that SQS keeps a message.
FOURTEEN_DAYS = 14 * 24 * 3600

# Of a bucket: other ways than a policy for others to get at its objects.
WAYS_OUT = ("AccessControl", "CorsConfiguration", "ReplicationConfiguration", "WebsiteConfiguration")

BUCKET = ("SnapshotBucket", "Properties")
RULES = (*BUCKET, "LifecycleConfiguration", "Rules")
# Positions in RULES.
UPLOADS, VERSIONS, MARKERS = range(3)
TLS_ONLY = ("SnapshotBucketPolicy", "Properties", "PolicyDocument", "Statement", 0)


@invariant(
    fault("a bucket that is deleted with its stack", drop("SnapshotBucket", "DeletionPolicy")),
    fault("a bucket that is deleted when it is replaced", put("SnapshotBucket", "UpdateReplacePolicy", value="Delete")),
    fault("a bucket without its policy once the stack is deleted", drop("SnapshotBucketPolicy", "DeletionPolicy")),
    fault("a log group without a retention policy", drop("LogGroup", "DeletionPolicy")),
    fault(
        "a log of executions without a retention policy",
        drop("StateMachineLog", "DeletionPolicy"),
        Continuation="StateMachine",
        StateMachineLogLevel="ALL",
    ),
    fault("a data store that nobody classified", put("Table", value={"Type": "AWS::DynamoDB::Table"})),
)
def data_has_a_retention_policy(stack: Deployment) -> Complaints:
    for name, resource in stack.resources.items():
        kind = resource["Type"]
        if kind in HOLDS_NO_DATA:
            continue
        if kind not in RETENTION:
            yield f"{name}: whether {kind} holds data is in neither table of storage.py"
            continue
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if resource.get(policy) != RETENTION[kind]:
                yield f"{name}: {policy} is {resource.get(policy)}, not {RETENTION[kind]}"


@invariant(
    fault(
        "public bucket policies that are not blocked",
        put(*BUCKET, "PublicAccessBlockConfiguration", "BlockPublicPolicy", value=False),
    ),
    fault("no public access block", drop(*BUCKET, "PublicAccessBlockConfiguration")),
    fault("objects owned by their writers", drop(*BUCKET, "OwnershipControls")),
    fault("a web site", put(*BUCKET, "WebsiteConfiguration", value={"IndexDocument": "latest.json"})),
    fault("copies in another account", put(*BUCKET, "ReplicationConfiguration", value={"Rules": []})),
)
def buckets_are_private(stack: Deployment) -> Complaints:
    doors = {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        closed = {door for door, value in bucket.get("PublicAccessBlockConfiguration", {}).items() if value is True}
        if closed != doors:
            yield f"{name}: does not block {', '.join(sorted(doors - closed))}"
        owners = [rule["ObjectOwnership"] for rule in bucket.get("OwnershipControls", {}).get("Rules", [])]
        if owners != ["BucketOwnerEnforced"]:
            yield f"{name}: object ownership is {owners}, so ACLs count"
        yield from (f"{name}: has {way}" for way in WAYS_OUT if way in bucket)


ENCRYPTION = (*BUCKET, "BucketEncryption", "ServerSideEncryptionConfiguration")


@invariant(
    fault("a bucket without encryption", drop(*BUCKET, "BucketEncryption")),
    fault(
        "a key that is not used",
        put(
            *ENCRYPTION,
            value=[
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}},
            ],
        ),
        **KMS,
    ),
    fault("a request to KMS for every object", drop(*ENCRYPTION, 0, "Fn::If", 1, "BucketKeyEnabled"), **KMS),
)
def buckets_encrypt_with_the_configured_key(stack: Deployment) -> Complaints:
    key = stack.parameters["SnapshotKmsKeyArn"]
    wanted = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        rules = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
        if [rule["ServerSideEncryptionByDefault"] for rule in rules] != [wanted]:
            yield f"{name}: encrypts by {rules}, not {wanted}"
        if key and not all(rule.get("BucketKeyEnabled") for rule in rules):
            yield f"{name}: asks KMS for every single object"


@invariant(
    fault("no policy", drop("SnapshotBucketPolicy")),
    fault("plain HTTP to objects", put(*TLS_ONLY, "Resource", value={"Fn::GetAtt": ["SnapshotBucket", "Arn"]})),
    fault("a statement that allows instead of denying", put(*TLS_ONLY, "Effect", value="Allow")),
    fault("plain HTTP denied for writing only", put(*TLS_ONLY, "Action", value="s3:PutObject")),
    fault("plain HTTP denied to one account only", put(*TLS_ONLY, "Principal", value={"AWS": "123456789012"})),
    fault("a condition the wrong way round", put(*TLS_ONLY, "Condition", "Bool", "aws:SecureTransport", value="true")),
    fault(
        "a second statement that lets people in",
        add(
            "SnapshotBucketPolicy",
            "Properties",
            "PolicyDocument",
            "Statement",
            value={"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"},
        ),
    ),
)
def bucket_policies_require_tls_and_allow_nothing(stack: Deployment) -> Complaints:
    policies = list(stack.of_type("AWS::S3::BucketPolicy").values())
    for arn, name in stack.arns("AWS::S3::Bucket").items():
        own = [policy for policy in policies if policy["Bucket"] == arn.removeprefix("arn:aws:s3:::")]
        statements = [statement for policy in own for statement in policy["PolicyDocument"]["Statement"]]
        if not any(denies_plain_http(statement, arn) for statement in statements):
            yield f"{name}: nothing denies requests without TLS"
        yield from (f"{name}: allows {statement}" for statement in statements if statement["Effect"] != "Deny")


def denies_plain_http(statement: dict, arn: str) -> bool:
    return (
        statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and statement["Action"] == "s3:*"
        and set(listed(statement["Resource"])) == {arn, f"{arn}/*"}
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    )


@invariant(
    fault("no versions", drop(*BUCKET, "VersioningConfiguration")),
    fault("versions switched off", put(*BUCKET, "VersioningConfiguration", "Status", value="Suspended")),
    fault("versions that are never removed", drop(*RULES, VERSIONS)),
    fault("another number of days", put(*RULES, VERSIONS, "NoncurrentVersionExpiration", "NoncurrentDays", value=3)),
    fault("a rule that does nothing", put(*RULES, VERSIONS, "Status", value="Disabled")),
    fault("versions that are removed in one folder only", put(*RULES, VERSIONS, "Prefix", value="snapshots/")),
    fault("incomplete uploads that are never removed", drop(*RULES, UPLOADS)),
    fault(
        "incomplete uploads that are kept for a year",
        put(*RULES, UPLOADS, "AbortIncompleteMultipartUpload", "DaysAfterInitiation", value=365),
    ),
    fault("delete markers that are never removed", drop(*RULES, MARKERS)),
)
def replaced_versions_are_kept_for_a_while(stack: Deployment) -> Complaints:
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        if bucket.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{name}: keeps no versions"
        rules = bucket["LifecycleConfiguration"]["Rules"]
        yield from (f"{name}: {rule['Id']} is off" for rule in rules if rule["Status"] != "Enabled")
        of_all_keys = {key: value for rule in rules if "Prefix" not in rule for key, value in rule.items()}
        days = of_all_keys.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
        if days != stack.parameters["ExpireReplacedDays"]:
            yield f"{name}: keeps what was replaced for {days} days"
        # No invocation takes longer than 15 minutes.
        if of_all_keys.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation", 365) > 7:
            yield f"{name}: keeps incomplete uploads"
        if not of_all_keys.get("ExpiredObjectDeleteMarker"):
            yield f"{name}: keeps delete markers of what is gone"


EXPIRY = {"Id": "more", "Status": "Enabled", "ExpirationInDays": "400"}
EXPIRE = (*RULES, 3, "Fn::If", 1)


@invariant(
    fault("an expiry that nobody asked for", add(*RULES, value=EXPIRY)),
    fault(
        "storage that cannot be read at once",
        add(
            *RULES,
            value={
                "Id": "more",
                "Status": "Enabled",
                "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 30}],
            },
        ),
    ),
    fault("an expiry of everything, latest.json included", drop(*EXPIRE, "Prefix"), ExpireSnapshotsDays="400"),
    fault(
        "an expiry outside the prefix",
        put(*EXPIRE, "Prefix", value="snapshots/"),
        ExpireSnapshotsDays="400",
        SnapshotPrefix=PREFIX,
    ),
    fault("another number of days", put(*EXPIRE, "ExpirationInDays", value=30), ExpireSnapshotsDays="400"),
    fault("an expiry that does not happen", drop(*RULES, 3), ExpireSnapshotsDays="400"),
)
def snapshots_expire_only_when_asked(stack: Deployment) -> Complaints:
    asked = stack.parameters["ExpireSnapshotsDays"]
    harmless = {
        "Id",
        "Status",
        "Prefix",
        "AbortIncompleteMultipartUpload",
        "NoncurrentVersionExpiration",
        "ExpiredObjectDeleteMarker",
    }
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        found = [rule for rule in bucket["LifecycleConfiguration"]["Rules"] if set(rule) - harmless]
        wanted = {"ExpirationInDays": asked, "Prefix": f"{stack.place[1]}snapshots/"}
        if not asked:
            yield from (f"{name}: {rule['Id']} touches current objects" for rule in found)
        elif [{key: rule.get(key) for key in wanted} for rule in found] != [wanted]:
            yield f"{name}: {found} is not {wanted}"
        elif any(set(rule) - harmless != {"ExpirationInDays"} for rule in found):
            yield f"{name}: {found} does more than expire"


@invariant(
    fault("a lock that is not on", drop(*BUCKET, "ObjectLockEnabled"), **LOCKED),
    fault("a lock without retention", drop(*BUCKET, "ObjectLockConfiguration"), **LOCKED),
    fault(
        "a lock that nobody can lift",
        put(*BUCKET, "ObjectLockConfiguration", "Fn::If", 1, "Rule", "DefaultRetention", "Mode", value="COMPLIANCE"),
        **LOCKED,
    ),
    fault(
        "a lock for another number of days",
        put(*BUCKET, "ObjectLockConfiguration", "Fn::If", 1, "Rule", "DefaultRetention", "Days", value=1),
        **LOCKED,
    ),
    fault("a lock that nobody asked for", put(*BUCKET, "ObjectLockEnabled", value=True)),
)
def objects_are_locked_as_configured(stack: Deployment) -> Complaints:
    mode, days = stack.parameters["ObjectLockMode"], stack.parameters["ObjectLockDays"]
    retention = {"DefaultRetention": {"Mode": mode, "Days": days}}
    wanted = (True, {"ObjectLockEnabled": "Enabled", "Rule": retention}) if mode else (None, None)
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        found = bucket.get("ObjectLockEnabled"), bucket.get("ObjectLockConfiguration")
        if found != wanted:
            yield f"{name}: Object Lock is {found}, not {wanted}"


@invariant(
    fault("a second bucket", drop("SnapshotBucket", "Condition"), **EXISTING_BUCKET),
    fault(
        "a policy in place of the owner's",
        put(
            "SnapshotBucketPolicy",
            value={
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {"Bucket": {"Ref": "ExistingBucketName"}},
            },
        ),
        **EXISTING_BUCKET,
    ),
    fault("a name that is ignored", drop(*BUCKET, "BucketName"), SnapshotBucketName="clerk-snapshots"),
    fault(
        "a bucket that is not written to",
        put("SyncFunction", "Properties", "Environment", "Variables", "SNAPSHOT_URL", value="s3://another"),
    ),
    fault(
        "a prefix that is ignored",
        put(
            "SyncFunction",
            "Properties",
            "Environment",
            "Variables",
            "SNAPSHOT_URL",
            value={"Fn::Sub": "s3://${SnapshotBucket}"},
        ),
        SnapshotPrefix=PREFIX,
    ),
)
def snapshots_go_to_the_configured_bucket(stack: Deployment) -> Complaints:
    created = [arn.removeprefix("arn:aws:s3:::") for arn in stack.arns("AWS::S3::Bucket")]
    existing, prefix = stack.parameters["ExistingBucketName"], stack.parameters["SnapshotPrefix"]
    # Whoever owns an existing bucket has rules and a policy that ours would replace.
    if existing and (created or stack.of_type("AWS::S3::BucketPolicy")):
        yield f"{existing} exists, and the stack creates {created} or a policy"
    named = stack.parameters["SnapshotBucketName"]
    if not existing and (len(created) != 1 or (named and created != [named])):
        yield f"creates {created}, not {named or 'one bucket'}"
    bucket = existing or (created[0] if created else "")
    wanted = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
    if stack.variables["SNAPSHOT_URL"] != wanted:
        yield f"the function writes to {stack.variables['SNAPSHOT_URL']}, not to {wanted}"


@invariant(
    fault("a log for ever", drop("LogGroup", "Properties", "RetentionInDays")),
    fault("another number of days", put("LogGroup", "Properties", "RetentionInDays", value=1)),
    fault("a log without its key", drop("LogGroup", "Properties", "KmsKeyId"), **ACCOUNT_RULES),
    fault("a key that nobody asked for", put("LogGroup", "Properties", "KmsKeyId", value=KMS["SnapshotKmsKeyArn"])),
    fault(
        "a log of executions without its key",
        put("StateMachineStack", "Properties", "Parameters", "LogKmsKeyArn", value=""),
        Continuation="StateMachine",
        StateMachineLogLevel="ALL",
        **ACCOUNT_RULES,
    ),
)
def logs_are_kept_and_encrypted_as_configured(stack: Deployment) -> Complaints:
    for name, log in stack.of_type("AWS::Logs::LogGroup").items():
        if log.get("RetentionInDays") != stack.parameters["LogRetentionDays"]:
            yield f"{name}: keeps lines for {log.get('RetentionInDays')} days"
        if log.get("KmsKeyId", "") != stack.parameters["LogKmsKeyArn"]:
            yield f"{name}: is encrypted with {log.get('KmsKeyId')}"


@invariant(
    fault(
        "messages that are kept for three days only",
        put("FailedInvocations", "Properties", "MessageRetentionPeriod", value=3 * 24 * 3600),
    ),
    fault(
        "messages that are not encrypted", put("UndeliveredTicks", "Properties", "SqsManagedSseEnabled", value=False)
    ),
    fault(
        "a queue that nothing is sent to",
        put(
            "Forgotten",
            value={
                "Type": "AWS::SQS::Queue",
                "Properties": {"MessageRetentionPeriod": FOURTEEN_DAYS, "SqsManagedSseEnabled": True},
            },
        ),
    ),
)
def queues_keep_messages_as_long_as_sqs_can(stack: Deployment) -> Complaints:
    filled = {
        *(
            invoked["DestinationConfig"]["OnFailure"]["Destination"]
            for invoked in stack.of_type("AWS::Lambda::EventInvokeConfig").values()
        ),
        *(
            schedule["Target"]["DeadLetterConfig"]["Arn"]
            for schedule in stack.of_type("AWS::Scheduler::Schedule").values()
        ),
        *(
            target["DeadLetterConfig"]["Arn"]
            for rule in stack.of_type("AWS::Events::Rule").values()
            for target in rule["Targets"]
        ),
    }
    for arn, name in stack.arns("AWS::SQS::Queue").items():
        queue = stack.of_type("AWS::SQS::Queue")[name]
        if queue.get("MessageRetentionPeriod") != FOURTEEN_DAYS:
            yield f"{name}: does not keep messages for 14 days"
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name}: is not encrypted"
        if arn not in filled:
            yield f"{name}: nothing is sent to it"


@invariant(
    fault(
        "tables over another bucket",
        put("Catalog", "Properties", "Parameters", "SnapshotUrl", value="s3://another"),
        DatabaseName="clerk",
    ),
    fault(
        "tables of the newest snapshot in another bucket",
        put("LatestTables", "Properties", "Parameters", "SnapshotUrl", value="s3://another"),
        DatabaseName="clerk",
    ),
    fault(
        "a table in another database",
        put("ChangesTable", "Properties", "DatabaseName", value="another"),
        DatabaseName="clerk",
    ),
    fault(
        "a query of another database",
        put("SavedQueries", "Properties", "Parameters", "DatabaseName", value="another"),
        DatabaseName="clerk",
    ),
    fault("tables that nobody asked for", drop("Catalog", "Condition")),
)
def tables_are_over_the_snapshots(stack: Deployment) -> Complaints:
    databases = [one["DatabaseInput"]["Name"] for one in stack.of_type("AWS::Glue::Database").values()]
    wanted = [stack.parameters["DatabaseName"]] if stack.parameters["DatabaseName"] else []
    if databases != wanted:
        yield f"the databases are {databases}, not {wanted}"
    # `Ref` of the database is its name, which the evaluation does not know.
    names = {*databases, *(f"<{name}>" for name in stack.of_type("AWS::Glue::Database"))}
    for name, table in stack.of_type("AWS::Glue::Table").items():
        location = table["TableInput"]["StorageDescriptor"]["Location"]
        if not location.startswith(f"{stack.variables['SNAPSHOT_URL']}/"):
            yield f"{name}: looks at {location}, and the function writes to {stack.variables['SNAPSHOT_URL']}"
        if table["DatabaseName"] not in names:
            yield f"{name}: is in the database {table['DatabaseName']}"
    for name, query in stack.of_type("AWS::Athena::NamedQuery").items():
        if query["Database"] not in names or query["WorkGroup"] != stack.parameters["AthenaWorkGroup"]:
            yield f"{name}: is about {query['Database']} in {query['WorkGroup']}"


@invariant(
    fault("a bucket that tells nobody", drop(*BUCKET, "NotificationConfiguration"), BucketEvents="true"),
    fault(
        "a bucket that tells everybody",
        put(*BUCKET, "NotificationConfiguration", value={"EventBridgeConfiguration": {"EventBridgeEnabled": True}}),
    ),
)
def buckets_tell_eventbridge_when_asked(stack: Deployment) -> Complaints:
    asked = stack.parameters["BucketEvents"] == "true"
    wanted = {"EventBridgeConfiguration": {"EventBridgeEnabled": True}} if asked else None
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        if bucket.get("NotificationConfiguration") != wanted:
            yield f"{name}: notifies {bucket.get('NotificationConfiguration')}, not {wanted}"
