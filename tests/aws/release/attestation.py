"""Provenance is a statement that in-toto's own messages read, and signatures are what minisign and DSSE verify: with
the key's other half, and not with anything changed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import minisign
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.json_format import ParseDict, ParseError
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message

from ..scene import Failed, Scene, expect
from ..scripts import module
from ..stack import ROOT
from .scripts import names, provenance, signing

DIGESTS = {"a.tar.gz": "a" * 64, "b.zip": "b" * 64}
COMMIT = "c" * 40
TOOLS = {"rustc": "rustc 1.95.0", "ziglang": "0.17.1"}
PASSWORD = "a long password"
SUMS = b"".join(f"{digest}  {name}\n".encode() for name, digest in DIGESTS.items())
SECONDS = 1_700_000_000
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://git.example.com",
    "GITHUB_REPOSITORY": "team/clerk-sync",
    "GITHUB_WORKFLOW_REF": "team/clerk-sync/.github/workflows/release.yml@refs/tags/v0.1.0",
    "GITHUB_RUN_ID": "42",
    "GITHUB_RUN_ATTEMPT": "1",
}


def prove(scene: Scene) -> list[str]:
    faults = provenance_is_in_totos()
    builders_are_told_apart()
    keys = minisign.KeyPair.generate()
    signs_what_others_verify(keys, scene.scratch)
    refusals = keys_that_cannot_sign(keys, scene.scratch)
    by = verified_by_minisign(keys, scene.scratch)
    checksums_cover_everything(keys, scene.scratch / "release")
    return [
        f"in-toto's messages take the provenance, and notice {faults} faults in it",
        f"signatures are verified by an implementation of our own, {by}; {refusals} unusable keys are refused",
    ]


def checksums_cover_everything(keys: minisign.KeyPair, folder: pathlib.Path) -> None:
    """With a key and without, as scripts/release finishes a release. What the key makes is in no second build."""
    release = module(ROOT / "scripts" / "release")
    secret = {"MINISIGN_KEY": bytes(keys.secret_key).decode()}
    finished = {}
    for what, key in (("unsigned", None), ("signed", signing.key(secret))):
        folder.mkdir()
        (folder / "a.zip").write_bytes(b"a")
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            release.finish("0.1.0", ["x86_64"], folder, key)
        expect(("NOTHING IS SIGNED" in said.getvalue()) == (key is None), said.getvalue())
        found = {path.name for path in folder.iterdir()}
        own = {"a.zip", names.STATEMENT, names.CHECKSUMS}
        expect(found == (own | set(names.OF_THE_KEY) if key else own), sorted(found))
        command = ["sha256sum", "--check", "--strict", "--quiet", names.CHECKSUMS]
        subprocess.run(command, cwd=folder, check=True)
        listed = {line.split("  ")[1] for line in (folder / names.CHECKSUMS).read_text("utf-8").splitlines()}
        expect(listed == found - {names.CHECKSUMS, names.SIGNATURE}, sorted(listed))
        finished[what] = release.sums_without_key(folder)
        shutil.rmtree(folder)
    expect(finished["signed"] == finished["unsigned"], finished)


def statement(repository: str | None = "https://git.example.com/team/clerk-sync") -> dict[str, Any]:
    text = provenance.statement(
        DIGESTS, version="0.1.0", architectures=["x86_64"], repository=repository, commit=COMMIT, tools=TOOLS
    )
    return json.loads(text)


def provenance_is_in_totos() -> int:
    for repository in ("https://git.example.com/team/clerk-sync", None):
        found = statement(repository)
        check(found)
        expect({one["name"]: one["digest"]["sha256"] for one in found["subject"]} == DIGESTS, found)
        definition = found["predicate"]["buildDefinition"]
        source, *locked = definition["resolvedDependencies"]
        expect(source["digest"] == {"gitCommit": COMMIT}, source)
        expect(("uri" in source) == ("repository" in definition["externalParameters"]) == bool(repository), definition)
        lock = hashlib.sha256(pathlib.Path("Cargo.lock").read_bytes()).hexdigest()
        expect({"name": "Cargo.lock", "digest": {"sha256": lock}} in locked, locked)
        expect(found["predicate"]["runDetails"]["builder"]["version"] == TOOLS, found)

    def without(*path: str) -> Callable[[dict[str, Any]], None]:
        def remove(document: dict[str, Any]) -> None:
            *folders, name = path
            for folder in folders:
                document = document[folder]
            del document[name]

        return remove

    faults: list[Callable[[dict[str, Any]], Any]] = [
        without("_type"),
        without("subject"),
        without("predicateType"),
        without("predicate"),
        without("predicate", "buildDefinition"),
        without("predicate", "runDetails", "builder"),
        without("predicate", "buildDefinition", "buildType"),
        lambda document: document.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda document: document["subject"][0].pop("digest"),
        lambda document: document["predicate"].update(startedOn="today"),
        lambda document: document["predicate"]["buildDefinition"]["resolvedDependencies"][0].clear(),
    ]
    for number, plant in enumerate(faults):
        found = statement()
        plant(found)
        try:
            check(found)
        except (Failed, ParseError, ValueError):
            continue
        raise Failed(f"fault {number} in the provenance is not noticed")
    return len(faults)


def check(document: dict[str, Any]) -> None:
    """By in-toto's messages, whose fields are all optional, and by what SLSA 1.0 says is required."""
    message = ParseDict(document, Message())
    Statement.copy_from_pb(message).validate()
    expect(document["_type"] == "https://in-toto.io/Statement/v1", document["_type"])
    expect(document["predicateType"] == "https://slsa.dev/provenance/v1", document["predicateType"])
    predicate = ParseDict(document["predicate"], provenance_pb2.Provenance())
    required = (predicate.build_definition.build_type, predicate.run_details.builder.id)
    expect(all(":" in uri for uri in required), f"no URIs: {required}")
    expect(len(predicate.build_definition.external_parameters) > 0, "no external parameters")
    dependencies = predicate.build_definition.resolved_dependencies
    expect(all(one.uri or one.digest or one.content for one in dependencies), "a dependency without uri and digest")


def builders_are_told_apart() -> None:
    workflow = provenance.builder(GITHUB, TOOLS)
    wanted = "https://git.example.com/team/clerk-sync/.github/workflows/release.yml@refs/tags/v0.1.0"
    expect(workflow["builder"]["id"] == wanted, workflow)
    run = "https://git.example.com/team/clerk-sync/actions/runs/42/attempts/1"
    expect(workflow["metadata"]["invocationId"] == run, workflow)
    for environment in ({}, {"GITHUB_ACTIONS": "false"}, GITHUB | {"GITHUB_ACTIONS": "false"}):
        machine = provenance.builder(environment, TOOLS)
        expect(machine["builder"]["id"] == provenance.SOMEBODYS_MACHINE and "metadata" not in machine, machine)


def signs_what_others_verify(keys: minisign.KeyPair, scratch: pathlib.Path) -> None:
    public = base64.b64decode(bytes(keys.public_key).splitlines()[1])
    key = signing.key({"MINISIGN_KEY": bytes(keys.secret_key).decode()})
    assert key
    signature = key.signature(SUMS, "SHA256SUMS", SECONDS)
    expect(signature == key.signature(SUMS, "SHA256SUMS", SECONDS), "the signature differs each time")
    verify_minisign(public, SUMS, signature)
    for what, data, given in (
        ("other data", SUMS + b" ", signature),
        ("another comment", SUMS, signature.replace(b"file:SHA256SUMS", b"file:SHA512SUMS")),
        ("another key", SUMS, signature),
    ):
        other = base64.b64decode(bytes(minisign.KeyPair.generate().public_key).splitlines()[1])
        expect_invalid(verify_minisign, what, other if what == "another key" else public, data, given)

    text = json.dumps(statement())
    envelope = json.loads(key.envelope(text))
    expect(json.loads(verify_dsse(public, envelope)) == json.loads(text), envelope)
    other = base64.b64encode(text.replace(COMMIT, "d" * 40).encode()).decode()
    expect_invalid(verify_dsse, "another statement", public, envelope | {"payload": other})
    expect_invalid(verify_dsse, "another type", public, envelope | {"payloadType": "text/plain"})


def verify_minisign(public: bytes, data: bytes, signature: bytes) -> None:
    """As https://jedisct1.github.io/minisign/ describes the format."""
    _, line, comment, of_all = signature.splitlines()
    line, of_all = base64.b64decode(line), base64.b64decode(of_all)
    expect(line[:2] == b"ED" and line[2:10] == public[2:10], "another algorithm, or another key")
    key = Ed25519PublicKey.from_public_bytes(public[10:])
    key.verify(line[10:], hashlib.blake2b(data).digest())
    key.verify(of_all, line[10:] + comment.removeprefix(b"trusted comment: "))


def verify_dsse(public: bytes, envelope: dict[str, Any]) -> bytes:
    """As https://github.com/secure-systems-lab/dsse describes it; returns what was signed."""
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    encoded = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    (signature,) = envelope["signatures"]
    expect(signature["keyid"] == public[2:10][::-1].hex().upper(), signature)
    Ed25519PublicKey.from_public_bytes(public[10:]).verify(base64.b64decode(signature["sig"]), encoded)
    return payload


def expect_invalid(verify: Callable[..., Any], what: str, *given: Any) -> None:
    try:
        verify(*given)
    except (InvalidSignature, Failed):
        return
    raise Failed(f"verified in spite of {what}")


def keys_that_cannot_sign(keys: minisign.KeyPair, scratch: pathlib.Path) -> int:
    expect(signing.key({}) is None and signing.key({"MINISIGN_KEY": ""}) is None, "a key that nobody named")
    plain = bytes(keys.secret_key).decode()
    locked = with_password(keys)
    file = scratch / "key"
    file.write_text(f"{locked}\n", encoding="utf-8")
    expect(signing.key({"MINISIGN_KEY_FILE": str(file), "MINISIGN_PASSWORD": PASSWORD}), "a key with a password")
    refused = [
        ({"MINISIGN_KEY": bytes(keys.public_key).decode()}, "no secret key"),
        ({"MINISIGN_KEY": plain[:-8]}, "no secret key"),
        ({"MINISIGN_KEY": plain.splitlines()[1]}, "no secret key"),
        ({"MINISIGN_KEY": "-----BEGIN PRIVATE KEY-----"}, "no secret key"),
        ({"MINISIGN_KEY": locked, "MINISIGN_PASSWORD": "another"}, "wrong password"),
        ({"MINISIGN_KEY": locked}, "Set MINISIGN_PASSWORD"),
        ({"MINISIGN_KEY_FILE": str(scratch)}, "cannot be read"),
        ({"MINISIGN_KEY_FILE": str(file), "MINISIGN_KEY": plain}, "Set one of them"),
    ]
    for environment, says in refused:
        try:
            signing.key(environment)
        except signing.KeyUnusable as problem:
            expect(says in str(problem), f"{problem}, not {says}")
            secret = plain.splitlines()[1]
            expect(not any(part in str(problem) for part in (secret[:16], secret[-24:], PASSWORD)), "it shows the key")
        else:
            raise Failed(f"not refused: {says}")
    left = signing.without_key({"MINISIGN_KEY": plain, "MINISIGN_PASSWORD": PASSWORD, "PATH": "/bin"})
    expect(left == {"PATH": "/bin"}, "a second build gets the key")
    return len(refused)


def with_password(keys: minisign.KeyPair) -> str:
    copy = minisign.SecretKey.from_bytes(bytes(keys.secret_key))
    # With the smallest limits, or it would take a second and 1 GiB, as it should elsewhere.
    copy.encrypt(PASSWORD, opslimit=32768, memlimit=16777216)
    return bytes(copy).decode()


def verified_by_minisign(keys: minisign.KeyPair, scratch: pathlib.Path) -> str:
    program = shutil.which("minisign")
    if not program:
        return "not by minisign itself, which is not here"
    key = signing.key({"MINISIGN_KEY": bytes(keys.secret_key).decode()})
    assert key
    sums, public = scratch / "SHA256SUMS", scratch / "minisign.pub"
    sums.write_bytes(SUMS)
    public.write_bytes(bytes(keys.public_key) + b"\n")
    (scratch / "SHA256SUMS.minisig").write_bytes(key.signature(SUMS, "SHA256SUMS", SECONDS))
    command = [program, "-V", "-q", "-p", public, "-m", sums]
    expect(subprocess.run(command, capture_output=True, check=False).returncode == 0, "minisign refuses the signature")
    sums.write_bytes(SUMS + b" ")
    expect(subprocess.run(command, capture_output=True, check=False).returncode != 0, "minisign accepts other data")
    return "and by minisign itself"
