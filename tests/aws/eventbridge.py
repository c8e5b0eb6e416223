"""EventBridge: the events in which a function's answer arrives, whether a rule takes one, and what it sends on.

Moto matches patterns. What an input transformer makes of an event follows AWS's documentation ("Amazon EventBridge
input transformation"): moto fails where a value is missing.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from .aws import ACCOUNT, REGION, Aws

Event = dict[str, Any]

# What an answer has, and what a person is told of it: ids, numbers and addresses of files.
MAY_BE_TOLD = re.compile(
    r"\$\.detail\.responsePayload\."
    r"(snapshot_id|verified|manifest|changes\.(from|summary|complete|privileged_granted|events\.[a-z_]+))"
)


def from_lambda(function_arn: str, answer: Any, result: str = "Success") -> Event:
    """What Lambda sends after an asynchronous invocation (AWS documentation, "Capturing records of Lambda asynchronous
    invocations")."""
    detail = {
        "version": "1.0",
        "timestamp": "2026-11-21T04:03:50.000Z",
        "requestContext": {
            "requestId": "7bf73129-1428-4cd3-a780-95db273d1602",
            "functionArn": f"{function_arn}:$LATEST",
            "condition": result,
            "approximateInvokeCount": 1,
        },
        "requestPayload": {},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": answer,
    }
    return event("lambda", f"Lambda Function Invocation Result - {result}", detail)


def from_state_machine(function_arn: str, answer: Any) -> Event:
    """What the state machine sends. continuation.py shows that it does."""
    detail = {"requestContext": {"functionArn": function_arn}, "responsePayload": answer}
    return event("clerk-sync", "clerk-sync answer", detail)


def event(source: str, kind: str, detail: dict[str, Any]) -> Event:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT,
        "time": "2026-11-21T04:03:51Z",
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def is_taken(pattern: dict[str, Any], event: Event) -> bool:
    """Whether a rule with this pattern takes the event."""
    from moto.events.models import EventPattern

    return EventPattern.load(json.dumps(pattern)).matches_event(event)


def rendered(transformer: dict[str, Any], event: Event) -> str:
    """What an input transformer makes of an event. A variable whose path leads nowhere leaves nothing; a text is put in
    as it is."""
    text = transformer["InputTemplate"]
    for name, path in transformer["InputPathsMap"].items():
        text = text.replace(f"<{name}>", shown(value_at(path, event)))
    return text


def value_at(path: str, event: Event) -> Any:
    """What a path such as `$.detail.status` leads to; None if it leads nowhere."""
    first, *names = path.split(".")
    assert first == "$", path
    value: Any = event
    for name in names:
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


def shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


class Bus:
    """What arrives at the account's default bus, while this is used as a context manager. Moto delivers it."""

    def __init__(self, aws: Aws):
        self._events = aws.client("events")
        self._sqs = aws.client("sqs")
        self._name = f"everything-{uuid.uuid4()}"

    def __enter__(self) -> Bus:
        self._queue = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self._name}"
        self._events.put_rule(Name=self._name, EventPattern=json.dumps({"account": [ACCOUNT]}))
        self._events.put_targets(Rule=self._name, Targets=[{"Id": "queue", "Arn": arn}])
        return self

    def __exit__(self, *_: object) -> None:
        self._events.remove_targets(Rule=self._name, Ids=["queue"])
        self._events.delete_rule(Name=self._name)

    def events(self) -> list[Event]:
        """Those since the last call."""
        found = []
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return found
