"""The function: its configuration, its log, and where a failed invocation goes."""

from __future__ import annotations

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
    fault("somebody else's code", put(*FUNCTION, "Layers", value=["arn:aws:lambda:us-east-1:1:layer:any:1"])),
    fault("traces that are not configured", put(*FUNCTION, "TracingConfig", "Mode", value="Active")),
)
def the_function_is_configured_by_the_parameters(stack: Deployment) -> Complaints:
    chosen = stack.parameters
    wanted = {
        "Runtime": RUNTIME,
        "Handler": "bootstrap",
        "Timeout": LONGEST_SECONDS,
        "Architectures": [chosen["Architecture"]],
        "MemorySize": chosen["MemorySize"],
        "ReservedConcurrentExecutions": chosen["ReservedConcurrency"] or None,
        "TracingConfig": {"Mode": chosen["Tracing"]},
        "VpcConfig": None,
        "Layers": None,
    }
    for name, value in wanted.items():
        if stack.function.get(name) != value:
            yield f"{name} is {stack.function.get(name)}, not {value}"


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
    fault("invocations that fail unseen", drop(*INVOKED, "DestinationConfig")),
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
