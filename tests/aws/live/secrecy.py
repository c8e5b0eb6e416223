"""The report holds nothing of what was read, whatever Clerk, or whoever is in its place, sends."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from typing import Any

from bench.population import every_resource
from bench.sandbox import Sandbox

from ..scene import Scene, expect
from .deviations import ON_REQUEST
from .meddler import Ask, Asked, Meddler, Reply, always, error
from .probe import POPULATION, assumptions, lists, run, sandbox

# Occurs in nothing that the probe says of itself.
PLANTED = "planted-value"
PLANTED_USER = "user_plantedvalue"


def asks_for_every_list(scene: Scene) -> None:
    """The table that it reads is the program's own, and the schemas name the same resources."""
    with sandbox(scene) as clerk:
        run(clerk.url)
        asked = clerk.stats()["requests_by_path"]
    right = {
        f"/v1/{name}".replace("billing_", "billing/")
        for name in every_resource() - {"daily_active_users"}
    }
    expect(right <= asked.keys(), f"it does not ask for {sorted(right - asked.keys())}")
    expect(len(lists()) > len(right), lists())


def holds_for_the_synthetic_clerk(scene: Scene) -> None:
    with sandbox(scene) as clerk:
        rows = everything(clerk)
        began = time.monotonic()
        ran = run(clerk.url, CLERK_REQUESTS_PER_10S="2000")
        took = time.monotonic() - began
        stats = clerk.stats()
    expect(ran.status == 0 and not ran.broken(), ran.report + ran.errors)
    expect(ran.not_shown() == ON_REQUEST, f"not shown: {sorted(ran.not_shown())}")
    expect(
        ran.verdicts().keys() == assumptions(), f"{len(ran.verdicts())} assumptions are reported"
    )
    expect(not stats["violations"], stats["violations"])
    requests = stats["requests"]
    expect(
        f"- {requests} of at most 120 requests" in ran.report and requests <= 120,
        f"{requests} requests",
    )
    # A fifth of 2000 in ten seconds is one in 25 ms.
    expect(took >= 0.025 * (requests - 1), f"{requests} requests in {took:.2f} s")
    told = {value for value in texts(rows) if occurs(value, ran.report)}
    expect(not told, f"the report holds {sorted(told)}")
    exact = {str(POPULATION.users), str(POPULATION.memberships)}
    counts = {count for count in exact if occurs(count, ran.report)}
    expect(not counts, f"the report holds exact counts: {counts}")
    scene.notes.append(f"{len(ran.verdicts())} assumptions hold, in {requests} requests")
    scene.notes.append(f"none of {len(texts(rows))} values is in the report")


def tells_nothing(scene: Scene) -> None:
    """Each text that Clerk sends is planted, in each place where a text can be."""

    def planted(value: Any) -> Any:
        if isinstance(value, list):
            return [planted(element) for element in value]
        if isinstance(value, dict):
            inner = {name: planted(element) for name, element in value.items()}
            return inner | {PLANTED: PLANTED, f"{PLANTED}_secret": PLANTED}
        return PLANTED + value if isinstance(value, str) else value

    def meddle(asked: Asked, ask: Ask) -> Reply:
        reply = ask(asked)
        reply.content = planted(reply.content)
        names = ("Clerk-API-Version", "Retry-After", "X-Clerk-Trace-Id", "Server", PLANTED)
        reply.headers |= dict.fromkeys(names, PLANTED)
        return reply

    for answer in (
        meddle,
        lambda *_: error(422, PLANTED),
        lambda *_: Reply(200, None, text=PLANTED),
    ):
        with sandbox(scene) as clerk, Meddler(clerk.url, answer) as meddler:
            ran = run(meddler.url, PROBE_DELETED_USER=PLANTED_USER)
        expect(ran.status == 1 and ran.verdicts().keys() == assumptions(), ran.errors)
        shown = ran.report + ran.errors
        expect(PLANTED not in shown and PLANTED_USER not in shown, f"it tells: {shown}")


def survives_what_is_not_clerk(scene: Scene) -> None:
    """Whatever comes instead of an answer, the report says so in the end."""
    bodies = (
        *(None, [], {}, [1], [{"id": 7}], [{}], 10**30, "text", True),
        *({"data": 7, "total_count": "x"}, {"data": [{}], "total_count": 1}, {"data": [[]]}),
    )
    refusals = (None, {"errors": 7}, {"errors": [{"code": 7}]})
    answers = [Reply(200, body) for body in bodies] + [Reply(404, body) for body in refusals]
    with sandbox(scene) as clerk:
        for answer in answers:
            with Meddler(clerk.url, always(answer)) as meddler:
                ran = run(meddler.url)
            shown = ran.verdicts().keys()
            expect(ran.status == 1 and shown == assumptions(), f"{answer}: {ran.errors}")
        with Meddler(clerk.url, always(Reply(200, None, text="[" * 100_000))) as meddler:
            expect(run(meddler.url).status == 1, "deep nesting")


def occurs(value: str, report: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", report) is not None


def everything(clerk: Sandbox) -> list[Any]:
    """Every row of every list."""
    rows = []
    for name in clerk.stats()["rows"]:
        with urllib.request.urlopen(f"{clerk.url}/sandbox/rows/{name}", timeout=60) as answer:
            rows += [json.loads(line) for line in answer.read().splitlines()]
    return rows


def texts(value: Any) -> set[str]:
    """The texts in rows that could give somebody away: ids, names, addresses. Not words of the API,
    such as `active` or `org:member`, nor texts too short to mean anything."""
    if isinstance(value, list):
        return set().union(*map(texts, value)) if value else set()
    if isinstance(value, dict):
        return texts(list(value.values()))
    is_telling = isinstance(value, str) and len(value) > 5 and not re.fullmatch(r"[a-z_:]+", value)
    return {value} if is_telling else set()
