"""The rules take the answers of the real program, and their notices say what it found and name nobody.

The rules are those of the created stack. Moto knows no topic as a target, so queues take their place, and an own
function renders the notices (eventbridge.py). Nobody's e-mail program was asked how it shows them.
"""

from __future__ import annotations

import json
from typing import Any

from bench.population import Population

from .aws import ACCOUNT, REGION
from .eventbridge import Event, from_lambda, from_state_machine, rendered
from .queries import Source
from .scene import Scene, expect
from .stack import EVERYTHING
from .template import evaluated

RULES = ("PublishedRule", "PublishedAloneRule", "PrivilegedGrantRule")


def prove(scene: Scene) -> None:
    scene.empty_bucket()
    with scene.sandbox(Population(300, 20, 640)) as clerk:
        first = scene.run({}, scene.settings(clerk))
        skipped = scene.run({}, scene.settings(clerk, SNAPSHOT_INTERVAL_MINUTES="1430"))
        before = Source.of(clerk)
    with scene.sandbox(Population(320, 21, 600)) as clerk:
        second = scene.run({}, scene.settings(clerk))
        owed = scene.run({"action": "changes"}, scene.settings(clerk))
        partial = scene.run({"force": True, "time_budget_seconds": 0.02}, scene.settings(clerk))
        after = Source.of(clerk)
    expect(first["status"] == second["status"] == "complete", {"first": first, "second": second})
    expect(second["changes"]["privileged_granted"] > 0, second)

    told = deliveries(scene, {"first": first, "skipped": skipped, "second": second, "owed": owed, "partial": partial})
    expect(told["first"] == {"PublishedAloneRule"}, told)
    expect(told["second"] == {"PublishedRule", "PrivilegedGrantRule"}, told)
    for name, answer in (("skipped", skipped), ("owed", owed), ("partial", partial)):
        expect(not told[name], {name: answer, "taken by": sorted(told[name])})

    transformers = {name: transformer(name) for name in RULES}
    notices = {
        name: rendered(transformers[name], from_lambda(function_arn(scene), first if name == RULES[1] else second))
        for name in RULES
    }
    says_what_changed(notices["PublishedRule"], before, after, second)
    for text in notices.values():
        names_nobody(text, before, after)
    scene.notes.append(f"{len(told)} answers of the real program, each as Lambda and as the state machine send it")
    scene.notes.extend(line.strip('"') for line in notices["PublishedRule"].split("\n"))


def function_arn(scene: Scene) -> str:
    return scene.stack.outputs["FunctionArn"]


def deliveries(scene: Scene, answers: dict[str, Any]) -> dict[str, set[str]]:
    """Which rules of the created stack take each answer. Both ways to send one must give the same."""
    events, sqs = scene.aws.client("events"), scene.aws.client("sqs")
    queues = {}
    for name in RULES:
        rule = scene.stack.launched.created[name]
        for target in events.list_targets_by_rule(Rule=rule)["Targets"]:
            events.remove_targets(Rule=rule, Ids=[target["Id"]])
        queues[name] = sqs.create_queue(QueueName=f"instead-{name}")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:instead-{name}"
        events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])
    found = {}
    for name, answer in answers.items():
        ways = []
        for event in (from_lambda(function_arn(scene), answer), from_state_machine(function_arn(scene), answer)):
            events.put_events(Entries=[entry(event)])
            ways.append({rule for rule, queue in queues.items() if arrived(sqs, queue)})
        expect(ways[0] == ways[1], {name: [sorted(way) for way in ways]})
        found[name] = ways[0]
    return found


def entry(event: Event) -> dict[str, str]:
    return {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}


def arrived(sqs: Any, queue: str) -> bool:
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return bool(messages)


def transformer(rule: str) -> dict[str, Any]:
    for stack in evaluated(EVERYTHING).stacks():
        if rule in stack.resources:
            return stack.properties(rule)["Targets"][0]["InputTransformer"]
    raise KeyError(rule)


def says_what_changed(text: str, before: Source, after: Source, answer: dict[str, Any]) -> None:
    """The numbers of members and roles are those that follow from Clerk's rows."""
    gained, lost = after.grant_ids() - before.grant_ids(), before.grant_ids() - after.grant_ids()
    members = [sum(":member:user:" in grant for grant in grants) for grants in (gained, lost)]
    roles = [sum(":user:" in grant and ":member:" not in grant for grant in grants) for grants in (gained, lost)]
    expect(all(members + roles), f"{members} and {roles} prove too little; take another population")
    wanted = (
        f"joined {members[0]}, left {members[1]}, roles gained {roles[0]}, roles lost {roles[1]}.",
        answer["snapshot_id"],
        answer["changes"]["from"],
        answer["changes"]["summary"],
        f"Privileged grants: {answer['changes']['privileged_granted']}.",
    )
    missing = [words for words in wanted if words not in text]
    expect(not missing, {"says": text, "and not": missing})


def names_nobody(text: str, *sources: Source) -> None:
    for source in sources:
        for user in source.lists["users"]:
            addresses = [address["email_address"] for address in user["email_addresses"]]
            names = [user["first_name"], user["last_name"], user["username"], *addresses]
            # A name of two letters may be part of a word.
            shown = [name for name in names if name and len(name) > 3 and name in text]
            expect(not shown, {"names": shown, "text": text})
        for organization in source.lists["organizations"]:
            expect(organization["name"] not in text, {"names": organization["name"], "text": text})
