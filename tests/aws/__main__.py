"""`make test-aws`: proves what can be proven about the deployment without an AWS account.

usage: python -m tests.aws [PROOF...]        all of them, if none is named
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import tempfile
import time

from . import (
    arm64,
    commands,
    container,
    continuation,
    creation,
    deployment,
    environment,
    live,
    loading,
    notices,
    permissions,
    queries,
    release,
    stack,
    template,
    terraform,
)
from .aws import Aws
from .scene import KEY, Failed, Scene, programs

PROOFS = {
    "template": template.prove,
    "creation": creation.prove,
    "terraform": terraform.prove,
    "permissions": permissions.prove,
    "environment": environment.prove,
    "continuation": continuation.prove,
    "notices": notices.prove,
    "queries": queries.prove,
    "loading": loading.prove,
    "commands": commands.prove,
    "deployment": deployment.prove,
    "live": live.prove,
    "container": container.prove,
    "release": release.prove,
    "arm64": arm64.prove,
}


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in PROOFS]
    if unknown:
        sys.exit(f"there is no proof {', '.join(unknown)}, only {', '.join(PROOFS)}")
    # Credentials that happen to be exported must not reach anything here.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="clerk-sync."))
    # The proofs run programs as a user who owns nothing but must be able to read them.
    scratch.chmod(0o755)
    try:
        with Aws() as aws:
            scene = set_scene(aws, scratch)
            return prove_all(scene, [name for name in PROOFS if name in wanted or not wanted])
    finally:
        shutil.rmtree(scratch)


def set_scene(aws: Aws, scratch: pathlib.Path) -> Scene:
    secret = aws.client("secretsmanager").create_secret(Name="clerk", SecretString=KEY)
    key = aws.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    created = stack.create(aws, secret["ARN"], key["KeyMetadata"]["Arn"])
    role = aws.assume(created.outputs["FunctionRoleArn"])
    return Scene(programs(), scratch, aws, created, role)


def prove_all(scene: Scene, names: list[str]) -> int:
    failed = []
    for name in names:
        began = time.monotonic()
        try:
            PROOFS[name](scene)
        except Failed as problem:
            failed.append(name)
            print(f"FAILED {name}: {problem}")
        else:
            print(f"proven {name}, in {time.monotonic() - began:.0f} s")
        for note in scene.notes:
            print(f"       {note}")
        scene.notes.clear()
        sys.stdout.flush()
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
