"""What the project says about itself: version, changelog, repository, commit."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import re
import subprocess
import sys


def version() -> str:
    """The version of all programs."""
    return _package()["version"]


def repository() -> str | None:
    """Where the project is published, without a slash at the end: `repository` in Cargo.toml, or else the environment
    variable REPOSITORY. None if neither says so."""
    own, given = _package()["repository"], os.environ.get("REPOSITORY") or None
    own, given = (url.rstrip("/").removesuffix(".git") if url else None for url in (own, given))
    if given and not re.fullmatch(r"https://[^\s\"'/]+/[^\s\"']+", given):
        sys.exit(f"REPOSITORY={given} must be an https address, such as https://git.example.com/team/clerk-sync")
    if own and given and own != given:
        sys.exit(f"REPOSITORY={given}, and Cargo.toml says {own}. Leave REPOSITORY out, or correct Cargo.toml")
    return own or given


@functools.cache
def _package() -> dict:
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"{found.stderr.strip()}\nCargo cannot read the workspace. Correct that and run it again.")
    (package,) = (one for one in json.loads(found.stdout)["packages"] if one["name"] == "clerk-sync")
    return package


def commit() -> str:
    """The last commit's SHA-1."""
    return _git("rev-parse", "HEAD")


def committed_at() -> int:
    """When that was, in seconds since 1970: the only time that a release contains."""
    return int(_git("show", "--no-patch", "--format=%ct", "HEAD"))


def uncommitted() -> str:
    """Changed and new files, as git lists them; empty if there are none."""
    return _git("status", "--porcelain")


def what_changed_since(begun: str) -> str | None:
    """Why what was built since that commit is not a release of it."""
    changed, now = uncommitted(), commit()
    if not changed and now == begun:
        return None
    what = changed or f"the last commit, from {begun} to {now}"
    return (
        f"This changed while the release was built:\n{what}\nIts files may therefore come from several states of the "
        "sources. Build the release again in a clone that nobody changes meanwhile."
    )


def _git(*words: str) -> str:
    found = subprocess.run(["git", *words], check=False, capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"{found.stderr.strip()}\nA release is made of a commit. Run it in a clone with git.")
    return found.stdout.strip()


def why_not_ready(version: str, tag: str | None = None) -> str | None:
    """What must be corrected before this version can be released."""
    if tag is not None and tag != f"v{version}":
        return (
            f"The tag {tag} is not v{version}, the version in Cargo.toml. Tag a commit whose Cargo.toml says "
            f"{tag.removeprefix('v')}, or remove the tag."
        )
    problem = what_the_changelog_lacks(pathlib.Path("CHANGELOG.md").read_text("utf-8"), version)
    return problem or what_the_template_lacks(pathlib.Path("template.yaml").read_text("utf-8"), version)


def what_the_changelog_lacks(changelog: str, version: str) -> str | None:
    if _section(changelog, version) is None:
        return (
            f"CHANGELOG.md has no section for {version}, the version in Cargo.toml. Add one with a "
            f"heading like this:\n\n## [{version}] - 2026-01-31"
        )
    if not _section(changelog, version):
        return f"CHANGELOG.md says nothing about {version}: its section is empty."
    return None


def what_the_template_lacks(template: str, version: str) -> str | None:
    """The version under which the AWS Serverless Application Repository would publish it."""
    if f"\n    SemanticVersion: {version}\n" not in template:
        return f"template.yaml names another SemanticVersion than {version}, the version in Cargo.toml. Correct it."
    return None


def notes(version: str) -> str:
    """The changelog's section, as Markdown."""
    return _section(pathlib.Path("CHANGELOG.md").read_text("utf-8"), version) or ""


def _section(changelog: str, version: str) -> str | None:
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    found = re.search(heading, changelog, re.MULTILINE)
    return found and changelog[found.end() :].split("\n## ", 1)[0].strip()
