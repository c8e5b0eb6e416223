"""The instance, the connection to it, and its refusals."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator

from ..clerk import NOT_JSON, Answer, NoAnswer
from ..findings import Finding, Odd, judged, not_shown
from ..instance import Instance
from ..words import milliseconds

# The kinds of instances that are known; a report names no other.
KINDS = ("development", "production", "staging")

# Smaller answers need not be compressed, in bytes.
_WORTH_COMPRESSING = 1000

# The latency for which the program's usual concurrency fills the rate, in seconds
# (docs/reference.md, MAX_CONCURRENCY).
_SLOWEST_MEDIAN = 1.28

# Looks like an id and a key, and is neither.
NOBODY = "user_" + 27 * "0"
_NO_KEY = "sk_test_" + 8 * "0"


def instance(seen: Instance) -> Iterator[Finding]:
    answer = seen.greeting
    content = answer.json if isinstance(answer.json, dict) else {}
    if answer.status != 200 or not isinstance(content.get("id"), str) or not content["id"]:
        raise Odd(
            f"{seen.refusal(answer)}, no id" if answer.status == 200 else seen.refusal(answer)
        )
    kind = kind_of(answer)
    yield judged(
        "instance",
        kind == seen.settings.kind,
        f"an id, `{kind}`" if kind in KINDS else f"an id, {kind}",
    )


def kind_of(answer: Answer) -> str:
    kind = answer.json.get("environment_type") if isinstance(answer.json, dict) else None
    return kind if kind in KINDS else "a kind that is not known"


def refusals(seen: Instance) -> Iterator[Finding]:
    answer = seen.clerk.ask("/instance", key=_NO_KEY)
    is_so = (answer.status, answer.code) == (401, "clerk_key_invalid")
    yield judged("wrong_key", is_so, seen.refusal(answer))
    answer = seen.clerk.ask("/users", (("limit", "0"),))
    is_known = seen.codes.is_documented(answer.code)
    is_skipped = seen.codes.is_without_the_feature(answer.status, answer.code)
    yield judged(
        "wrong_parameter",
        answer.status == 422 and is_known and not is_skipped,
        seen.refusal(answer),
    )
    answer = seen.clerk.ask(f"/users/{NOBODY}")
    yield judged(
        "missing_row",
        (answer.status, answer.code) == (404, "resource_not_found"),
        seen.refusal(answer),
    )


def answers(seen: Instance) -> Iterator[Finding]:
    """Of all answers there were."""
    yield _api_version(seen)
    yield _http(seen)
    good = [answer for answer in seen.clerk.answers if answer.status == 200]
    yield _gzip(good)
    whole = sum(answer.json is not NOT_JSON for answer in good)
    yield judged("json", whole == len(good), f"{whole} of {len(good)} answers")
    yield answer_time([answer.seconds for answer in good])
    yield _error_shape(seen.clerk.answers)


def answer_time(seconds: list[float]) -> Finding:
    """From the time that each answer took, in seconds."""
    if not seconds:
        return not_shown("answer_time", "nothing was answered with 200")
    median = statistics.median(seconds)
    found = f"median {milliseconds(median)}, slowest {milliseconds(max(seconds))}"
    return judged("answer_time", median <= _SLOWEST_MEDIAN, found)


def _api_version(seen: Instance) -> Finding:
    named = {answer.headers.get("clerk-api-version") for answer in seen.clerk.answers}
    others = named - {None, seen.settings.api_version}
    found = "another one" if others else "none" if named == {None} else "the same"
    return judged("api_version", not others, found)


def _http(seen: Instance) -> Finding:
    is_spoken = all(answer.http_version == 11 for answer in seen.clerk.answers)
    found = "HTTP/1.1" if is_spoken else "HTTP/1.0"
    try:
        protocol = seen.clerk.protocols()
    except NoAnswer:
        return judged("http", is_spoken, found)
    if protocol is None and seen.settings.scheme == "http":
        return judged("http", is_spoken, f"{found}, without TLS")
    offered = "HTTP/2 is offered, too" if protocol == "h2" else "HTTP/2 is not offered"
    return judged("http", is_spoken, f"{found}; {offered}")


def _gzip(good: Iterable[Answer]) -> Finding:
    large = [answer for answer in good if len(answer.body) >= _WORTH_COMPRESSING]
    compressed = sum(answer.headers.get("content-encoding") == "gzip" for answer in large)
    if not large:
        return not_shown("gzip", "no answer had 1 kB")
    return judged("gzip", compressed == len(large), f"{compressed} of {len(large)} answers")


def _error_shape(all_answers: Iterable[Answer]) -> Finding:
    refused = [answer for answer in all_answers if 400 <= answer.status < 500]
    if not refused:
        return not_shown("error_shape", "nothing was refused")
    with_code = sum(answer.code is not None for answer in refused)
    return judged("error_shape", with_code == len(refused), f"{with_code} of {len(refused)}")
