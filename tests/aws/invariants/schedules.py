"""Schedules: what they start, when, and where a tick goes that cannot be delivered."""

from __future__ import annotations

import json

from ..stack import NOTICES, OTHER_FUNCTIONS
from .deployment import Complaints, Deployment, drop, fault, invariant, put
from .function import TICK_SECONDS

OF_FUNCTION = ("SyncFunctionSchedule", "Properties")
OF_STATE_MACHINE = ("SyncStateMachineSchedule", "Properties")
MACHINE = {"Continuation": "StateMachine"}
MORE = {"MoreFunctionArns": ",".join(OTHER_FUNCTIONS)}


@invariant(
    fault("two schedules that fire", put(*OF_FUNCTION, "State", value="ENABLED"), **MACHINE),
    fault("no schedule that fires", put(*OF_STATE_MACHINE, "State", value="DISABLED"), **MACHINE),
    fault("a schedule that cannot be disabled", put(*OF_FUNCTION, "State", value="ENABLED"), ScheduleState="DISABLED"),
    fault(
        "a state machine's schedule that cannot be disabled",
        drop(*OF_STATE_MACHINE, "State"),
        ScheduleState="DISABLED",
        **MACHINE,
    ),
    fault(
        "a schedule that bypasses the state machine",
        put(*OF_STATE_MACHINE, "Target", "Arn", value={"Ref": "FunctionArn"}),
        **MACHINE,
    ),
    fault("a schedule of another function", put(*OF_FUNCTION, "Target", "Arn", value=OTHER_FUNCTIONS[0])),
)
def exactly_one_schedule_starts_the_sync(stack: Deployment) -> Complaints:
    schedules = stack.of_type("AWS::Scheduler::Schedule")
    # A schedule without a state is enabled.
    firing = [one["Target"]["Arn"] for one in schedules.values() if one.get("State", "ENABLED") == "ENABLED"]
    wanted = list(stack.arns("AWS::StepFunctions::StateMachine")) or [stack.function_arn]
    if stack.parameters["ScheduleState"] == "DISABLED":
        wanted = []
    if firing != wanted:
        yield f"{firing} are started, not {wanted}"


@invariant(
    fault("another time", put(*OF_FUNCTION, "ScheduleExpression", value="rate(1 hour)")),
    fault(
        "another time zone",
        drop(*OF_STATE_MACHINE, "ScheduleExpressionTimezone"),
        ScheduleTimezone="Europe/Berlin",
        **MACHINE,
    ),
    fault(
        "no delay where one was asked for",
        put(*OF_STATE_MACHINE, "FlexibleTimeWindow", value={"Mode": "OFF"}),
        ScheduleFlexibleMinutes="5",
        **MACHINE,
    ),
    fault(
        "a delay that nobody asked for",
        put(
            *OF_FUNCTION,
            "FlexibleTimeWindow",
            value={
                "Mode": "FLEXIBLE",
                "MaximumWindowInMinutes": 15,
            },
        ),
    ),
    # It would be the same in every stack of the account.
    fault("a fixed name", put(*OF_FUNCTION, "Name", value="SyncFunctionSchedule")),
)
def schedules_fire_at_the_configured_time(stack: Deployment) -> Complaints:
    chosen = stack.parameters
    minutes = chosen["ScheduleFlexibleMinutes"]
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes} if minutes else {"Mode": "OFF"}
    for name, schedule in stack.of_type("AWS::Scheduler::Schedule").items():
        found = schedule["ScheduleExpression"], schedule.get("ScheduleExpressionTimezone")
        if found != (chosen["ScheduleExpression"], chosen["ScheduleTimezone"]):
            yield f"{name}: fires at {found}"
        if schedule["FlexibleTimeWindow"] != window:
            yield f"{name}: may be late by {schedule['FlexibleTimeWindow']}"
        if "Name" in schedule:
            yield f"{name}: a second stack could not be deployed"


@invariant(
    fault("ticks that are lost unseen", drop(*OF_FUNCTION, "Target", "DeadLetterConfig")),
    fault(
        "ticks kept where nobody looks",
        put(*OF_STATE_MACHINE, "Target", "DeadLetterConfig", "Arn", value="arn:aws:sqs:us-east-1:123456789012:another"),
        **MACHINE,
    ),
    fault("the default of a day of retries", drop(*OF_FUNCTION, "Target", "RetryPolicy")),
    fault(
        "a tick that comes after the next",
        put(*OF_STATE_MACHINE, "Target", "RetryPolicy", "MaximumEventAgeInSeconds", value=3600),
        **MACHINE,
    ),
    fault("a tick that is tried once", put(*OF_FUNCTION, "Target", "RetryPolicy", "MaximumRetryAttempts", value=0)),
)
def undelivered_ticks_are_retried_soon_and_kept(stack: Deployment) -> Complaints:
    for name, schedule in stack.of_type("AWS::Scheduler::Schedule").items():
        target = schedule["Target"]
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        if queue not in stack.arns("AWS::SQS::Queue"):
            yield f"{name}: what is not delivered goes to {queue}, no queue of the stack"
        # A day and 185 attempts unless it says so.
        retries = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185} | target.get("RetryPolicy", {})
        if retries["MaximumEventAgeInSeconds"] > TICK_SECONDS:
            yield f"{name}: a tick may still wait when the next one comes"
        if not 1 <= retries["MaximumRetryAttempts"] <= 5:
            yield f"{name}: is tried {retries['MaximumRetryAttempts']} more times"


@invariant(
    fault("an input that is no JSON", put(*OF_STATE_MACHINE, "Target", "Input", value='{"instances":['), **MACHINE),
    fault("no input", drop(*OF_STATE_MACHINE, "Target", "Input"), **MACHINE),
    fault(
        "functions that are left out",
        put(
            *OF_STATE_MACHINE,
            "Target",
            "Input",
            value={
                "Fn::Sub": '{"announce":false,"instances":[{"function":"${FunctionArn}","event":{}}]}',
            },
        ),
        **MACHINE,
        **MORE,
    ),
    fault(
        "an event that is no scheduled sync",
        put(
            *OF_STATE_MACHINE,
            "Target",
            "Input",
            value={
                "Fn::Sub": '{"announce":false,"instances":[{"function":"${FunctionArn}","event":{"force":true}}]}',
            },
        ),
        **MACHINE,
    ),
    fault(
        "answers that nobody hears",
        put("StateMachineStack", "Properties", "Parameters", "Announce", value="false"),
        **MACHINE,
        **NOTICES,
    ),
    fault(
        "functions that are not passed on",
        put("StateMachineStack", "Properties", "Parameters", "MoreFunctionArns", value=""),
        **MACHINE,
        **MORE,
    ),
)
def the_state_machine_gets_every_function(stack: Deployment) -> Complaints:
    machines = stack.arns("AWS::StepFunctions::StateMachine")
    more = [arn.strip() for arn in stack.parameters["MoreFunctionArns"].split(",") if arn]
    wanted = {
        "announce": stack.parameters["Notices"] != "",
        "instances": [{"function": arn, "event": {}} for arn in [stack.function_arn, *more]],
    }
    for name, schedule in stack.of_type("AWS::Scheduler::Schedule").items():
        text = schedule["Target"].get("Input", "{}")
        if schedule["Target"]["Arn"] in machines and parsed(text) != wanted:
            yield f"{name}: sends {text}"


def parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


@invariant(
    fault(
        "no log of executions",
        drop("SyncStateMachine", "Properties", "LoggingConfiguration"),
        StateMachineLogLevel="ALL",
        **MACHINE,
    ),
    fault(
        "a log that nobody wants",
        put(
            "SyncStateMachine",
            "Properties",
            "LoggingConfiguration",
            value={"Level": "ALL", "IncludeExecutionData": False, "Destinations": []},
        ),
        **MACHINE,
    ),
    fault(
        "answers in the log",
        put("SyncStateMachine", "Properties", "LoggingConfiguration", "Fn::If", 1, "IncludeExecutionData", value=True),
        StateMachineLogLevel="ALL",
        **MACHINE,
    ),
    fault(
        "another level",
        put("StateMachineStack", "Properties", "Parameters", "LogLevel", value="ALL"),
        StateMachineLogLevel="ERROR",
        **MACHINE,
    ),
)
def executions_are_logged_as_configured_and_without_data(stack: Deployment) -> Complaints:
    level = stack.parameters["StateMachineLogLevel"]
    for name, machine in stack.of_type("AWS::StepFunctions::StateMachine").items():
        logging = machine.get("LoggingConfiguration")
        if (logging or {"Level": "OFF"})["Level"] != level:
            yield f"{name}: logs {logging}, not {level}"
        # An execution that somebody starts with a lookup has personal data in its answer.
        if logging and logging["IncludeExecutionData"] is not False:
            yield f"{name}: logs what the function answers"
        for destination in logging["Destinations"] if logging else []:
            if destination["CloudWatchLogsLogGroup"]["LogGroupArn"] not in stack.arns("AWS::Logs::LogGroup"):
                yield f"{name}: logs to {destination}"
