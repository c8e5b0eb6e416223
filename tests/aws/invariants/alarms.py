"""Alarms and the dashboard: what they watch, when an alarm goes off, and whom it notifies."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..aws import REGION
from ..stack import NOTICE_TOPIC, NOTICES, TOPIC
from .deployment import Change, Complaints, Deployment, drop, fault, invariant, put, resources_with

# The program's own metrics, whose namespace is a parameter. environment.py proves that it reports them.
OWN = "own"

# What must be watched of each resource of a type: namespace, dimension, and metrics with their statistic.
# Counts are added up; of a level the highest counts.
WATCHED: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "AWS::Lambda::Function": [
        ("AWS/Lambda", "FunctionName", {"Errors": "Sum", "Throttles": "Sum", "Duration": "Maximum"}),
        (OWN, "Function", {"SnapshotPublished": "Sum", "SnapshotHeld": "Maximum"}),
    ],
    "AWS::SQS::Queue": [("AWS/SQS", "QueueName", {"ApproximateNumberOfMessagesVisible": "Maximum"})],
    "AWS::StepFunctions::StateMachine": [
        ("AWS/States", "StateMachineArn", {"ExecutionsFailed": "Sum", "ExecutionsTimedOut": "Sum"}),
    ],
}

# With Changes; and what is watched only if PrivilegedAlarm says so.
OF_CHANGES = {"DatasetsLost": "Maximum", "ChangesOwedSeconds": "Maximum"}
OF_PRIVILEGES = {"PrivilegedGranted": "Maximum"}

# Without DeadlineReserveSeconds: a run pauses this long before the function's time-out.
RESERVE_SECONDS = 20

MACHINE = {"Continuation": "StateMachine"}
EMAIL = {"AlarmEmail": "operations@example.com"}
CHANGES = {"Changes": "access"}
PRIVILEGES = CHANGES | {"PrivilegedAlarm": "true"}

# Changes that are owed for so long, in seconds, need somebody: longer than any invocation, shorter than a day.
OWED_FOR_LONG = range(3_600, 86_400)

# Namespace, metric, dimension and its value.
Watched = tuple[str, str, str, str]


def to_be_watched(stack: Deployment) -> dict[Watched, str]:
    """With the statistic of each."""
    found = {}
    for kind, metrics in WATCHED.items():
        for arn, name in stack.arns(kind).items():
            for namespace, dimension, statistics in metrics:
                space = stack.parameters["MetricsNamespace"] if namespace == OWN else namespace
                value = arn if dimension.endswith("Arn") else f"<{name}>"
                own = of_changes(stack) if namespace == OWN else {}
                watched = statistics | own
                found |= {(space, metric, dimension, value): how for metric, how in watched.items()}
    # There are no metrics of its own without a namespace.
    return {watched: how for watched, how in found.items() if watched[0]}


def of_changes(stack: Deployment) -> dict[str, str]:
    if stack.parameters["Changes"] in ("", "off"):
        return {}
    return OF_CHANGES | (OF_PRIVILEGES if stack.parameters["PrivilegedAlarm"] == "true" else {})


def alarms(stack: Deployment) -> Iterator[tuple[str, dict, Watched]]:
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        (dimension,) = alarm["Dimensions"]
        yield name, alarm, (alarm["Namespace"], alarm["MetricName"], dimension["Name"], dimension["Value"])


FORGOTTEN_QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {}}


@invariant(
    fault("a queue without an alarm", put("Forgotten", value=FORGOTTEN_QUEUE)),
    fault("a state machine that fails unseen", drop("ExecutionsAlarm"), **MACHINE),
    fault("snapshots that stop unseen", drop("NoSnapshotAlarm")),
    fault("a metric that is misspelt", put("ErrorsAlarm", "Properties", "MetricName", value="Error")),
    fault("a dimension that is misspelt", put("ThrottlesAlarm", "Properties", "Dimensions", 0, "Name", value="Name")),
    fault("another namespace", put("HeldAlarm", "Properties", "Namespace", value="ClerkSync"), MetricsNamespace="Acme"),
    fault(
        "an alarm about another queue",
        put(
            "UndeliveredTicksAlarm",
            "Properties",
            "Dimensions",
            0,
            "Value",
            value={"Ref": "FailedInvocations"},
        ),
    ),
    fault("an alarm about metrics that are off", drop("HeldAlarm", "Condition"), MetricsNamespace=""),
    fault("alarms that nobody wants", drop("AlarmsStack", "Condition"), Alarms="false"),
    fault("notices that are lost unseen", drop("UndeliveredNoticesAlarm"), **NOTICES),
    fault(
        "an alarm about notices that nobody wants",
        drop("UndeliveredNoticesAlarm", "Condition"),
        Alarms="false",
        **NOTICES,
    ),
    fault(
        "alarms about another function",
        put("AlarmsStack", "Properties", "Parameters", "Function", value="of-another-stack"),
    ),
    fault(
        "alarms that do not know the state machine",
        put("AlarmsStack", "Properties", "Parameters", "StateMachine", value=""),
        **MACHINE,
    ),
    fault("a feed that is owed unseen", drop("ChangesOwedAlarm"), **CHANGES),
    fault("a dataset that is lost unseen", drop("DatasetsLostAlarm"), **CHANGES),
    fault("a privileged grant unseen", drop("PrivilegedGrantAlarm"), **PRIVILEGES),
    fault("an alarm about changes that are off", drop("DatasetsLostAlarm", "Condition")),
    fault("an alarm about grants that nobody wants", drop("PrivilegedGrantAlarm", "Condition"), **CHANGES),
    # CloudWatch then waits for a metric in that unit, for ever.
    fault("a unit that nobody reports", put("DurationAlarm", "Properties", "Unit", value="Seconds")),
    fault("an average of a level", put("DurationAlarm", "Properties", "Statistic", value="Average")),
)
def everything_that_fails_is_watched(stack: Deployment) -> Complaints:
    wanted = to_be_watched(stack) if stack.parameters["Alarms"] == "true" else {}
    found = {}
    for name, alarm, watched in alarms(stack):
        found[watched] = name
        if watched not in wanted:
            yield f"{name}: watches {watched}, which is not there or not in the table of alarms.py"
        elif alarm["Statistic"] != wanted[watched]:
            yield f"{name}: takes the {alarm['Statistic']} of {watched}"
        if "Unit" in alarm:
            yield f"{name}: sees only what is reported in {alarm['Unit']}"
    yield from (f"nothing watches {watched}" for watched in wanted if watched not in found)


@invariant(
    fault("an alarm only at the second failure", put("FailedInvocationsAlarm", "Properties", "Threshold", value=2)),
    fault(
        "a comparison the wrong way round",
        put("HeldAlarm", "Properties", "ComparisonOperator", value="LessThanThreshold"),
    ),
    fault("an alarm only if the failure repeats", put("ThrottlesAlarm", "Properties", "EvaluationPeriods", value=2)),
    fault("one error, which the retry makes good", put("ErrorsAlarm", "Properties", "Threshold", value=1)),
    fault("more errors than there are attempts", put("ErrorsAlarm", "Properties", "Threshold", value=3)),
    fault("attempts that fall into two periods", put("ErrorsAlarm", "Properties", "Period", value=300)),
    fault("an alarm at every pause", put("DurationAlarm", "Properties", "Threshold", value=870_000)),
    fault("a duration that no invocation reaches", put("DurationAlarm", "Properties", "Threshold", value=900_000)),
    fault("changes owed for a second", put("ChangesOwedAlarm", "Properties", "Threshold", value=1), **CHANGES),
    fault(
        "missing data that counts as a failure", put("ErrorsAlarm", "Properties", "TreatMissingData", value="breaching")
    ),
    fault("a function that never runs, and no alarm", drop("NoSnapshotAlarm", "Properties", "TreatMissingData")),
    fault(
        "another number of hours",
        put("NoSnapshotAlarm", "Properties", "EvaluationPeriods", value=26),
        NoSnapshotHours="30",
    ),
    fault(
        "hours that are not passed on",
        put("AlarmsStack", "Properties", "Parameters", "NoSnapshotHours", value=26),
        NoSnapshotHours="30",
    ),
    fault("periods of half an hour", put("NoSnapshotAlarm", "Properties", "Period", value=1800)),
    fault("an alarm after any single hour", put("NoSnapshotAlarm", "Properties", "DatapointsToAlarm", value=1)),
)
def alarms_go_off_at_the_first_failure(stack: Deployment) -> Complaints:
    for name, alarm, (_, metric, _, _) in alarms(stack):
        if metric == "SnapshotPublished":
            yield from (f"{name}: {problem}" for problem in about_silence(stack, alarm))
            continue
        if alarm["ComparisonOperator"] != "GreaterThanOrEqualToThreshold" or alarm["EvaluationPeriods"] != 1:
            yield f"{name}: does not go off at once"
        if alarm["TreatMissingData"] != "notBreaching":
            yield f"{name}: takes it for a failure that nothing failed"
        yield from (f"{name}: {problem}" for problem in about_threshold(stack, metric, alarm))


def about_silence(stack: Deployment, alarm: dict) -> Complaints:
    seconds = alarm["Period"] * int(alarm["EvaluationPeriods"])
    if seconds != int(stack.parameters["NoSnapshotHours"]) * 3600 or "DatapointsToAlarm" in alarm:
        yield f"looks at {seconds} s, or at a part of them"
    if (alarm["ComparisonOperator"], alarm["Threshold"]) != ("LessThanThreshold", 1):
        yield "does not go off when there is none"
    if alarm.get("TreatMissingData") != "breaching":
        yield "takes it for good news to hear nothing"


def about_threshold(stack: Deployment, metric: str, alarm: dict) -> Complaints:
    (invoked,) = stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    timeout = stack.function["Timeout"]
    if metric == "Errors":
        # One failure that the retry makes good is nobody's business.
        attempts = 1 + invoked["MaximumRetryAttempts"]
        if alarm["Threshold"] != attempts:
            yield f"there are {attempts} attempts, and it waits for {alarm['Threshold']} errors"
        if alarm["Period"] < invoked["MaximumEventAgeInSeconds"] + attempts * timeout:
            yield "the attempts may fall into two periods"
    elif metric == "Duration":
        if not (timeout - RESERVE_SECONDS) * 1000 < alarm["Threshold"] < timeout * 1000:
            yield "is not between the pause and the time-out"
    elif metric == "ChangesOwedSeconds":
        if alarm["Threshold"] not in OWED_FOR_LONG:
            yield f"waits for {alarm['Threshold']} s"
    elif alarm["Threshold"] != 1:
        yield f"waits for {alarm['Threshold']}"


@invariant(
    fault("a period that CloudWatch does not know", put("HeldAlarm", "Properties", "Period", value=90)),
    fault("more than a day of short periods", put("NoSnapshotAlarm", "Properties", "Period", value=1800)),
    fault("more than a week", lambda template: template["Parameters"]["NoSnapshotHours"].update(MaxValue=200)),
)
def alarm_periods_are_within_the_limits_of_cloudwatch(stack: Deployment) -> Complaints:
    """CloudWatch's API reference, PutMetricAlarm, EvaluationPeriods: a day, or a week of whole hours."""
    hours = stack.template["Parameters"]["NoSnapshotHours"]["MaxValue"]
    for name, alarm, (_, metric, _, _) in alarms(stack):
        periods = hours if metric == "SnapshotPublished" else alarm["EvaluationPeriods"]
        longest = 7 * 86_400 if alarm["Period"] >= 3600 else 86_400
        if alarm["Period"] % 60 or alarm["Period"] * periods > longest:
            yield f"{name}: CloudWatch refuses {periods} periods of {alarm['Period']} s"


@invariant(
    fault("an alarm that nobody hears", put("HeldAlarm", "Properties", "AlarmActions", value=[]), **EMAIL),
    fault("an alarm that one of two hears", drop("ErrorsAlarm", "Properties", "AlarmActions", 1), **TOPIC, **EMAIL),
    fault("an alarm without actions", drop("ErrorsAlarm", "Properties", "AlarmActions"), **TOPIC),
    fault("no message when the alarm ends", drop("ErrorsAlarm", "Properties", "OKActions"), **TOPIC),
    fault("actions that are switched off", put("ErrorsAlarm", "Properties", "ActionsEnabled", value=False)),
    fault("a topic without a subscription", drop("AlarmTopic", "Properties", "Subscription"), **EMAIL),
    fault("a topic that nobody asked for", drop("AlarmTopic", "Condition")),
    fault("a topic without alarms", drop("AlarmTopic", "Condition"), Alarms="false", **EMAIL),
    fault(
        "a topic that the alarms do not know",
        put("AlarmsStack", "Properties", "Parameters", "TopicArn", value=""),
        **TOPIC,
    ),
    fault(
        "an alarm about notices that nobody hears",
        put("NoticesStack", "Properties", "Parameters", "CreatedAlarmTopicArn", value=""),
        **EMAIL,
        **NOTICES,
    ),
    fault(
        "alarms among the notices",
        put("AlarmsStack", "Properties", "Parameters", "TopicArn", value=NOTICE_TOPIC["NoticeTopicArn"]),
        **NOTICES,
        **NOTICE_TOPIC,
    ),
    fault("an alarm that does not say what to do", put("HeldAlarm", "Properties", "AlarmDescription", value="Held")),
)
def every_alarm_notifies_every_configured_topic(stack: Deployment) -> Complaints:
    address = stack.parameters["AlarmEmail"] if stack.parameters["Alarms"] == "true" else ""
    of_notices = {target["Arn"] for rule in stack.of_type("AWS::Events::Rule").values() for target in rule["Targets"]}
    topics = {
        arn: stack.of_type("AWS::SNS::Topic")[name]
        for arn, name in stack.arns("AWS::SNS::Topic").items()
        if arn not in of_notices
    }
    subscribed = [topic.get("Subscription") for topic in topics.values()]
    if subscribed != ([[{"Protocol": "email", "Endpoint": address}]] if address else []):
        yield f"{address or 'nobody'} is to get e-mail, and the topics send to {subscribed}"
    # None is named by default: the console and the dashboard show the alarms then.
    named = {stack.parameters["AlarmTopicArn"], *topics} - {""}
    for name, alarm, _ in alarms(stack):
        for actions in ("AlarmActions", "OKActions"):
            if set(alarm.get(actions, [])) != named:
                yield f"{name}: {actions} are {alarm.get(actions)}, not {sorted(named)}"
        if alarm.get("ActionsEnabled", True) is not True:
            yield f"{name}: its actions are switched off"
        if f"See {name} in docs/operations.md." not in alarm["AlarmDescription"]:
            yield f"{name}: does not say where to read on"


def in_dashboard(found: str, instead: str) -> Change:
    def change(template: dict) -> None:
        body = resources_with(template, "OverviewDashboard")["OverviewDashboard"]["Properties"]["DashboardBody"]
        body["Fn::Sub"] = body["Fn::Sub"].replace(found, instead)

    return change


@invariant(
    fault("a dashboard that nobody wants", drop("DashboardStack", "Condition"), Dashboard="false"),
    fault("a dashboard without metrics", drop("DashboardStack", "Condition"), MetricsNamespace=""),
    fault("no dashboard", drop("DashboardStack")),
    fault(
        "a dashboard of another function",
        put("DashboardStack", "Properties", "Parameters", "Function", value="of-another-stack"),
    ),
    fault("a widget above another", in_dashboard('"x":8,"y":0', '"x":4,"y":0')),
    fault("a widget beyond the edge", in_dashboard('"x":16,"y":6', '"x":20,"y":6')),
    fault("another region", in_dashboard('"region":"${AWS::Region}"', '"region":"eu-west-1"')),
    fault("a text that is no JSON", in_dashboard('"widgets": [', '"widgets": [,')),
    fault("a name that is not filled in", in_dashboard('"${Function}"', '"${!Function}"')),
    fault("a metric of something else", in_dashboard('"${FailedInvocations}"', '"somebody-elses"')),
    fault("a log of something else", in_dashboard("SOURCE '${LogGroup}'", "SOURCE 'another'")),
)
def the_dashboard_shows_this_stack(stack: Deployment) -> Complaints:
    found = list(stack.of_type("AWS::CloudWatch::Dashboard").values())
    wanted = stack.parameters["Dashboard"] == "true" and stack.parameters["MetricsNamespace"] != ""
    if len(found) != int(wanted):
        yield f"there are {len(found)} dashboards"
    for dashboard in found:
        try:
            widgets = json.loads(dashboard["DashboardBody"])["widgets"]
        except ValueError as problem:
            yield f"is no JSON: {problem}"
            continue
        yield from misplaced(widgets)
        for widget in widgets:
            yield from about_something_else(stack, widget["properties"])


def misplaced(widgets: list[dict]) -> Complaints:
    taken = set()
    for widget in widgets:
        columns = range(widget["x"], widget["x"] + widget["width"])
        cells = {(x, y) for x in columns for y in range(widget["y"], widget["y"] + widget["height"])}
        if taken & cells or columns.stop > 24:
            yield f"{widget['properties']['title']!r} is above another, or beyond the edge"
        taken |= cells


def about_something_else(stack: Deployment, shown: dict) -> Complaints:
    own = {watched[2:] for watched in to_be_watched(stack)}
    namespaces = {watched[0] for watched in to_be_watched(stack)}
    if shown["region"] != REGION or "${" in json.dumps(shown):
        yield f"{shown['title']!r} is of another region, or has a name that is not filled in"
    for namespace, *rest in (metric for metric in shown.get("metrics", []) if isinstance(metric[0], str)):
        if namespace not in namespaces or tuple(rest[1:3]) not in own:
            yield f"{shown['title']!r} shows {namespace} {rest}, which is not the stack's"
    if "query" in shown and not any(f"'<{log}>'" in shown["query"] for log in stack.of_type("AWS::Logs::LogGroup")):
        yield f"{shown['title']!r} looks into another log"
