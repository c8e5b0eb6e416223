"""The state machine continues a run until a snapshot is published: moto's interpreter runs it through
every state with scripted functions, and with the real program, with shorter waits and limits.

The interpreter does not assume the role, and has no time-outs of a task (`States.Timeout`) or of the
whole execution, so these are not proven. It takes the name of an error from the function's answer; the
proof assumes that Step Functions calls a killed invocation `Sandbox.Timedout` or `Runtime.ExitError`
(AWS's documentation says `Lambda.Unknown`).
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from .aws import ACCOUNT, Answer, Aws, Refused
from .eventbridge import Bus, from_state_machine
from .lambda_runtime import Environment
from .scene import Failed, Scene, expect
from .stack import definition

# Replaces the definition's 150 where the limit matters.
MAX_INVOCATIONS = 5


def prove(scene: Scene) -> None:
    machine = Machine(scene.aws, MAX_INVOCATIONS)
    for scenario in SCENARIOS:
        try:
            scenario(machine)
        except Failed as problem:
            raise Failed(f"{scenario.__name__}: {problem}") from None
    never = machine.states - machine.visited
    expect(not never, f"no scenario reaches {sorted(never)}")
    scene.notes.append(f"{len(SCENARIOS)} scenarios, through all {len(machine.states)} states")
    patient = Machine(scene.aws, 150)
    the_real_program_goes_on(scene, patient)
    the_real_program_is_killed(scene, patient)


class Machine:
    """The state machine on moto. It is not the stack's own, because moto's CloudFormation creates that
    one in another backend, which executes nothing."""

    def __init__(self, aws: Aws, most_invocations: int):
        self._aws = aws
        self._client = aws.client("stepfunctions")
        role = f"arn:aws:iam::{ACCOUNT}:role/any"
        shortened = quick(definition(), most_invocations)
        self.states = set(names_of(shortened))
        self.visited: set[str] = set()
        self._arn = self._client.create_state_machine(
            name=f"at-most-{most_invocations}", definition=json.dumps(shortened), roleArn=role
        )["stateMachineArn"]

    def bus(self) -> Bus:
        """What it tells EventBridge."""
        return Bus(self._aws)

    def refuse_events(self, times: int) -> None:
        """EventBridge takes no event, this many times."""
        self._aws.refuse("AWSEvents.PutEvents", times)

    def run(
        self, *functions: Callable[[Any], Answer], event: Any = None, announce: bool | None = None
    ) -> dict[str, Any]:
        """Runs it for these functions, and returns how the execution ended."""
        instances = []
        for number, function in enumerate(functions):
            arn = f"arn:aws:lambda:us-east-1:123456789012:function:instance-{number}"
            self._aws.functions[arn] = function
            instances.append({"function": arn, "event": event or {}})
        execution = self._client.start_execution(
            stateMachineArn=self._arn,
            name=str(uuid.uuid4()),
            input=json.dumps({"instances": instances} | ({} if announce is None else {"announce": announce})),
        )["executionArn"]
        end = time.monotonic() + 120
        while True:
            described = self._client.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                break
            expect(time.monotonic() < end, f"the execution does not end: {described}")
            time.sleep(0.05)
        history = self._client.get_execution_history(executionArn=execution)["events"]
        self.visited |= {
            entered["stateEnteredEventDetails"]["name"]
            for entered in history
            if "stateEnteredEventDetails" in entered
        }
        return described


def quick(machine: dict[str, Any], most_invocations: int) -> dict[str, Any]:
    """The definition with seconds instead of minutes, and with its one substitution. Only numbers
    change."""
    text = json.dumps(machine).replace("${Partition}", "aws")

    def shorten(value: Any) -> Any:
        if isinstance(value, list):
            return [shorten(item) for item in value]
        if not isinstance(value, dict):
            return value
        short = {
            "IntervalSeconds": 1,
            "BackoffRate": 1,
            "NumericGreaterThanEquals": most_invocations,
        }
        if value.get("Type") == "Wait" and "Seconds" in value:
            short["Seconds"] = 1
        return {name: short.get(name, shorten(item)) for name, item in value.items()}

    return shorten(json.loads(text))


def names_of(machine: dict[str, Any]) -> Iterator[str]:
    for name, state in machine["States"].items():
        yield name
        if state["Type"] == "Map":
            yield from names_of(state["ItemProcessor"])


def script(*answers: Answer | Exception) -> Callable[[Any], Answer]:
    """A function that gives these answers in turn, the last of them forever."""
    left = list(answers)

    def function(_: Any) -> Answer:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return function


def says(status: str, **more: Any) -> Answer:
    return Answer({"status": status, "snapshot_id": "20261121T120000Z-3f9a1c"} | more)


def fails(name: str) -> Answer:
    return Answer({"errorType": name, "errorMessage": "…"}, is_error=True)


def in_a_second() -> str:
    moment = datetime.now(UTC) + timedelta(seconds=1)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def outcomes(ended: dict[str, Any]) -> list[dict[str, Any]]:
    """The outcome of each instance, from an execution that succeeded or failed."""
    if ended["status"] == "SUCCEEDED":
        return json.loads(ended["output"])["outcomes"]
    return json.loads(ended["cause"])


def expect_end(ended: dict[str, Any], *expected: str, error: str | None = None) -> None:
    status = "FAILED" if error else "SUCCEEDED"
    wanted = ended["status"] == status and ended.get("error") == error
    expect(wanted, f"{ended['status']}, {ended.get('error')}: {ended.get('cause')}")
    found = outcomes(ended)
    expect([outcome["outcome"] for outcome in found] == list(expected), found)


def partial_three_times_then_complete(machine: Machine) -> None:
    partial = says("partial", reason="time_budget")
    ended = machine.run(script(partial, partial, partial, says("complete")))
    expect_end(ended, "done")
    (outcome,) = outcomes(ended)
    expect(outcome["invocations"] == 4, outcome)


def a_restart_happens_once(machine: Machine) -> None:
    """The next invocation continues the run that the first one began."""
    events = []
    scripted = script(says("partial", reason="time_budget"), says("partial", reason="time_budget"), says("complete"))

    def function(event: Any) -> Answer:
        events.append(event)
        return scripted(event)

    expect_end(machine.run(function, event={"restart": True}), "done")
    expect(events == [{"restart": True}, {}, {}], events)


def skipped(machine: Machine) -> None:
    expect_end(machine.run(script(says("skipped"))), "done")


def busy_more_often_than_the_bound(machine: Machine) -> None:
    """Waiting for another invocation is not a failure, and does not count against the limit."""
    busy = [says("busy", held_until=in_a_second())] * (MAX_INVOCATIONS + 2)
    partial = [says("partial", reason="time_budget")] * (MAX_INVOCATIONS - 1)
    ended = machine.run(script(*busy, *partial, *busy, says("complete")))
    expect_end(ended, "done")
    (outcome,) = outcomes(ended)
    expect(outcome["invocations"] == MAX_INVOCATIONS, outcome)


def clerk_names_a_time(machine: Machine) -> None:
    partial = says("partial", reason="rate_limited", retry_at=in_a_second())
    expect_end(machine.run(script(partial, says("complete"))), "done")


def held(machine: Machine) -> None:
    expect_end(machine.run(script(says("held"))), "held", error="SnapshotHeld")


def errors_that_pass(machine: Machine) -> None:
    function = script(
        Refused(429, "TooManyRequestsException"), fails("ClerkUnavailable"), fails("LeaseLost"),
        says("complete"),
    )
    expect_end(machine.run(function), "done")


def killed(machine: Machine) -> None:
    """The invocation is killed at its time-out or out of memory: the next one continues."""
    names = ("Sandbox.Timedout", "Runtime.ExitError", "Lambda.Unknown")
    ended = machine.run(script(*map(fails, names), says("complete")))
    expect_end(ended, "done")


def killed_every_time(machine: Machine) -> None:
    """The first invocation and three retries are all killed."""
    invocations = []

    def function(event: Any) -> Answer:
        invocations.append(event)
        return fails("Runtime.ExitError")

    ended = machine.run(function)
    expect_end(ended, "failed", error="InstanceFailed")
    expect(len(invocations) == 4, f"{len(invocations)} invocations")


def an_error_that_stays(machine: Machine) -> None:
    ended = machine.run(script(fails("InvalidConfig")))
    expect_end(ended, "failed", error="InstanceFailed")
    (outcome,) = outcomes(ended)
    expect(outcome["detail"]["Error"] == "InvalidConfig", outcome)


def never_done(machine: Machine) -> None:
    ended = machine.run(script(says("partial", reason="time_budget")))
    expect_end(ended, "failed", error="InstanceFailed")
    (outcome,) = outcomes(ended)
    expect(outcome["invocations"] == MAX_INVOCATIONS, outcome)


def not_the_answer_of_a_sync(machine: Machine) -> None:
    ended = machine.run(script(Answer([{"check": "secret", "ok": True}])))
    expect_end(ended, "failed", error="InstanceFailed")


def one_of_several_fails(machine: Machine) -> None:
    """A failing instance does not stop the others."""
    partial = says("partial", reason="time_budget")
    ended = machine.run(
        script(partial, partial, says("complete")),
        script(fails("ClerkUnauthorized")),
        script(says("held")),
    )
    expect_end(ended, "done", "failed", "held", error="InstanceFailed")


def answers_are_announced(machine: Machine) -> None:
    """Done or held, and nothing in between; in the form of Lambda's own events. Without being asked, nothing is."""
    with machine.bus() as bus:
        goes_on = script(says("partial", reason="time_budget"), says("complete", records={"users": 3}))
        ended = machine.run(goes_on, script(says("held")), announce=True)
        expect_end(ended, "done", "held", error="SnapshotHeld")
        told = {event["detail"]["responsePayload"]["status"]: event for event in bus.events()}
        expect(sorted(told) == ["complete", "held"], told)
        function = outcomes(ended)[0]["function"]
        wanted = from_state_machine(function, outcomes(ended)[0]["detail"])
        for part in ("source", "detail-type", "detail"):
            expect(told["complete"][part] == wanted[part], {"told": told["complete"], "wanted": wanted})
        for announce in (False, None):
            expect_end(machine.run(script(says("complete")), announce=announce), "done")
        expect_end(machine.run(script(fails("InvalidConfig")), announce=True), "failed", error="InstanceFailed")
        expect(not bus.events(), "it tells what nobody asked for")


def an_announcement_that_fails(machine: Machine) -> None:
    """The snapshot is published, and yet somebody must hear that nobody was told."""
    machine.refuse_events(times=2)
    expect_end(machine.run(script(says("complete")), announce=True), "done")
    machine.refuse_events(times=100)
    ended = machine.run(script(says("complete")), script(says("complete")), announce=True)
    machine.refuse_events(times=0)
    expect_end(ended, "failed", "failed", error="InstanceFailed")


SCENARIOS = (
    partial_three_times_then_complete,
    a_restart_happens_once,
    skipped,
    busy_more_often_than_the_bound,
    clerk_names_a_time,
    held,
    errors_that_pass,
    killed,
    killed_every_time,
    an_error_that_stays,
    never_done,
    not_the_answer_of_a_sync,
    one_of_several_fails,
    answers_are_announced,
    an_announcement_that_fails,
)


def the_real_program_goes_on(scene: Scene, machine: Machine) -> None:
    """Two Clerk instances at the same time, each with its function, prefix and run."""
    scene.empty_bucket()
    with scene.sandbox() as first, scene.sandbox() as second:
        functions = []
        for number, clerk in enumerate((first, second)):
            clerk.behave(latency_ms=20)
            url = f"{scene.settings(clerk)['SNAPSHOT_URL']}/instance-{number}"
            settings = scene.settings(clerk, SNAPSHOT_URL=url)
            log = scene.scratch / f"instance-{number}.log"
            functions.append(Environment(scene.program, settings, log))
        with functions[0], functions[1]:
            # So little time that it takes several invocations.
            ended = machine.run(
                *(function.invoke for function in functions), event={"time_budget_seconds": 0.08}
            )
    expect_end(ended, "done", "done")
    invocations = [outcome["invocations"] for outcome in outcomes(ended)]
    scene.notes.append(f"the real program, two instances: {invocations} invocations")


def the_real_program_is_killed(scene: Scene, machine: Machine) -> None:
    """It keeps its lease, so that retries are busy until the lease has ended."""
    scene.empty_bucket()
    with scene.sandbox() as clerk:
        clerk.behave(latency_ms=400)
        settings = scene.settings(clerk, LEASE_SECONDS="3", DEADLINE_RESERVE_SECONDS="0")
        answered = []
        with Environment(scene.program, settings, scene.scratch / "killed.log") as environment:

            def kill() -> None:
                end = time.monotonic() + 60
                while not any(key.endswith("checkpoint.json") for key in scene.objects()):
                    expect(time.monotonic() < end, "no checkpoint appears")
                    time.sleep(0.05)
                environment.kill()
                clerk.behave()

            def function(event: Any) -> Answer:
                answer = environment.invoke(event)
                answered.append(answer.payload.get("status") or answer.payload["errorType"])
                return answer

            killer = threading.Thread(target=kill)
            killer.start()
            ended = machine.run(function)
            killer.join()
    expect_end(ended, "done")
    first, *between, last = answered
    expect((first, last) == ("Runtime.ExitError", "complete"), f"{answered}")
    expect(between and set(between) == {"busy"}, f"{answered}")
    scene.notes.append(f"the real program, killed: {len(between)} times busy, then complete")
