"""What the probe does on request, and what it refuses to do."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request

from bench import certificates
from bench.sandbox import Sandbox

from ..scene import Scene, expect
from ..stack import ROOT
from .meddler import Ask, Asked, Meddle, Meddler, Reply, error, everywhere
from .probe import PROGRAM, run, sandbox
from .secrecy import PLANTED


def tries_a_deleted_user(scene: Scene) -> None:
    with sandbox(scene) as clerk:
        before = users(clerk)
        with urllib.request.urlopen(f"{clerk.url}/sandbox/workday", timeout=60):
            pass
        gone = next(user for user in before if user not in users(clerk))
        ran = run(clerk.url, PROBE_DELETED_USER=gone)
        expect(
            ran.verdicts()["cursor_of_deleted"]
            == ("yes", "refused: 422 `form_param_value_invalid`"),
            ran.report,
        )
        expect(gone not in ran.report, "the report names the user")
        there = run(clerk.url, PROBE_DELETED_USER=before[-1])
        expect(there.verdicts()["cursor_of_deleted"][0] == "not shown", there.report)
        other = before[len(before) // 2]
        ways = {
            "begins anew": lambda asked, ask: ask(asked.with_parameter("starting_after", "")),
            "continues": lambda asked, ask: ask(asked.with_parameter("starting_after", other)),
            "ends the list": lambda *_: Reply(200, []),
            "403 `action_blocked`": lambda *_: error(403, "action_blocked"),
        }
        for found, way in ways.items():

            def meddle(asked: Asked, ask: Ask, way: Meddle = way) -> Reply:
                return way(asked, ask) if asked.parameter("starting_after") == gone else ask(asked)

            with Meddler(clerk.url, meddle) as meddler:
                ran = run(meddler.url, PROBE_DELETED_USER=gone)
            expect(ran.verdicts()["cursor_of_deleted"][1] == found, ran.report)
            expect(
                ran.broken() == ({"cursor_of_deleted"} if found.startswith("403") else set()),
                ran.report,
            )


def meets_the_limit(scene: Scene) -> None:
    """Only on request, and never beyond the first 429 but for what was on its way."""
    cases = (
        (Limit(1, retry_after="1"), set(), "1 s, then 200"),
        (Limit(60, retry_after="0"), {"retry_after"}, "0 s, then 429 `too_many_requests`"),
        (Limit(60), {"retry_after"}, "no `Retry-After`"),
        (Limit(60, retry_after="soon"), {"retry_after"}, "not whole seconds"),
        (Limit(60, "quota_exceeded", retry_after="99"), {"rate_limit"}, "429 `quota_exceeded`"),
    )
    with sandbox(scene) as clerk:
        for limit, broken, found in cases:
            with Meddler(clerk.url, limit) as meddler:
                ran = run(meddler.url, PROBE_RATE_LIMIT="1")
            expect(ran.broken() == broken and f"| {found} |" in ran.report, ran.report)
            expect(0 < limit.refused <= 6 + 1, f"{limit.refused} requests were sent over the limit")
        untouched = Limit(60)
        with Meddler(clerk.url, untouched) as meddler:
            ran = run(meddler.url)
        expect(untouched.refused == 0 and ran.status == 0, "it reaches the limit unasked")
        # Without a limit it gives up.
        before = clerk.stats()["requests"]
        ran = run(clerk.url, PROBE_RATE_LIMIT="1")
        sent = clerk.stats()["requests"] - before
        expect(
            {"rate_limit", "retry_after"} <= ran.not_shown() and sent <= 120 + 150,
            f"{sent} requests",
        )


def speaks_tls(scene: Scene) -> None:
    folder = scene.scratch / "live"
    folder.mkdir()
    context, roots = certificates.write(folder)
    with sandbox(scene) as clerk:
        with Meddler(clerk.url, everywhere(lambda _: None), tls=context) as meddler:
            ran = run(meddler.url, SSL_CERT_FILE=str(roots))
            expect(
                ran.status == 0 and "HTTP/1.1; HTTP/2 is not offered" in ran.report,
                ran.report + ran.errors,
            )
            untrusted = run(meddler.url)
            expect(
                untrusted.status == 1 and "certificate is not trusted" in untrusted.errors,
                untrusted.errors,
            )
        context.set_alpn_protocols(["h2", "http/1.1"])
        with Meddler(clerk.url, everywhere(lambda _: None), tls=context) as meddler:
            ran = run(meddler.url, SSL_CERT_FILE=str(roots))
            expect(
                ran.status == 0 and "HTTP/1.1; HTTP/2 is offered, too" in ran.report,
                ran.report + ran.errors,
            )


def stops_in_time(scene: Scene) -> None:
    """It never sends more requests than it says."""
    fewer = (
        "import sys, probe.clerk; probe.clerk.MAX_REQUESTS = 40; "
        "from probe.program import main; sys.exit(main([]))"
    )
    with sandbox(scene) as clerk:
        ran = run(clerk.url, ["-c", fewer], PYTHONPATH=str(ROOT / "scripts"))
        sent = clerk.stats()["requests"]
    expect(
        sent == 40 and "40 of at most 40 requests" in ran.report, f"{sent} requests\n{ran.report}"
    )
    expect(ran.status == 0 and "40 requests were not enough" in ran.report, ran.report)


def refuses_misuse(scene: Scene) -> None:
    """Before anything is sent, with one sentence that repeats no value."""
    live = f"sk_live_{PLANTED}"
    cases = (
        ({"CLERK_SECRET_KEY": ""}, "CLERK_SECRET_KEY is not set"),
        ({"CLERK_SECRET_KEY": f"pk_test_{PLANTED}"}, "is a publishable key"),
        ({"CLERK_SECRET_KEY": f"'sk_test_{PLANTED}'"}, "is in quotation marks"),
        ({"CLERK_SECRET_KEY": f"CLERK_SECRET_KEY=sk_test_{PLANTED}"}, "is a whole line"),
        ({"CLERK_SECRET_KEY": f"sk_test_{PLANTED} x"}, "white space"),
        ({"CLERK_SECRET_KEY": PLANTED}, "is not a Clerk secret key"),
        ({"CLERK_SECRET_KEY": "sk_test_"}, "only the beginning"),
        ({"CLERK_SECRET_KEY": live}, "or set LIVE=1"),
        ({"CLERK_SECRET_KEY": live, "LIVE": PLANTED}, "LIVE is neither 1 nor 0"),
        (
            {"CLERK_SECRET_KEY": live, "LIVE": "1", "PROBE_RATE_LIMIT": "1"},
            "PROBE_RATE_LIMIT=1 uses up",
        ),
        ({"PROBE_RATE_LIMIT": PLANTED}, "PROBE_RATE_LIMIT is neither 1 nor 0"),
        ({"PROBE_DELETED_USER": PLANTED}, "PROBE_DELETED_USER must be the id of a user"),
        ({"CLERK_API_VERSION": PLANTED}, "CLERK_API_VERSION must be a date"),
        ({"CLERK_REQUESTS_PER_10S": PLANTED}, "CLERK_REQUESTS_PER_10S must be a number"),
        ({"CLERK_REQUESTS_PER_10S": "nan"}, "CLERK_REQUESTS_PER_10S must be a number"),
        ({"CLERK_API_URL": f"http://{PLANTED}.example"}, "CLERK_API_URL must be an https URL"),
        ({"CLERK_API_URL": f"https://{PLANTED}@api.example"}, "CLERK_API_URL must be an https URL"),
        ({"CLERK_API_URL": f"https://api.example/{PLANTED}"}, "CLERK_API_URL must be an https URL"),
    )
    with sandbox(scene) as clerk:
        for variables, complaint in cases:
            ran = run(clerk.url, **variables)
            expect(
                ran.status == 2 and not ran.report and complaint in ran.errors,
                {complaint: ran.errors},
            )
            expect(PLANTED not in ran.errors and ran.errors.count("\n") == 1, ran.errors)
        expect(clerk.stats()["requests"] == 0, "it asked all the same")
        refused = run(clerk.url, CLERK_SECRET_KEY="sk_test_unknown")
        expect(refused.status == 2 and "does not accept" in refused.errors, refused.errors)
        # A production key is taken if somebody says so; this server knows none.
        allowed = run(clerk.url, CLERK_SECRET_KEY=live, LIVE="1")
        expect(allowed.status == 2 and "does not accept" in allowed.errors, allowed.errors)
    nobody = run("http://127.0.0.1:9")
    expect(nobody.status == 1 and "the connection was refused" in nobody.errors, nobody.errors)
    option = subprocess.run(
        [sys.executable, "-B", PROGRAM, "--all"], capture_output=True, text=True, check=False
    )
    expect(option.returncode == 2, option.stderr)


def users(clerk: Sandbox) -> list[str]:
    with urllib.request.urlopen(f"{clerk.url}/sandbox/rows/users", timeout=60) as answer:
        return [json.loads(line)["id"] for line in answer.read().splitlines()]


class Limit:
    """After some requests without parameters for the number of users, answers 429 for a while."""

    def __init__(self, seconds: float, code: str = "too_many_requests", **headers: str):
        self._seconds, self._code, self._headers = seconds, code, headers
        self._lock = threading.Lock()
        self._left = 20
        self._since: float | None = None
        self.refused = 0

    def __call__(self, asked: Asked, ask: Ask) -> Reply:
        if asked.path != "/v1/users/count" or asked.query:
            return ask(asked)
        with self._lock:
            self._left -= 1
            if self._left < 0 and self._since is None:
                self._since = time.monotonic()
            if self._since is not None and time.monotonic() < self._since + self._seconds:
                self.refused += 1
                return error(429, self._code, **self._headers)
        return ask(asked)
