"""The function: its configuration, its log, and where a failed invocation goes."""

from __future__ import annotations

from ..aws import ACCOUNT, REGION
from ..stack import ELSEWHERE, HEADER, KMS, NOTICES, SIGNED, VPC
from .deployment import Complaints, Deployment, drop, fault, invariant, put

# scripts/lambda_target.py refuses a program that needs a newer glibc than this runtime's.
RUNTIME = "provided.al2023"

# The longest that Lambda lets a function run. A run that does not fit pauses and goes on in the next
# invocation; a shorter time would only mean more of them.
LONGEST_SECONDS = 900

# Between two ticks of the default schedule.
TICK_SECONDS = 15 * 60

FUNCTION = ("SyncFunction", "Properties")
INVOKED = ("SyncFunctionEventInvokeConfig", "Properties")


@invariant(
    fault("another runtime", put(*FUNCTION, "Runtime", value="provided.al2")),
    fault("a program of another name", put(*FUNCTION, "Handler", value="clerk-sync")),
    fault("the default of three seconds", drop(*FUNCTION, "Timeout")),
    fault("a fixed architecture", put(*FUNCTION, "Architectures", value=["arm64"]), Architecture="x86_64"),
    fault("a fixed memory size", put(*FUNCTION, "MemorySize", value=128)),
    fault("concurrency that is always reserved", put(*FUNCTION, "ReservedConcurrentExecutions", value="1")),
    fault("concurrency that is not reserved", drop(*FUNCTION, "ReservedConcurrentExecutions"), ReservedConcurrency="1"),
    # Its role may not create the network interfaces.
    fault("a network of its own", put(*FUNCTION, "VpcConfig", value={"SubnetIds": [], "SecurityGroupIds": []})),
    fault("no network", drop(*FUNCTION, "VpcConfig"), **VPC),
    fault("one of two subnets", put(*FUNCTION, "VpcConfig", "Fn::If", 1, "SubnetIds", value=["subnet-0"]), **VPC),
    fault("somebody else's code", put(*FUNCTION, "Layers", value=["arn:aws:lambda:us-east-1:1:layer:any:1"])),
    fault("traces that are not configured", put(*FUNCTION, "TracingConfig", "Mode", value="Active")),
)
def the_function_is_configured_by_the_parameters(stack: Deployment) -> Complaints:
    chosen = stack.parameters
    network = {
        "SubnetIds": chosen["VpcSubnetIds"].split(","),
        "SecurityGroupIds": chosen["VpcSecurityGroupIds"].split(","),
    }
    wanted = {
        "Runtime": RUNTIME,
        "Handler": "bootstrap",
        "Timeout": LONGEST_SECONDS,
        "Architectures": [chosen["Architecture"]],
        "MemorySize": chosen["MemorySize"],
        "ReservedConcurrentExecutions": chosen["ReservedConcurrency"] or None,
        "TracingConfig": {"Mode": chosen["Tracing"]},
        "VpcConfig": network if chosen["VpcSubnetIds"] else None,
        "Layers": None,
    }
    for name, value in wanted.items():
        if stack.function.get(name) != value:
            yield f"{name} is {stack.function.get(name)}, not {value}"


VARIABLES = (*FUNCTION, "Environment", "Variables")


@invariant(
    fault("a bucket of anybody", put(*VARIABLES, "EXPECTED_BUCKET_OWNER", value="")),
    fault(
        "a bucket of another account that is refused",
        put(*VARIABLES, "EXPECTED_BUCKET_OWNER", value={"Ref": "AWS::AccountId"}),
        **ELSEWHERE,
    ),
    fault("no header where the bucket demands one", put(*VARIABLES, "SERVER_SIDE_ENCRYPTION", value=""), **HEADER),
    fault(
        "a header without its key",
        put(*VARIABLES, "SERVER_SIDE_ENCRYPTION_KEY_ID", value=""),
        **KMS,
        **HEADER,
    ),
    fault(
        "a key without its header",
        put(*VARIABLES, "SERVER_SIDE_ENCRYPTION_KEY_ID", value={"Ref": "SnapshotKmsKeyArn"}),
        **KMS,
    ),
    fault("manifests that nobody signs", put(*VARIABLES, "SIGNING_KEY_ID", value=""), **SIGNED),
    fault("tables that nobody keeps current", put(*VARIABLES, "ATHENA_LATEST", value=""), DatabaseName="clerk"),
    fault("lists of files that nobody reads", put(*VARIABLES, "ATHENA_LATEST", value="true")),
)
def the_function_writes_as_configured(stack: Deployment) -> Complaints:
    chosen = stack.parameters
    wanted = {
        # Always: a bucket that was deleted can be created again under the same name, by anyone.
        "EXPECTED_BUCKET_OWNER": chosen["BucketOwner"] or ACCOUNT,
        "SERVER_SIDE_ENCRYPTION": chosen["EncryptionHeader"],
        "SERVER_SIDE_ENCRYPTION_KEY_ID": (
            chosen["SnapshotKmsKeyArn"] if chosen["EncryptionHeader"] == "aws:kms" else ""
        ),
        "SIGNING_KEY_ID": chosen["SigningKeyArn"],
        "ATHENA_LATEST": "true" if chosen["DatabaseName"] else "",
    }
    for name, value in wanted.items():
        if stack.variables.get(name) != value:
            yield f"{name} is {stack.variables.get(name)!r}, not {value!r}"


@invariant(
    fault("a log group of Lambda's own, kept for ever", drop(*FUNCTION, "LoggingConfig", "LogGroup")),
    fault("log lines that are not JSON", put(*FUNCTION, "LoggingConfig", "LogFormat", value="Text")),
    fault(
        "a log level of Lambda that drops metrics", put(*FUNCTION, "LoggingConfig", "ApplicationLogLevel", value="WARN")
    ),
    fault("invocations that are not reported", put(*FUNCTION, "LoggingConfig", "SystemLogLevel", value="WARN")),
)
def the_log_is_complete_and_belongs_to_the_stack(stack: Deployment) -> Complaints:
    logging = stack.function["LoggingConfig"]
    groups = [f"<{name}>" for name in stack.of_type("AWS::Logs::LogGroup")]
    if logging.get("LogGroup") not in groups:
        yield f"logs to {logging.get('LogGroup')}, and the stack has {groups}"
    if logging["LogFormat"] != "JSON":
        yield "Lambda's own lines are not JSON"
    # The program decides by LOG_LEVEL. Lambda would take its metrics for lines of level INFO.
    if logging["ApplicationLogLevel"] != "TRACE":
        yield "Lambda drops lines that the program wrote"
    if logging["SystemLogLevel"] not in ("DEBUG", "INFO"):
        yield "Lambda does not report what an invocation took"


@invariant(
    fault("invocations that fail unseen", drop(*INVOKED, "DestinationConfig", "OnFailure")),
    fault(
        "a queue of somebody else",
        put(
            *INVOKED,
            "DestinationConfig",
            "OnFailure",
            "Destination",
            value="arn:aws:sqs:us-east-1:123456789012:another",
        ),
    ),
    fault("a retry that waits until the next tick", put(*INVOKED, "MaximumEventAgeInSeconds", value=3600)),
    fault("the default of six hours", drop(*INVOKED, "MaximumEventAgeInSeconds")),
    fault("retries for a version that nobody invokes", put(*INVOKED, "Qualifier", value="live")),
    fault("the default of two retries, which no alarm expects", drop(*INVOKED, "MaximumRetryAttempts")),
    fault("no rule for asynchronous invocations", drop("SyncFunctionEventInvokeConfig")),
)
def failed_invocations_are_retried_soon_and_kept(stack: Deployment) -> Complaints:
    (function,) = stack.of_type("AWS::Lambda::Function")
    configured = list(stack.of_type("AWS::Lambda::EventInvokeConfig").values())
    if len(configured) != 1:
        yield f"{len(configured)} rules for asynchronous invocations"
    for invoked in configured:
        if (invoked["FunctionName"], invoked["Qualifier"]) != (f"<{function}>", "$LATEST"):
            yield f"is about {invoked['FunctionName']}:{invoked['Qualifier']}"
        destination = invoked.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if destination not in stack.arns("AWS::SQS::Queue"):
            yield f"what failed goes to {destination}, no queue of the stack"
        # Six hours and two retries unless it says so.
        if invoked.get("MaximumEventAgeInSeconds", 6 * 3600) > TICK_SECONDS:
            yield "a retry may still wait when the next tick comes"
        if invoked.get("MaximumRetryAttempts", 2) != 1:
            yield "is not tried a second time and no more"


BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"


@invariant(
    fault("answers that nobody hears", drop(*INVOKED, "DestinationConfig", "OnSuccess"), **NOTICES),
    fault(
        "answers that nobody wants",
        put(*INVOKED, "DestinationConfig", "OnSuccess", value={"Destination": BUS}),
    ),
    fault(
        "answers that are told twice",
        put(*INVOKED, "DestinationConfig", "OnSuccess", value={"Destination": BUS}),
        Continuation="StateMachine",
        **NOTICES,
    ),
    fault(
        "answers on a bus without the rules",
        put(
            *INVOKED, "DestinationConfig", "OnSuccess", "Fn::If", 1, "Destination", value=BUS.replace("default", "own")
        ),
        **NOTICES,
    ),
)
def scheduled_answers_go_to_eventbridge_when_somebody_is_to_be_told(stack: Deployment) -> Complaints:
    # With a state machine, it tells them itself: of synchronous invocations Lambda tells nothing.
    machines = stack.of_type("AWS::StepFunctions::StateMachine")
    wanted = {"Destination": BUS} if stack.parameters["Notices"] and not machines else None
    for invoked in stack.of_type("AWS::Lambda::EventInvokeConfig").values():
        found = invoked.get("DestinationConfig", {}).get("OnSuccess")
        if found != wanted:
            yield f"answers go to {found}, not to {wanted}"
