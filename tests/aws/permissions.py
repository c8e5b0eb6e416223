"""The function's role may do what the program needs, and nothing else.

With policies enforced and the role assumed, the program succeeds in every step. Without any one action
of the policy it fails in at least one step other than `check`, which tries everything anyway.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from bench.population import Population
from bench.sandbox import Sandbox

from .invariants.roles import INTERFACES
from .scene import Failed, Scene, expect
from .stack import BUCKET, PREFIX, role_policy

POLICY = "clerk-sync"

# Actions that only Lambda itself uses. They cannot be tried here.
NOT_THE_PROGRAMS = {
    "logs:CreateLogStream": "Lambda, which writes the log",
    "logs:PutLogEvents": "Lambda, which writes the log",
    "sqs:SendMessage": "Lambda, which reports final failures",
    "xray:PutTraceSegments": "Lambda, which traces",
    "xray:PutTelemetryRecords": "Lambda, which traces",
    "events:PutEvents": "Lambda, which passes on answers",
    **{action: "Lambda, which attaches the function to a VPC" for action in INTERFACES},
}

Step = Callable[[Scene, Sandbox, Sandbox], None]


def prove(scene: Scene) -> None:
    policy = policy_of(scene)
    set_policy(scene, policy)
    scene.aws.enforce_policies()
    try:
        try_policies(scene, policy)
    finally:
        scene.aws.trust_everybody()
    for action in sorted({action for _, action in actions(policy)} & NOT_THE_PROGRAMS.keys()):
        scene.notes.append(f"{action} is not tried: it is for {NOT_THE_PROGRAMS[action]}")


def try_policies(scene: Scene, policy: dict[str, Any]) -> None:
    with scene.sandbox() as clerk, scene.sandbox(Population(60, 10, 80)) as shrunk:
        # Slow enough to exceed a short budget.
        clerk.behave(latency_ms=10)
        before = len(scene.aws.requests)
        failed = failing_steps(scene, clerk, shrunk)
        expect(not failed, f"with the template's policy these steps fail: {failed}")
        below_the_prefix(scene, before)

        for statement, action in actions(policy):
            if action in NOT_THE_PROGRAMS:
                continue
            set_policy(scene, without(policy, statement, action))
            failed = failing_steps(scene, clerk, shrunk)
            named = [step for step in failed if step != "check"]
            expect(named, f"only check needs {action}: {failed}")
            scene.notes.append(f"without {action}: {', '.join(failed)} fail")
        for sid in {sid: None for sid, action in actions(policy) if action not in NOT_THE_PROGRAMS}:
            set_policy(scene, elsewhere(policy, sid))
            failed = failing_steps(scene, clerk, shrunk)
            expect(failed, f"every step succeeds with {sid} for another resource")
        scene.notes.append("each statement, for another resource than the right one, makes steps fail")
        set_policy(scene, policy)


def failing_steps(scene: Scene, clerk: Sandbox, shrunk: Sandbox) -> dict[str, str]:
    """The reason of each failing step, by its name."""
    failed = {}
    for step in STEPS:
        scene.empty_bucket()
        try:
            step(scene, clerk, shrunk)
        except Failed as problem:
            failed[step.__name__] = str(problem)
    return failed


def check(scene: Scene, clerk: Sandbox, _: Sandbox) -> None:
    answer = scene.run({"action": "check"}, scene.settings(clerk))
    expect(isinstance(answer, list) and all(item["ok"] for item in answer), answer)


def full_sync(scene: Scene, clerk: Sandbox, _: Sandbox) -> None:
    answer = scene.run({}, scene.settings(clerk))
    expect(answer.get("status") == "complete" and answer["verified"], answer)
    status = scene.run({"action": "status"}, scene.settings(clerk))
    expect(status["latest"]["snapshot_id"] == answer["snapshot_id"], status)


def resume(scene: Scene, clerk: Sandbox, _: Sandbox) -> None:
    invocations = 0
    answer: dict[str, Any] = {"status": "partial"}
    while answer.get("status") == "partial" and invocations < 50:
        answer = scene.run({"time_budget_seconds": 0.02}, scene.settings(clerk))
        invocations += 1
    expect(answer.get("status") == "complete", answer)
    expect(answer["invocations"] == invocations > 1, answer)


def held(scene: Scene, clerk: Sandbox, shrunk: Sandbox) -> None:
    answer = scene.run({}, scene.settings(clerk))
    expect(answer.get("status") == "complete", answer)
    answer = scene.run({}, scene.settings(shrunk))
    expect(answer.get("status") == "held", answer)
    answer = scene.run({"accept_shrink": True}, scene.settings(shrunk))
    expect(answer.get("status") == "complete", answer)


def clean_up(scene: Scene, clerk: Sandbox, _: Sandbox) -> None:
    """An abandoned run leaves nothing behind."""
    answer = scene.run({"time_budget_seconds": 0.02}, scene.settings(clerk))
    expect(answer.get("status") == "partial", answer)
    abandoned = answer["snapshot_id"]
    expect(any(abandoned in key for key in scene.objects()), "the paused run stored nothing")
    answer = scene.run({"restart": True}, scene.settings(clerk))
    expect(answer.get("status") == "complete", answer)
    left = [key for key in scene.objects() if abandoned in key or "checkpoint" in key]
    expect(not left, f"left behind: {left}")


STEPS: tuple[Step, ...] = (check, full_sync, resume, held, clean_up)


def below_the_prefix(scene: Scene, first: int) -> None:
    """Every request of the program is for keys below the prefix. Moto ignores the condition on
    listing. (Requests of the tests themselves name no key outside the prefix, either.)"""
    for request in scene.aws.requests[first:]:
        if not request.path.startswith(f"/{BUCKET}"):
            continue
        key = request.path.removeprefix(f"/{BUCKET}").removeprefix("/")
        if key:
            expect(key.startswith(f"{PREFIX}/"), f"{request.method} {request.path}")
        elif "prefix" in request.query:
            (prefix,) = request.query["prefix"]
            expect(prefix.startswith(f"{PREFIX}/"), f"a list of {prefix}")


def policy_of(scene: Scene) -> dict[str, Any]:
    role = scene.stack.outputs["FunctionRoleArn"].rsplit("/", 1)[-1]
    return role_policy(scene.aws, role, POLICY)


def set_policy(scene: Scene, policy: dict[str, Any]) -> None:
    role = scene.stack.outputs["FunctionRoleArn"].rsplit("/", 1)[-1]
    scene.aws.client("iam").put_role_policy(
        RoleName=role, PolicyName=POLICY, PolicyDocument=json.dumps(policy)
    )


def actions(policy: dict[str, Any]) -> list[tuple[str, str]]:
    """Each action with the name of its statement."""
    return [
        (statement["Sid"], action)
        for statement in policy["Statement"]
        for action in listed(statement["Action"])
    ]


def without(policy: dict[str, Any], sid: str, action: str) -> dict[str, Any]:
    reduced = copy.deepcopy(policy)
    for statement in reduced["Statement"]:
        if statement["Sid"] == sid:
            statement["Action"] = [name for name in listed(statement["Action"]) if name != action]
    reduced["Statement"] = [part for part in reduced["Statement"] if part["Action"]]
    return reduced


def elsewhere(policy: dict[str, Any], sid: str) -> dict[str, Any]:
    """The policy with this statement for another resource."""
    changed = copy.deepcopy(policy)
    for statement in changed["Statement"]:
        if statement["Sid"] == sid:
            head, star, _ = statement["Resource"].partition("/*")
            statement["Resource"] = f"{head}-beside{star}"
    return changed


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
