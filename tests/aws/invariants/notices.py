"""Notices: of which answers somebody is told, what the notice says, and whom it reaches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..eventbridge import MAY_BE_TOLD, Event, from_lambda, from_state_machine, is_taken, rendered
from ..stack import NOTICE_TOPIC, NOTICES, TOPIC
from .deployment import Change, Complaints, Deployment, drop, fault, invariant, put, resources_with

PUBLISHED = ("PublishedRule", "Properties")
ALONE = ("PublishedAloneRule", "Properties")
PRIVILEGED = ("PrivilegedGrantRule", "Properties")
ANSWER = ("EventPattern", "detail", "responsePayload")
TARGET = ("Targets", 0)

FEW = NOTICES | {"Notices": "privileged"}

SNAPSHOT = "20261121T040348Z-e4072d"
BEFORE = "20261120T035200Z-3f9a1c"
SUMMARY = f"s3://bucket/prefix/changes/{SNAPSHOT}/summary.json"
MANIFEST = f"s3://bucket/prefix/snapshots/{SNAPSHOT}/manifest.json"

# Numbers that occur nowhere else in an event.
EVENTS = {"member_added": 311, "member_removed": 322, "role_granted": 333, "role_revoked": 344}


def complete(**more: Any) -> dict[str, Any]:
    """The answer to a sync that published."""
    answer = {"status": "complete", "snapshot_id": SNAPSHOT, "manifest": MANIFEST, "verified": True}
    return answer | {"records": {"users": 355}, "message": "The snapshot is published."} | more


def changes(events: dict[str, int], privileged: int) -> dict[str, Any]:
    counted = {"complete": True, "events": events, "privileged_granted": privileged}
    return {"from": BEFORE, "summary": SUMMARY} | counted


CHANGED = complete(changes=changes(EVENTS, 0))
GRANTED = complete(changes=changes(EVENTS, 366))

# Answers, and the rules that have to take them.
ANSWERS: list[tuple[str, Any, set[str]]] = [
    ("a snapshot", CHANGED, {"PublishedRule"}),
    ("a snapshot without any change", complete(changes=changes({}, 0)), {"PublishedRule"}),
    ("a privileged grant", GRANTED, {"PublishedRule", "PrivilegedGrantRule"}),
    ("the first snapshot", complete(changes=None), {"PublishedAloneRule"}),
    ("a snapshot of a version without changes", complete(), {"PublishedAloneRule"}),
    ("nothing to do", {"status": "skipped", "snapshot_id": SNAPSHOT, "next_due_at": "2026-11-21T04:00:00.000Z"}, set()),
    ("a pause", {"status": "partial", "snapshot_id": SNAPSHOT, "reason": "time_budget"}, set()),
    ("a held snapshot", {"status": "held", "snapshot_id": SNAPSHOT, "shrunk": {}}, set()),
    ("changes that were owed", {"status": "complete", "made": [SNAPSHOT], "owed": 0}, set()),
    ("a check", [{"check": "store", "ok": True, "detail": "…"}], set()),
]


def rules(stack: Deployment) -> dict[str, dict[str, Any]]:
    return stack.of_type("AWS::Events::Rule")


def events(stack: Deployment) -> Iterator[tuple[str, Event, set[str]]]:
    """Events, and the rules that have to take them when everything is told."""
    for what, answer, wanted in ANSWERS:
        yield f"{what}, from Lambda", from_lambda(stack.function_arn, answer), wanted
        yield f"{what}, from the state machine", from_state_machine(stack.function_arn, answer), wanted
    dashed = {"detail-type": "Lambda Function Invocation Result – Success"}
    yield "an answer with a dash", from_lambda(stack.function_arn, CHANGED) | dashed, {"PublishedRule"}
    alias = f"{stack.function_arn}:live"
    yield "an answer of an alias", from_state_machine(alias, GRANTED), {"PublishedRule", "PrivilegedGrantRule"}
    another = f"{stack.function_arn}-2"
    yield "an answer of another function", from_lambda(another, GRANTED), set()
    yield "an answer of another function, from a state machine", from_state_machine(another, GRANTED), set()
    yield "a failure", from_lambda(stack.function_arn, GRANTED, "RetriesExhausted"), set()


@invariant(
    fault("snapshots that nobody hears of", put(*PUBLISHED, *ANSWER, "status", value=["done"]), **NOTICES),
    fault("first snapshots that nobody hears of", put(*ALONE, *ANSWER, "status", value=["done"]), **NOTICES),
    fault("privileged grants that nobody hears of", put(*PRIVILEGED, *ANSWER, "status", value=["done"]), **NOTICES),
    fault("snapshots that nobody wants to hear of", drop("PublishedRule", "Condition"), **FEW),
    fault("notices that nobody wants", drop("NoticesStack", "Condition")),
    fault("a rule that is switched off", put(*PRIVILEGED, "State", value="DISABLED"), **NOTICES),
    fault("a rule on another bus", put(*PRIVILEGED, "EventBusName", value="own"), **NOTICES),
    fault("every answer", drop(*PUBLISHED, "EventPattern", "detail", "responsePayload"), **NOTICES),
    fault("answers that are not complete", drop(*ALONE, *ANSWER, "status"), **NOTICES),
    fault("answers to other actions", drop(*ALONE, *ANSWER, "snapshot_id"), **NOTICES),
    fault("two notices of one snapshot", drop(*ALONE, *ANSWER, "changes"), **NOTICES),
    fault("a notice of no grant", put(*PRIVILEGED, *ANSWER, "changes", "privileged_granted", value=[0]), **NOTICES),
    fault(
        "a notice of the first grant only",
        put(*PRIVILEGED, *ANSWER, "changes", "privileged_granted", value=[1]),
        **NOTICES,
    ),
    fault(
        "a field that is misspelt", put(*PUBLISHED, *ANSWER, "changes", value={"From": [{"exists": True}]}), **NOTICES
    ),
    fault("answers of every function", drop(*PRIVILEGED, "EventPattern", "detail", "requestContext"), **NOTICES),
    fault(
        "answers of functions whose name begins alike",
        put(
            *PRIVILEGED,
            "EventPattern",
            "detail",
            "requestContext",
            "functionArn",
            value=[{"prefix": {"Ref": "FunctionArn"}}],
        ),
        **NOTICES,
    ),
    fault(
        "answers of another function",
        put("NoticesStack", "Properties", "Parameters", "FunctionArn", value="arn"),
        **NOTICES,
    ),
    fault("answers from Lambda alone", put(*PRIVILEGED, "EventPattern", "source", value=["lambda"]), **NOTICES),
    fault(
        "answers from the state machine alone",
        put(*PRIVILEGED, "EventPattern", "source", value=["clerk-sync"]),
        **NOTICES,
    ),
    fault("failures, too", drop(*PRIVILEGED, "EventPattern", "detail-type"), **NOTICES),
    fault("answers without a dash alone", drop(*PUBLISHED, "EventPattern", "detail-type", 1), **NOTICES),
)
def people_are_told_what_was_asked_for(stack: Deployment) -> Complaints:
    asked = {
        "": set(),
        "privileged": {"PrivilegedGrantRule"},
        "all": {"PublishedRule", "PublishedAloneRule", "PrivilegedGrantRule"},
    }[stack.parameters["Notices"]]
    if set(rules(stack)) != asked:
        yield f"the rules are {sorted(rules(stack))}, not {sorted(asked)}"
    for name, rule in rules(stack).items():
        # The function's answers go to the default bus.
        if rule.get("State", "ENABLED") != "ENABLED" or "EventBusName" in rule:
            yield f"{name}: is switched off, or on another bus"
    for what, event, wanted in events(stack):
        found = {name for name, rule in rules(stack).items() if is_taken(rule["EventPattern"], event)}
        if found != wanted & asked:
            yield f"{what} is taken by {sorted(found)}, not by {sorted(wanted & asked)}"


# What a notice has to say, as it stands in the events above.
SAID = {
    "PublishedRule": (CHANGED, [SNAPSHOT, BEFORE, SUMMARY, "true", *map(str, EVENTS.values())]),
    "PublishedAloneRule": (complete(changes=None), [SNAPSHOT, MANIFEST, "true"]),
    "PrivilegedGrantRule": (GRANTED, [SNAPSHOT, BEFORE, SUMMARY, "366"]),
}


def in_text(rule: str, found: str, instead: str) -> Change:
    def change(template: dict) -> None:
        target = resources_with(template, rule)[rule]["Properties"]["Targets"][0]
        text = target["InputTransformer"]["InputTemplate"]
        text["Fn::Sub"] = text["Fn::Sub"].replace(found, instead)

    return change


def with_path(rule: str, name: str, path: str) -> Change:
    return put(rule, "Properties", *TARGET, "InputTransformer", "InputPathsMap", name, value=path)


RESPONSE = "$.detail.responsePayload"


@invariant(
    fault("the raw event", drop(*PRIVILEGED, *TARGET, "InputTransformer"), **NOTICES),
    fault(
        "a path that leads nowhere",
        with_path("PublishedRule", "joined", f"{RESPONSE}.changes.events.joined"),
        **NOTICES,
    ),
    fault("a variable that nothing fills", in_text("PublishedRule", "<lost>", "<revoked>"), **NOTICES),
    fault("a variable that is not used", in_text("PublishedRule", "lost <lost>", "lost"), **NOTICES),
    fault(
        "numbers that are mixed up", in_text("PublishedRule", "joined <joined>", "joined <left> <joined>"), **NOTICES
    ),
    fault("a text of somebody else", with_path("PrivilegedGrantRule", "summary", f"{RESPONSE}.message"), **NOTICES),
    fault("what was asked", with_path("PrivilegedGrantRule", "from", "$.detail.requestPayload"), **NOTICES),
    fault(
        "a line without quotes", in_text("PublishedRule", '"In numbers: <summary>"', "In numbers: <summary>"), **NOTICES
    ),
    fault("a quote within a line", in_text("PublishedRule", "In numbers", 'In "numbers"'), **NOTICES),
    fault(
        "no way to ask on", in_text("PrivilegedGrantRule", "clerk-access --url ${SnapshotUrl} diff", "ask"), **NOTICES
    ),
    fault(
        "another bucket to look into",
        put("NoticesStack", "Properties", "Parameters", "SnapshotUrl", value="s3://b"),
        **NOTICES,
    ),
)
def notices_say_what_happened_and_name_nobody(stack: Deployment) -> Complaints:
    for name, rule in rules(stack).items():
        for target in rule["Targets"]:
            transformer = target.get("InputTransformer")
            if transformer is None:
                yield f"{name}: sends the event as it is"
                continue
            yield from (f"{name}: {problem}" for problem in about_form(transformer, stack))
            answer, wanted = SAID[name]
            text = rendered(transformer, from_lambda(stack.function_arn, answer))
            yield from (f"{name}: does not say {one}" for one in wanted if text.count(one) < 1)
            where = f"clerk-access --url {stack.variables['SNAPSHOT_URL']} diff"
            if where not in text:
                yield f"{name}: does not say {where}"
            yield from (f"{name}: {problem}" for problem in about_numbers(transformer, stack))


def about_form(transformer: dict[str, Any], stack: Deployment) -> Complaints:
    # A name that CloudFormation would choose stands in angle brackets, too.
    text = transformer["InputTemplate"].replace(stack.variables["SNAPSHOT_URL"], "s3://bucket")
    paths = transformer["InputPathsMap"]
    used = set(re.findall(r"<([^>]*)>", text))
    if used != set(paths):
        yield f"{sorted(used ^ set(paths))} are used and not defined, or the other way round"
    yield from (f"tells {path}" for path in paths.values() if not MAY_BE_TOLD.fullmatch(path))
    # A text that is no JSON stands in quotes, line by line. EventBridge does not escape what it puts in.
    yield from (f"{line} is not one quoted text" for line in text.split("\n") if not re.fullmatch(r'"[^"\\]+"', line))
    if len(text) > 8192:
        yield "is longer than EventBridge allows"


def about_numbers(transformer: dict[str, Any], stack: Deployment) -> Complaints:
    """Each number stands behind its word. One that is missing leaves nothing: no `null`, and not another's number."""
    words = {"member_added": "joined", "member_removed": "left", "role_granted": "gained", "role_revoked": "lost"}
    paths = transformer["InputPathsMap"].values()
    for event, word in words.items():
        if f"{RESPONSE}.changes.events.{event}" not in paths:
            continue
        alone = complete(changes=changes({event: EVENTS[event]}, 0))
        text = rendered(transformer, from_lambda(stack.function_arn, alone))
        found = re.findall(rf"{word} (\d*)[,.]", text)
        others = [number for number in map(str, EVENTS.values()) if number != str(EVENTS[event]) and number in text]
        if found != [str(EVENTS[event])] or others or "null" in text:
            yield f"with {EVENTS[event]} of {event} it says {text!r}"


@invariant(
    fault("a topic of somebody else", put(*PUBLISHED, *TARGET, "Arn", value=NOTICE_TOPIC["NoticeTopicArn"]), **NOTICES),
    fault("a second topic", drop("NoticeTopic", "Condition"), **NOTICES, **NOTICE_TOPIC),
    fault("a topic that EventBridge may not use", drop("NoticeTopicPolicy"), **NOTICES),
    fault(
        "a topic that everybody may use",
        put("NoticeTopicPolicy", *("Properties", "PolicyDocument", "Statement", 0, "Principal"), value="*"),
        **NOTICES,
    ),
    # EventBridge gives none of the keys that a condition could ask for, so it would publish nothing.
    fault(
        "a condition that EventBridge never meets",
        put(
            "NoticeTopicPolicy",
            *("Properties", "PolicyDocument", "Statement", 0, "Condition"),
            value={"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        ),
        **NOTICES,
    ),
    fault("an address that hears nothing", drop("NoticeSubscription"), NoticeEmail="audit@example.com", **NOTICES),
    fault("an address that was not given", drop("NoticeSubscription", "Condition"), **NOTICES),
    fault(
        "an address at another topic",
        put("NoticeSubscription", "Properties", "TopicArn", value=TOPIC["AlarmTopicArn"]),
        NoticeEmail="audit@example.com",
        **NOTICES,
        **NOTICE_TOPIC,
    ),
    fault("notices that are lost", drop(*PUBLISHED, *TARGET, "DeadLetterConfig"), **NOTICES),
    fault("notices that cannot be kept", drop("UndeliveredNoticesPolicy"), **NOTICES),
    fault(
        "a queue for rules of others",
        drop("UndeliveredNoticesPolicy", *("Properties", "PolicyDocument", "Statement", 0, "Condition")),
        **NOTICES,
    ),
    fault(
        "a rule whose notices cannot be kept",
        drop(
            "UndeliveredNoticesPolicy",
            *("Properties", "PolicyDocument", "Statement", 0, "Condition", "ArnEquals", "aws:SourceArn", 0),
        ),
        **NOTICES,
    ),
)
def notices_reach_the_topic_or_are_kept(stack: Deployment) -> Complaints:
    if not rules(stack):
        return
    created = {arn for arn, name in stack.arns("AWS::SNS::Topic").items() if name == "NoticeTopic"}
    existing = stack.parameters["NoticeTopicArn"]
    topics = {target["Arn"] for rule in rules(stack).values() for target in rule["Targets"]}
    if topics != ({existing} if existing else created) or (existing and created):
        yield f"notices go to {sorted(topics)}; there are {existing} and {sorted(created)}"
    may_publish = [
        statement
        for policy in stack.of_type("AWS::SNS::TopicPolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    # Who owns an existing topic permits it: a policy of ours would replace theirs.
    wanted = [] if existing else [by_eventbridge("PublishNotices", "sns:Publish", *created)]
    if may_publish != wanted:
        yield f"the topic permits {may_publish}, not {wanted}"
    subscribed = [
        (one["TopicArn"], one["Protocol"], one["Endpoint"]) for one in stack.of_type("AWS::SNS::Subscription").values()
    ]
    address = stack.parameters["NoticeEmail"]
    if subscribed != [(topic, "email", address) for topic in topics if address]:
        yield f"{subscribed} are subscribed, not {address or 'nobody'}"
    yield from about_keeping(stack)


def about_keeping(stack: Deployment) -> Complaints:
    queues = {arn for arn, name in stack.arns("AWS::SQS::Queue").items() if name == "UndeliveredNotices"}
    for name, rule in rules(stack).items():
        for target in rule["Targets"]:
            if target.get("DeadLetterConfig", {}).get("Arn") not in queues:
                yield f"{name}: what is not delivered is lost"
    found = [
        statement
        for policy in stack.of_type("AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    condition = {"ArnEquals": {"aws:SourceArn": list(stack.arns("AWS::Events::Rule"))}}
    wanted = [by_eventbridge("KeepUndelivered", "sqs:SendMessage", *queues) | {"Condition": condition}]
    if found != wanted:
        yield f"the queue permits {found}, not {wanted}"


def by_eventbridge(sid: str, action: str, resource: str) -> dict[str, Any]:
    who = {"Service": "events.amazonaws.com"}
    return {"Sid": sid, "Effect": "Allow", "Principal": who, "Action": action, "Resource": resource}
