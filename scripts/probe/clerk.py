"""Asks Clerk: GET requests, and no others. Nothing here has a method, an argument or a body that
could express another.

Requests go one at a time, far below the limit, and there are at most MAX_REQUESTS of them.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import time
import urllib.parse
import urllib.request
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .lists import Query
from .settings import Settings

# For everything but reaching the limit, which is off by default.
MAX_REQUESTS = 120

# The program waits as long for the first byte of an answer.
TIME_OUT_SECONDS = 30

# The program reads no larger body.
LARGEST_BODY_BYTES = 56 * 1024 * 1024

# How often a request is asked in all if Clerk does not answer, or with 5xx or 429; and the wait in
# between, in seconds.
_ATTEMPTS = 3
_WAIT_SECONDS = 0.5
# Clerk may ask for longer waits; these are the longest.
_LONGEST_WAIT_SECONDS = 30

# The value of `Answer.json` if the body is none.
NOT_JSON = object()


class NoAnswer(Exception):
    """No complete answer arrived. The text is one of this module's, never the server's."""


class Spent(Exception):
    """The probe has sent as many requests as it may."""


@dataclass(frozen=True)
class Answer:
    status: int
    # Names in lower case.
    headers: dict[str, str]
    # After decompression.
    body: bytes = field(repr=False)
    # From sending the request to the end of the body.
    seconds: float
    # 10 or 11.
    http_version: int
    json: Any = field(repr=False)

    @property
    def code(self) -> str | None:
        """Clerk's error code; `None` if the answer has none, or is not Clerk's."""
        errors = self.json.get("errors") if isinstance(self.json, dict) else None
        for error in errors if isinstance(errors, list) else []:
            if isinstance(error, dict) and isinstance(error.get("code"), str):
                return error["code"]
        return None

    @property
    def retry_after(self) -> int | None:
        """The whole seconds that Clerk asks to wait, if it does."""
        text = self.headers.get("retry-after", "").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


class Clerk:
    """Sends requests one after another."""

    def __init__(self, settings: Settings, user_agent: str):
        self._settings = settings
        self._user_agent = user_agent
        self._connection = Connection(settings)
        self._next_turn = 0.0
        self.requests = 0
        # Every answer, and why a request was asked again.
        self.answers: list[Answer] = []
        self.asked_again: Counter[str] = Counter()

    def ask(self, path: str, query: Query = (), key: str | None = None) -> Answer:
        """Requests a path below `/v1`: again, up to twice, after 429, 5xx, or no answer.

        `key` replaces the key of the settings. Raises NoAnswer, or Spent before anything is sent.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            is_last = attempt == _ATTEMPTS
            try:
                answer = self._send(path, query, key)
            except NoAnswer as problem:
                if is_last:
                    raise
                self.asked_again[str(problem)] += 1
                time.sleep(_WAIT_SECONDS)
                continue
            if is_last or not (answer.status == 429 or answer.status >= 500):
                return answer
            self.asked_again[f"status {answer.status}"] += 1
            named = _WAIT_SECONDS if answer.retry_after is None else answer.retry_after
            time.sleep(min(named, _LONGEST_WAIT_SECONDS))
        raise AssertionError("the last attempt returns or raises")

    def _send(self, path: str, query: Query, key: str | None) -> Answer:
        if self.requests >= MAX_REQUESTS:
            raise Spent
        time.sleep(max(0.0, self._next_turn - time.monotonic()))
        self._next_turn = time.monotonic() + self._settings.interval_seconds
        self.requests += 1
        answer = self._connection.get(path, query, self.headers(key))
        self.answers.append(answer)
        return answer

    def headers(self, key: str | None = None) -> dict[str, str]:
        """Those that the program sends."""
        return {
            "Authorization": f"Bearer {key or self._settings.key}",
            "Clerk-API-Version": self._settings.api_version,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": self._user_agent,
        }

    def protocols(self) -> str | None:
        """Whether HTTP/2 is offered: `h2`, `http/1.1`, or `None` without TLS. Sends no request."""
        return self._connection.protocols()


class Connection:
    """One connection, opened when it is needed. Redirects are not followed: the key would be sent
    along."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._open: http.client.HTTPConnection | None = None

    def get(self, path: str, query: Query, headers: dict[str, str]) -> Answer:
        """Sends one request. Raises NoAnswer."""
        target = f"/v1{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        began = time.monotonic()
        try:
            self._open = self._open or self._connect()
            self._open.request("GET", target, headers=headers)
            response = self._open.getresponse()
            body = response.read(LARGEST_BODY_BYTES + 1)
            if response.length:
                # It announced more than it sent, or more than anybody reads.
                raise http.client.IncompleteRead(b"")
        except (OSError, http.client.HTTPException, ValueError) as problem:
            self.close()
            raise NoAnswer(_reason(problem)) from None
        seconds = time.monotonic() - began
        if response.will_close:
            self.close()
        answered = {name.lower(): value for name, value in response.getheaders()}
        if answered.get("content-encoding", "").lower() in ("gzip", "x-gzip"):
            body = _gunzip(body)
        return Answer(response.status, answered, body, seconds, response.version, _parsed(body))

    def protocols(self) -> str | None:
        """The protocol that the server chooses if it may choose HTTP/2."""
        if self._settings.scheme == "http":
            return None
        context = ssl.create_default_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        connection = self._connect(context)
        try:
            connection.connect()
            return connection.sock.selected_alpn_protocol()
        except (OSError, http.client.HTTPException) as problem:
            raise NoAnswer(_reason(problem)) from None
        finally:
            connection.close()

    def close(self) -> None:
        if self._open:
            self._open.close()
        self._open = None

    def _connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        """Through the proxy that the environment names, if it names one for this host."""
        host, port = self._settings.host, self._settings.port
        if self._settings.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=TIME_OUT_SECONDS)
        context = context or ssl.create_default_context()
        proxy = urllib.request.getproxies().get("https")
        if not proxy or urllib.request.proxy_bypass(host):
            return http.client.HTTPSConnection(
                host, port, timeout=TIME_OUT_SECONDS, context=context
            )
        parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 80, timeout=TIME_OUT_SECONDS, context=context
        )
        connection.set_tunnel(host, port, _proxy_headers(parts))
        return connection


def _proxy_headers(parts: urllib.parse.SplitResult) -> dict[str, str]:
    if not parts.username:
        return {}
    named = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(named.encode()).decode()}


def _gunzip(body: bytes) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    try:
        decompressed = reader.decompress(body, LARGEST_BODY_BYTES)
    except zlib.error:
        raise NoAnswer("the body could not be decompressed") from None
    if not reader.eof:
        raise NoAnswer("the body could not be decompressed")
    return decompressed


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return NOT_JSON


def _reason(problem: Exception) -> str:
    """A text of our own: the problem's may quote what was sent."""
    match problem:
        case TimeoutError():
            return f"no answer within {TIME_OUT_SECONDS} s"
        case ssl.SSLCertVerificationError():
            return "the server's certificate is not trusted"
        case socket.gaierror():
            return "the host's name is not known"
        case ConnectionRefusedError():
            return "the connection was refused"
        case http.client.IncompleteRead():
            return "the answer was cut short"
        case _:
            return "the connection broke"
