"""Where a release comes from: a statement of in-toto (v1) with SLSA's provenance (v1) as predicate.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import zlib
from typing import Any

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
# docs/releasing.md says what these two mean.
BUILD_TYPE = "urn:clerk-sync:make-release:1"
SOMEBODYS_MACHINE = "urn:clerk-sync:builder:unattested-machine"

# What says which versions of other software go into a release.
LOCKED = ("Cargo.lock", "requirements/cross.txt", "requirements/lambda.txt")


def statement(
    digests: dict[str, str],
    *,
    version: str,
    architectures: list[str],
    repository: str | None,
    commit: str,
    tools: dict[str, str],
) -> str:
    """The statement about files with these SHA-256, as JSON. It has no time: two builds must be the same."""
    source: dict[str, Any] = {"name": "source", "digest": {"gitCommit": commit}}
    parameters: dict[str, Any] = {"version": version, "architectures": architectures}
    if repository:
        source["uri"] = f"git+{repository}@refs/tags/v{version}"
        parameters["repository"] = repository
    locked = [{"name": name, "digest": {"sha256": sha256(pathlib.Path(name).read_bytes())}} for name in LOCKED]
    return json.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(digests.items())],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": parameters,
                    "resolvedDependencies": [source, *locked],
                },
                "runDetails": builder(dict(os.environ), tools),
            },
        },
        indent=2,
    )


def builder(environment: dict[str, str], tools: dict[str, str]) -> dict[str, Any]:
    """Who built it: the workflow of GitHub that we run in, or somebody's machine, which nobody vouches for."""
    workflow = environment.get("GITHUB_WORKFLOW_REF")
    if environment.get("GITHUB_ACTIONS") != "true" or not workflow:
        return {"builder": {"id": SOMEBODYS_MACHINE, "version": tools}}
    server = environment["GITHUB_SERVER_URL"]
    run = f"{environment['GITHUB_REPOSITORY']}/actions/runs/{environment['GITHUB_RUN_ID']}"
    return {
        "builder": {"id": f"{server}/{workflow}", "version": tools},
        "metadata": {"invocationId": f"{server}/{run}/attempts/{environment['GITHUB_RUN_ATTEMPT']}"},
    }


def tools() -> dict[str, str]:
    """The versions of what the bytes of a release depend on."""
    rustc = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    named = ("ziglang", "cargo-zigbuild", "cargo-lambda")
    (site,) = pathlib.Path(".venv").glob("lib/python3*/site-packages")
    installed = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions(path=[str(site)])}
    packages = {name: installed.get(name, "none") for name in named}
    return {"rustc": rustc, **packages, "python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
