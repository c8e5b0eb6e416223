"""A release is made of a commit whose version, changelog, template and tag agree, with a key that can sign, or not at
all: the command itself is called, in a clone."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

from ..scene import Scene, expect
from ..sources import copy_sources
from ..stack import ROOT
from .scripts import names, project


@dataclass(frozen=True)
class Fault:
    what: str
    # What the command must say.
    says: str
    # A file, a text in it, and what stands there instead.
    file: str = ""
    old: str = ""
    new: str = ""
    # Whether that is committed.
    committed: bool = True
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def faults(version: str) -> list[Fault]:
    section, own, published = f"## [{version}]", f'version = "{version}"', f"SemanticVersion: {version}"
    return [
        Fault("no section", "has no section for", "CHANGELOG.md", section, "## [99.0.0]"),
        Fault("another version", "has no section for", "Cargo.toml", own, 'version = "99.0.0"'),
        Fault("another template", "SemanticVersion", "template.yaml", published, "SemanticVersion: 9.9.9"),
        Fault("another tag", f"is not v{version}", arguments=("--ready", "--tag", "v99.0.0")),
        Fault("a change", "README.md", "README.md", "# clerk-sync", "# changed", committed=False),
        Fault("no key", "no secret key of minisign", environment={"MINISIGN_KEY": "untrusted comment: x\nRWQ"}),
        Fault("no file", "cannot be read", environment={"MINISIGN_KEY_FILE": "/nowhere/key"}),
        Fault("two keys", "Set one of them", environment={"MINISIGN_KEY_FILE": "a", "MINISIGN_KEY": "b"}),
    ]


def prove(scene: Scene) -> list[str]:
    clone = Clone(scene.scratch / "clone")
    version = project.version()
    ready = clone.release("--ready", "--tag", f"v{version}")
    expect(ready.returncode == 0, ready.stderr)
    planted = faults(version)
    for fault in planted:
        clone.plant(fault)
        # Were the fault not noticed, it would build, for many minutes.
        refused = clone.release(*(fault.arguments or ("--verify",)), **fault.environment)
        expect(refused.returncode == 1 and fault.says in refused.stderr, f"{fault.what}: {refused}")
        expect(not (clone.folder / names.folder(version)).exists(), f"{fault.what}: something was written")
    what_changes_meanwhile_is_noticed(clone)
    shutil.rmtree(clone.folder)
    return [
        f"{len(planted)} reasons not to release are noticed before anything is built",
        "a file that changes and a commit that comes while it is built are noticed before anything is signed",
    ]


def what_changes_meanwhile_is_noticed(clone: Clone) -> None:
    clone.git("reset", "--quiet", "--hard", "sound")
    expect(clone.what_changed() == "None", clone.what_changed())
    (clone.folder / "README.md").write_text("changed", encoding="utf-8")
    expect("README.md" in clone.what_changed(), clone.what_changed())
    clone.git("commit", "--quiet", "--all", "--message", "meanwhile")
    expect("the last commit, from" in clone.what_changed(), clone.what_changed())


class Clone:
    """The files of this repository as they are now, committed."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        copy_sources(folder)
        (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
        self.git("init", "--quiet")
        self.commit()

    def plant(self, fault: Fault) -> None:
        """In place of the fault before."""
        self.git("reset", "--quiet", "--hard", "sound")
        if fault.file:
            path = self.folder / fault.file
            text = path.read_text(encoding="utf-8")
            expect(fault.old in text, f"{fault.what}: {fault.file} does not say {fault.old!r}")
            path.write_text(text.replace(fault.old, fault.new, 1), encoding="utf-8")
            if fault.file == "Cargo.toml":
                subprocess.run(
                    ["cargo", "update", "--workspace", "--offline", "--quiet"], cwd=self.folder, check=True
                )
            if fault.committed:
                self.git("commit", "--quiet", "--all", "--message", "planted")

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "sound")
        self.git("tag", "sound")

    def git(self, *words: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *words], cwd=self.folder, check=True)

    def what_changed(self) -> str:
        """What is said at the end of a release that began with the commit `sound`."""
        program = (
            "import subprocess; from releasing import project; "
            "print(project.what_changed_since(subprocess.getoutput('git rev-parse sound')))"
        )
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": "scripts"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def release(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("MINISIGN_")}
        return subprocess.run(
            [sys.executable, "scripts/release", *arguments],
            cwd=self.folder,
            env=own | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
