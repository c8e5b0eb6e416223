"""Lambda's runtime interface (AWS documentation, "Using the Lambda runtime API for custom
runtimes") and an execution environment: the real program with the variables that Lambda sets, a file
system that is writable only below /tmp, and a deadline."""

from __future__ import annotations

import json
import pathlib
import queue
import select
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .aws import Answer

CONFINE = pathlib.Path(__file__).with_name("confine.sh")

# The template's time-out.
TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True)
class Delivery:
    request_id: str
    deadline_ms: int
    event: Any


@dataclass(frozen=True)
class Post:
    path: str
    body: Any


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A killed function breaks its connections."""


class Environment:
    """One execution environment of a function, from its start until `close`."""

    def __init__(
        self,
        bootstrap: pathlib.Path,
        settings: dict[str, str],
        log: pathlib.Path,
        name: str = "clerk-sync",
        confinement: str = "none",
        within: tuple[str, ...] = (),
    ):
        self._deliveries: queue.Queue[Delivery | None] = queue.Queue()
        self._posts: queue.Queue[Post] = queue.Queue()
        self._one_at_a_time = threading.Lock()
        self._server = Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.log = log
        # All variables of the program. HOME is not among them, as in Lambda
        # (AWS documentation, "Using Lambda environment variables").
        self._variables = settings | {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "INFO",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/21/[$LATEST]0123456789abcdef",
            "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023",
            "LAMBDA_TASK_ROOT": "/var/task",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            "TZ": ":UTC",
            "_HANDLER": "bootstrap",
        }
        self._command = [*(within or (str(CONFINE), confinement)), str(bootstrap)]
        self._start()

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, *_: object) -> None:
        self._deliveries.put(None)
        self.kill()
        self._server.shutdown()

    def invoke(self, event: Any, seconds: float = TIMEOUT_SECONDS) -> Answer:
        """Invokes the function with its deadline `seconds` away. A process that has not answered by
        then is killed, and the next invocation starts another one, as in Lambda."""
        with self._one_at_a_time:
            if self._process.poll() is not None:
                self._start()
            request_id = str(uuid.uuid4())
            deadline_ms = int((time.time() + seconds) * 1000)
            self._deliveries.put(Delivery(request_id, deadline_ms, event))
            try:
                post = self._answer_until(time.monotonic() + seconds)
            except queue.Empty:
                self.kill()
                message = f"{request_id} Task timed out after {seconds:.2f} seconds"
                return Answer({"errorType": "Sandbox.Timedout", "errorMessage": message}, True)
            if post is None:
                error = {"errorType": "Runtime.ExitError", "errorMessage": "the runtime exited"}
                return Answer(error, True)
            if post.path == f"/invocation/{request_id}/response":
                return Answer(post.body)
            return Answer(post.body, True)

    def _answer_until(self, end: float) -> Post | None:
        """What the function posts; None if it ended without an answer. Raises `queue.Empty` at `end`."""
        while True:
            try:
                return self._posts.get(timeout=min(0.2, max(0.0, end - time.monotonic())))
            except queue.Empty:
                if self._process.poll() is not None and self._posts.empty():
                    return None
                if time.monotonic() >= end:
                    raise

    def kill(self) -> None:
        """Ends the process without a warning; the next invocation starts another."""
        self._process.kill()
        self._process.wait()

    def lines(self) -> list[dict[str, Any]]:
        """The log so far. Everything a function writes must be JSON."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


def _handler(environment: Environment) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            assert self.path == "/2018-06-01/runtime/invocation/next", self.path
            delivery = self._delivery()
            if delivery is None:
                self.close_connection = True
                return
            self._answer(
                200,
                delivery.event,
                {
                    "Lambda-Runtime-Aws-Request-Id": delivery.request_id,
                    "Lambda-Runtime-Deadline-Ms": str(delivery.deadline_ms),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:"
                    "123456789012:function:clerk-sync",
                    "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0",
                },
            )

        def _delivery(self) -> Delivery | None:
            """The next event; None if there will be none, or if nobody waits for it."""
            while True:
                try:
                    delivery = environment._deliveries.get(timeout=0.2)
                except queue.Empty:
                    delivery = None
                    if not self._is_gone():
                        continue
                if delivery is not None and self._is_gone():
                    environment._deliveries.put(delivery)
                    return None
                return delivery

        def _is_gone(self) -> bool:
            """Whether the process that asked has ended. It sends nothing while it waits."""
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.removeprefix("/2018-06-01/runtime")
            environment._posts.put(Post(path, json.loads(body)))
            self._answer(202, {"status": "OK"}, {})

        def _answer(self, status: int, body: Any, headers: dict[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
