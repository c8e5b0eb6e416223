"""What `terraform destroy` leaves alone, and how README.md says to remove the rest."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

from ..scene import expect
from . import comparison
from .core import MODULE, Configuration

# It holds nothing, and may be turned off.
MAY_GO = {"aws_s3_bucket_notification"}


def prove(module: pathlib.Path, folder: pathlib.Path) -> None:
    configuration = Configuration(folder, {"clerk_sync": comparison.call(module, comparison.EVERY_PART)})
    configuration.apply()
    changes = configuration.run("plan", "-detailed-exitcode", "-no-color")
    expect(changes.status == 0, f"a second apply would change something: {changes.output}")
    problems = [problem.text for problem in configuration.problems("-destroy")]
    expect(problems and all("prevent_destroy" in text for text in problems), f"terraform destroy: {problems}")

    # As README.md says.
    listed = configuration.run("state", "list").output.split()
    kept = [address for address in listed if ".aws_s3_bucket" in address]
    expect(len(kept) == 9, f"kept: {kept}")
    forgotten = configuration.run("state", "rm", *kept)
    expect(forgotten.status == 0, forgotten.output)
    expect(not configuration.problems("-destroy"), "terraform destroy is refused without the bucket, too")


def unprotected(text: str) -> Iterator[str]:
    """The resources of bucket.tf that `terraform destroy` would remove. Terraform itself names only some of those that
    stop it."""
    for kind, body in re.findall(r'^resource "(\w+)" "\w+" \{\n(.*?)^\}$', text, re.MULTILINE | re.DOTALL):
        if kind not in MAY_GO and "  lifecycle {\n    prevent_destroy = true\n  }\n" not in body:
            yield kind


def prove_protection() -> None:
    text = (MODULE / "bucket.tf").read_text(encoding="utf-8")
    expect(not list(unprotected(text)), f"bucket.tf does not protect {list(unprotected(text))}")
    for place in [found.start() for found in re.finditer("prevent_destroy = true", text)]:
        without = text[:place] + text[place + len("prevent_destroy = true") :]
        expect(list(unprotected(without)), "a resource without prevent_destroy is not noticed")
