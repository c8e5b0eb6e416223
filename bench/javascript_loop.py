"""The copy that a user would write with Clerk's JavaScript SDK (`javascript/loop.mjs`), and its run."""

import gzip
import hashlib
import json
import pathlib
import shutil
from dataclasses import dataclass

from .copying import Copy, Folder, WrongAnswer
from .processes import Child, Finished
from .sandbox import Sandbox
from .workbench import Workbench

# The SDK does not return a permission's `type`, so these lines differ in that field.
NOT_COMPARED = "organization_permissions"


@dataclass(frozen=True)
class Loop:
    """A run of the loop."""

    finished: Finished
    records: int
    requests: int


def loop(bench: Workbench, sandbox: Sandbox, writes: str, same_as: Copy) -> Loop:
    """Copies the sandbox with the loop, which compresses one `page` or one `line` at a time. The result must
    equal `same_as`."""
    node = shutil.which("node")
    # Next to the modules, where scripts/bench puts it, so that Node finds them.
    script = bench.target / "sandbox-clients" / "javascript" / "loop.mjs"
    if node is None or not script.exists():
        raise RuntimeError("Node or `@clerk/backend` is not installed")
    with Folder() as folder:
        command = [node, script, sandbox.url, folder.path, writes]
        finished = Child(command, {}, folder.log).finish()
        if finished.status != 0:
            raise WrongAnswer(f"the JavaScript loop: {folder.log.read_text()[-2000:]}")
        said = json.loads(finished.output)
        compare(folder.path, said["records"], same_as)
        return Loop(finished, said["records"], said["requests"])


def compare(folder: pathlib.Path, records: int, copied: Copy) -> None:
    """Checks that the loop wrote the same lines as clerk-sync; otherwise the work would not be the same."""
    if records != copied.records:
        raise WrongAnswer(f"the JavaScript loop wrote {records} records, not {copied.records}")
    for name, digest in copied.digests.items():
        if name != NOT_COMPARED and content_digest(folder / f"{name}.ndjson.gz") != digest:
            raise WrongAnswer(f"the JavaScript loop wrote other lines to `{name}` than clerk-sync")


def content_digest(path: pathlib.Path) -> str:
    """The sum of the SHA-256 of all lines, as described in docs/data.md."""
    total = 0
    with gzip.open(path) as lines:
        for line in lines:
            total += int.from_bytes(hashlib.sha256(line).digest(), "big")
    return f"{total % 2**256:064x}"
