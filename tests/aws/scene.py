"""What all proofs share: the programs, a scratch folder, AWS with the stack in it, and Clerk."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from dataclasses import dataclass, field
from typing import Any

from bench.population import Population
from bench.sandbox import KEY, Sandbox

from . import stack as stacks
from .aws import Aws, Credentials

SNAPSHOT_URL = f"s3://{stacks.BUCKET}/{stacks.PREFIX}"

# A few pages.
POPULATION = Population(users=300, organizations=20, memberships=600)


class Failed(Exception):
    """Something is not as it should be."""


def expect(so: object, otherwise: object) -> None:
    if not so:
        raise Failed(otherwise if isinstance(otherwise, str) else json.dumps(otherwise, indent=2))


@dataclass
class Scene:
    programs: pathlib.Path
    scratch: pathlib.Path
    aws: Aws
    stack: stacks.Stack
    # Credentials of the function's role.
    role: Credentials
    # Notes to print under the proof's name, one line each.
    notes: list[str] = field(default_factory=list)

    @property
    def program(self) -> pathlib.Path:
        return self.programs / "clerk-sync"

    def sandbox(self, population: Population = POPULATION) -> Sandbox:
        return Sandbox(self.programs / "clerk-sandbox", population)

    def settings(self, clerk: Sandbox, **changed: str) -> dict[str, str]:
        """The settings of the created function, with Clerk and AWS on this machine, the role's
        credentials, and no reason to skip a sync or to wait."""
        here = {
            "CLERK_API_URL": clerk.url,
            "CLERK_REQUESTS_PER_10S": "100000",
            "CLERK_RATE_SHARE": "1",
            "SNAPSHOT_INTERVAL_MINUTES": "",
        }
        return self.stack.variables | here | self.aws.settings(self.role) | changed

    def run(self, event: dict[str, Any], settings: dict[str, str]) -> Any:
        """Runs the program for one event, with only `settings` in its environment; returns the answer."""
        finished = subprocess.run(
            [self.program, "-"],
            input=json.dumps(event),
            env=settings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        try:
            return json.loads(finished.stdout)
        except ValueError:
            raise Failed(f"no answer, status {finished.returncode}: {finished.stderr}") from None

    def objects(self) -> list[str]:
        """Everything in the bucket."""
        pages = self.aws.client("s3").get_paginator("list_objects_v2")
        return [
            item["Key"]
            for page in pages.paginate(Bucket=stacks.BUCKET)
            for item in page.get("Contents", [])
        ]

    def empty_bucket(self) -> None:
        for key in self.objects():
            self.aws.client("s3").delete_object(Bucket=stacks.BUCKET, Key=key)


def programs() -> pathlib.Path:
    """The folder in which `make test` has built them."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", stacks.ROOT / "target"))
    return target / "debug"


__all__ = ["KEY", "POPULATION", "SNAPSHOT_URL", "Failed", "Scene", "expect", "programs"]
