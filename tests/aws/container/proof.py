from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.population import Population

from ..lambda_runtime import Environment
from ..scene import Failed, Scene, expect
from ..sources import copy_sources
from ..stack import ROOT
from . import image, manifests
from .certificates import Authority
from .faults import prove_sound

CONTAIN = pathlib.Path(__file__).with_name("contain.sh")
COLLECT = ROOT / "deploy" / "container-root"

# All that is in the image. Debian's loader and the libraries that Rust's programs are linked to.
LIBRARIES = {"libc.so.6", "libm.so.6", "libgcc_s.so.1"}
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def prove(scene: Scene) -> None:
    containerfile = image.CONTAINERFILE.read_text(encoding="utf-8")
    prove_sound(containerfile, image.complaints, image.FAULTS)
    prove_sound(manifests.CRONJOB.read_text(encoding="utf-8"), manifests.complaints, manifests.FAULTS)
    scene.notes.append(f"{len(image.FAULTS) + len(manifests.FAULTS)} faults in Containerfile and CronJob are noticed")
    the_build_has_what_cargo_needs(scene, containerfile)
    container = Container(scene, image.user(containerfile))
    holds_nothing_else(container)
    if not container.can_run():
        scene.notes.append("not run: this machine permits no user namespaces")
        return
    runs_as_a_job(container)
    runs_as_the_cronjob(container)
    stops_at_sigterm(container)
    runs_as_a_function(container)
    trusts_its_certificates(container)
    scene.notes.append("the program runs in the image's files alone: as a job, as the CronJob, and as a function")


class Container:
    """The image's files, with the program of the tests, and what a container's runtime adds."""

    def __init__(self, scene: Scene, user: str):
        self.scene = scene
        self.root = scene.scratch / "image"
        self.volume = scene.scratch / "volume"
        self.volume.mkdir()
        self.volume.chmod(0o777)
        subprocess.run([COLLECT, scene.program, self.root], check=True)
        self.files = sorted(path.relative_to(self.root) for path in self.root.rglob("*"))
        for folder in ("data", "proc"):
            (self.root / folder).mkdir()
        (self.root / "etc" / "hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
        self.within = (str(CONTAIN), str(self.root), str(self.volume), user)

    def can_run(self) -> bool:
        command = [*self.within, image.PROGRAM, "--version"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def run(self, settings: dict[str, str], *arguments: str) -> tuple[int, Any]:
        """The exit status and the answer of the program, with only these settings in its environment."""
        finished = subprocess.run(
            [*self.within, image.PROGRAM, *arguments],
            env=settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        try:
            return finished.returncode, json.loads(finished.stdout)
        except ValueError:
            raise Failed(f"no answer, status {finished.returncode}: {finished.stderr}") from None


def the_build_has_what_cargo_needs(scene: Scene, containerfile: str) -> None:
    """Cargo finds the whole workspace in what is copied, and its lock file fits."""
    context = scene.scratch / "context"
    context.mkdir()
    copy_sources(context, *image.copied(containerfile))
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--quiet"]
    found = subprocess.run(command, cwd=context, capture_output=True, text=True, check=False)
    expect(found.returncode == 0, f"Cargo cannot build from what the image copies: {found.stderr}")


def holds_nothing_else(container: Container) -> None:
    files = [path for path in container.files if (container.root / path).is_file()]
    found = {str(path) for path in files}
    wanted = {CERTIFICATES, image.PROGRAM.removeprefix("/")}
    expect(wanted <= found, f"the image lacks {sorted(wanted - found)}")
    others = found - wanted
    names = {pathlib.PurePath(path).name for path in others}
    loaders = {name for name in names if name.startswith("ld-linux-")}
    expect(len(loaders) == 1 and names - loaders == LIBRARIES, f"the image holds {sorted(others)}")
    for path in container.files:
        mode = (container.root / path).stat().st_mode
        # /tmp is for everybody, as everywhere.
        open_to_others = mode & 0o022 and str(path) != "tmp"
        expect(mode & 0o004 and not open_to_others and not mode & 0o6000, f"{path} has the mode {mode:o}")
    expect((container.root / "tmp").stat().st_mode & 0o7777 == 0o1777, "not everybody may write to /tmp")


def runs_as_a_job(container: Container) -> None:
    """With a folder on a volume, by the exit statuses of docs/reference.md. Names are resolved, too."""
    scene = container.scene
    with scene.sandbox() as clerk, scene.sandbox(Population(60, 10, 80)) as shrunk:
        clerk.behave(latency_ms=10)
        settings = {
            "CLERK_API_URL": clerk.url.replace("127.0.0.1", "localhost"),
            "CLERK_SECRET_KEY": "sk_test_sandbox",
            "CLERK_REQUESTS_PER_10S": "100000",
            "CLERK_RATE_SHARE": "1",
            "RESOURCES": "users,organizations,organization_roles,organization_permissions,organization_memberships",
            "SNAPSHOT_URL": "file:///data/snapshots",
            "CHANGES": "all",
        }
        for place, wanted in (("/tmp/snapshots", 0), ("/usr/snapshots", 1), ("/snapshots", 1)):
            status, answer = container.run(settings | {"SNAPSHOT_URL": f"file://{place}"}, "sync")
            expect(status == wanted, {"place": place, "status": status, "answer": answer})
        status, answer = container.run(settings, "sync", "--time-budget", "0.02")
        expect((status, answer["status"]) == (75, "partial"), answer)
        while status == 75:
            status, answer = container.run(settings, "sync")
        expect((status, answer["status"]) == (0, "complete"), answer)
        latest = json.loads((container.volume / "snapshots" / "latest.json").read_text(encoding="utf-8"))
        expect(latest["snapshot_id"] == answer["snapshot_id"], latest)
        status, answer = container.run(settings | {"CLERK_API_URL": shrunk.url}, "sync")
        expect((status, answer["status"]) == (3, "held"), answer)
        status, answer = container.run(settings | {"COMPRESSION": "lz4"}, "sync")
        expect((status, answer["errorType"]) == (2, "InvalidConfig"), answer)


def runs_as_the_cronjob(container: Container) -> None:
    """With the arguments and settings of the manifest, but for what is of this machine."""
    scene = container.scene
    scene.empty_bucket()
    manifest = manifests.container(manifests.CRONJOB.read_text(encoding="utf-8"))
    with scene.sandbox() as clerk:
        here = scene.settings(clerk)
        own = ("SNAPSHOT_URL", "CLERK_API_URL", "CLERK_SECRET_ID", "CLERK_REQUESTS_PER_10S", "CLERK_RATE_SHARE")
        settings = (
            manifests.environment(manifest)
            | {name: here[name] for name in own}
            | {name: value for name, value in here.items() if name.startswith("AWS_")}
        )
        status, answer = container.run(settings, *manifest["args"])
        expect((status, answer["status"]) == (0, "complete"), answer)
        status, answer = container.run(settings, *manifest["args"])
        expect((status, answer["status"]) == (0, "skipped"), answer)


def stops_at_sigterm(container: Container) -> None:
    """As when a pod is deleted: what was read is stored, and the status says that there is more to do."""
    scene = container.scene
    scene.empty_bucket()
    with scene.sandbox() as clerk:
        clerk.behave(latency_ms=200)
        process = subprocess.Popen(
            [*container.within, image.PROGRAM, "sync"],
            env=scene.settings(clerk, MAX_CONCURRENCY="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and clerk.stats()["requests"] < 2:
            pass
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    answer = json.loads(output)
    expect((process.returncode, answer.get("reason")) == (75, "interrupted"), answer)


def runs_as_a_function(container: Container) -> None:
    scene = container.scene
    scene.empty_bucket()
    log = scene.scratch / "image.log"
    with (
        scene.sandbox() as clerk,
        Environment(pathlib.Path(image.PROGRAM), scene.settings(clerk), log, within=container.within) as function,
    ):
        for name, status in (("check", None), ("sync", "complete"), ("status", None)):
            event = json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
            answer = function.invoke(event)
            expect(not answer.is_error, {name: answer.payload})
            expect(status is None or answer.payload["status"] == status, {name: answer.payload})
        expect(function.lines(), "the function logs nothing")


def trusts_its_certificates(container: Container) -> None:
    """The image's file of CA certificates is the one that the program reads."""
    authority = Authority()
    bundle = container.root / CERTIFICATES
    settings = {
        "CLERK_SECRET_KEY": "sk_test_sandbox",
        "RESOURCES": "users",
        "SNAPSHOT_URL": "file:///tmp/snapshots",
    }
    with refusing_everybody(authority, container.scene.scratch) as port:
        settings["CLERK_API_URL"] = f"https://localhost:{port}"
        _, unknown = container.run(settings, "sync")
        expect(unknown["errorType"] == "ClerkUnavailable", unknown)
        bundle.chmod(0o644)
        bundle.write_bytes(authority.certificate)
        _, known = container.run(settings, "sync")
        expect(known["errorType"] == "ClerkUnauthorized", known)


@contextlib.contextmanager
def refusing_everybody(authority: Authority, scratch: pathlib.Path) -> Iterator[int]:
    """The port of an HTTPS server on localhost that answers 401 to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A program that does not trust the certificate breaks off."""

    chain = scratch / "localhost.pem"
    chain.write_bytes(authority.issue("localhost"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        os.remove(chain)
