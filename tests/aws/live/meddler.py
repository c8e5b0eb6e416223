"""A server between the probe and the synthetic Clerk, which does what that has no fault for."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_UNLIKE_OTHERS = {
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "date",
    "vary",
}


@dataclass(frozen=True)
class Asked:
    """A request."""

    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]

    def parameter(self, name: str) -> str | None:
        return dict(self.query).get(name)

    def with_parameter(self, name: str, value: str) -> Asked:
        """The same with another value of a parameter that it has."""
        return replace(
            self, query=tuple((key, value if key == name else own) for key, own in self.query)
        )


@dataclass
class Reply:
    """An answer, whose body is not compressed yet."""

    status: int
    content: Any
    headers: dict[str, str] = field(default_factory=dict)
    # The body, if it is none of JSON.
    text: str | None = None
    is_compressed: bool = True

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a page, to be changed in place."""
        if isinstance(self.content, dict):
            listed = self.content.get("data", [])
        else:
            listed = self.content
        return listed if isinstance(listed, list) else []


Ask = Callable[[Asked], Reply]
# Answers a request, asking the synthetic Clerk for whatever it needs.
Meddle = Callable[[Asked, Ask], Reply]


def error(status: int, code: str, **headers: str) -> Reply:
    """A refusal in Clerk's shape."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        status, {"errors": [{"code": code, "message": code, "meta": {}}], "meta": {}}, named
    )


def always(reply: Reply) -> Meddle:
    return lambda asked, ask: replace(reply, headers=dict(reply.headers))


def everywhere(change: Any) -> Meddle:
    def meddle(asked: Asked, ask: Ask) -> Reply:
        reply = ask(asked)
        change(reply)
        return reply

    return meddle


class Meddler:
    """A running server. `protocol` is that of its status lines."""

    def __init__(
        self,
        clerk_url: str,
        meddle: Meddle,
        protocol: str = "HTTP/1.1",
        tls: ssl.SSLContext | None = None,
    ):
        handler = type(
            "Handler", (_Handler,), {"clerk_url": clerk_url, "protocol_version": protocol}
        )
        handler.meddle = staticmethod(meddle)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Meddler:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    # Otherwise head and body go out one by one, and the body waits for an acknowledgement.
    wbufsize = -1
    clerk_url: str
    meddle: Meddle

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(path, tuple(urllib.parse.parse_qsl(query, keep_blank_values=True)), headers)
        reply = self.meddle(asked, self._ask)
        body = (json.dumps(reply.content) if reply.text is None else reply.text).encode()
        if reply.is_compressed and "gzip" in headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1)
            reply.headers["Content-Encoding"] = "gzip"
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _ask(self, asked: Asked) -> Reply:
        headers = {
            name: value for name, value in asked.headers.items() if name != "accept-encoding"
        }
        target = f"{self.clerk_url}{asked.path}?{urllib.parse.urlencode(asked.query)}"
        request = urllib.request.Request(target, headers=headers)
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            others = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in _UNLIKE_OTHERS
            }
            return Reply(answer.status, json.loads(answer.read()), others)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""
