"""The time from the start of the process to its first request to Clerk."""

import contextlib
import http.server
import itertools
import json
import pathlib
import signal
import socket
import ssl
import tempfile
import threading
import time
import urllib.parse

from . import certificates
from .copying import Folder, settings
from .figures import Figure
from .processes import Child
from .report import Benchmark, Report, at_most, table
from .sandbox import KEY
from .workbench import Workbench

START = "Start to first request at most 50 ms"

REPEATS = 20

# Longer than any start takes, in seconds.
PATIENCE = 30


def run(bench: Workbench) -> Report:
    rows, slowest = [], 0.0
    ways = {
        "program, folder": in_folder,
        "program, folder, Clerk over TLS": in_folder_over_tls,
        "Lambda function, S3": in_lambda,
    }
    for name, start in ways.items():
        # Not counted: the first start after a build reads the program from disk.
        start(bench.clerk_sync)
        starts = bench.repeat(f"a start: {name}", lambda: start(bench.clerk_sync), REPEATS)
        wall = Figure(wall for wall, _ in starts)
        rows.append([name, wall.milliseconds(), Figure(cpu for _, cpu in starts).milliseconds()])
        slowest = max(slowest, wall.median)
    lines = [
        "The time from just before the process starts until the first byte of its first request reaches a "
        "listener that stands in for Clerk, over loopback; then the process is killed. CPU is what the "
        "process used until then. Over TLS (1.3, with a P-256 certificate) the program also reads the "
        "system's root certificates, and the time includes the listener's part of the handshake. As a "
        "program, it has the key in its environment and writes to an empty folder. As a Lambda function, it "
        "gets its event from a stand-in for the runtime interface, its key from Secrets Manager and its "
        "state from S3. Both are stand-ins that answer at once over plain HTTP; on AWS, their latency and "
        "TLS are added.",
        "",
        *table(["started as", "to the first request", "CPU until then"], rows),
    ]
    verdict = at_most(slowest, 0.050, f"{slowest * 1e3:.1f} ms, the slowest of three ways to start")
    return Report(lines, {START: verdict})


def in_folder(program: pathlib.Path) -> tuple[float, float]:
    with Folder() as folder, listener() as clerk:
        return first_request(program, clerk, settings(url_of(clerk), folder), folder)


def in_folder_over_tls(program: pathlib.Path) -> tuple[float, float]:
    with Folder() as folder, listener() as clerk, tempfile.TemporaryDirectory() as scratch:
        context, roots = certificates.write(pathlib.Path(scratch))
        url = url_of(clerk).replace("http:", "https:")
        given = settings(url, folder) | {"SSL_CERT_FILE": str(roots)}
        return first_request(program, clerk, given, folder, context)


def in_lambda(program: pathlib.Path) -> tuple[float, float]:
    with Folder() as folder, listener() as clerk, aws() as address:
        in_aws = settings(url_of(clerk), folder) | {
            "SNAPSHOT_URL": "s3://snapshots/clerk",
            "CLERK_SECRET_ID": "clerk",
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": "clerk-sync",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/clerk-sync",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        del in_aws["CLERK_SECRET_KEY"]
        return first_request(program, clerk, in_aws, folder)


def first_request(
    program: pathlib.Path,
    clerk: socket.socket,
    given: dict[str, str],
    folder: Folder,
    tls: ssl.SSLContext | None = None,
) -> tuple[float, float]:
    """Seconds until the first request, and CPU seconds."""
    child = Child([program], given, folder.log)
    try:
        connection, _ = clerk.accept()
        connection.settimeout(PATIENCE)
        with tls.wrap_socket(connection, server_side=True) if tls else connection as connection:
            # A connection may be opened earlier; only the request counts.
            if not connection.recv(1):
                raise RuntimeError("a connection without a request")
            wall = time.monotonic() - child.began
    except TimeoutError:
        wall = None
    child.signal(signal.SIGKILL)
    finished = child.finish()
    if wall is None:
        said = (finished.output + folder.log.read_text())[-2000:]
        raise RuntimeError(f"no request within {PATIENCE} s: {said}")
    return wall, finished.cpu_seconds


@contextlib.contextmanager
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)
        yield listening


def url_of(listening: socket.socket) -> str:
    return "http://{}:{}".format(*listening.getsockname())


@contextlib.contextmanager
def aws():
    """Lambda's runtime interface, S3 and Secrets Manager on one address, as far as a start needs them."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    server.daemon_threads = True
    # One event only; a second one would be another invocation.
    server.events = threading.Semaphore(1)
    server.versions = itertools.count()
    server.objects = {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield "{}:{}".format(*server.server_address)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Aws(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The head and the body of an answer are two writes.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if not self.path.startswith("/2018-06-01/runtime/"):
            if "list-type=2" in self.path:
                return self.answer(200, self.listed(), {"Content-Type": "application/xml"})
            if self.key in self.server.objects:
                version, body = self.server.objects[self.key]
                return self.answer(200, body, {"ETag": version})
            missing = "<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"
            return self.answer(404, missing, {"Content-Type": "application/xml"})
        if not self.server.events.acquire(timeout=PATIENCE):
            return self.answer(500, "")
        headers = {
            "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 900) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn":
                "arn:aws:lambda:us-east-1:123456789012:function:clerk-sync",
        }
        self.answer(200, "{}", headers)

    def do_HEAD(self) -> None:
        version, body = self.server.objects.get(self.key, (None, ""))
        self.answer(200 if version else 404, body, {"ETag": version} if version else None)

    def do_PUT(self) -> None:
        body = self.body()
        if self.keeps_conditions():
            version = f'"{next(self.server.versions)}"'
            self.server.objects[self.key] = (version, body)
            self.answer(200, "", {"ETag": version})

    def do_POST(self) -> None:
        secret = {"ARN": "arn", "Name": "clerk", "VersionId": "1", "SecretString": KEY}
        self.answer(200, json.dumps(secret), {"Content-Type": "application/x-amz-json-1.1"})

    def do_DELETE(self) -> None:
        if self.keeps_conditions():
            self.server.objects.pop(self.key, None)
            self.answer(204, "")

    def listed(self) -> str:
        """The objects with the requested prefix."""
        bucket, query = self.path.split("?", 1)
        prefix = urllib.parse.parse_qs(query).get("prefix", [""])[0]
        keys = [key.removeprefix(bucket.rstrip("/") + "/") for key in self.server.objects]
        contents = "".join(
            f"<Contents><Key>{key}</Key><Size>0</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for key in keys
            if key.startswith(prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"

    @property
    def key(self) -> str:
        """The name of the requested object."""
        return self.path.split("?")[0]

    def keeps_conditions(self) -> bool:
        """Whether a write is allowed; answers it if not. clerk-sync refuses a store that ignores conditions."""
        version, _ = self.server.objects.get(self.key, (None, ""))
        only_new, only = self.headers.get("If-None-Match"), self.headers.get("If-Match")
        if (only_new and version) or (only and only != version):
            failed = "<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
            self.answer(412, failed, {"Content-Type": "application/xml"})
            return False
        return True

    def body(self) -> str:
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    def answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        if self.command == "POST":
            self.body()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def log_message(self, *_) -> None:
        """Logs nothing."""


BENCHMARK = Benchmark("Cold start", (START,), run)
