"""What package managers are told is what a release contains: the metadata for `cargo binstall` and the Homebrew
formula. And the workflow publishes what it has tested."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import yaml

from ..scene import Scene, expect
from ..stack import ROOT
from .scripts import homebrew, names, project

REPOSITORY = "https://git.example.com/team/clerk-sync"
VERSION = project.version()


def prove(scene: Scene) -> list[str]:
    for manifest, program in (("Cargo.toml", "clerk-sync"), ("crates/access/Cargo.toml", "clerk-access")):
        binstall_finds(manifest, program)
    said = the_formula_fits(scene)
    the_workflow_publishes_everything()
    return [f"the metadata for cargo binstall names the archives; {said}"]


def binstall_finds(manifest: str, program: str) -> None:
    """Rendered as cargo-binstall does: for each target, the archive's address and the program's place in it."""
    metadata = tomllib.loads((ROOT / manifest).read_text(encoding="utf-8"))["package"]["metadata"]["binstall"]
    expect(metadata["pkg-fmt"] == "tgz", metadata)
    for architecture, triple in names.TRIPLES.items():
        words = {"repo": REPOSITORY, "version": VERSION, "target": triple, "bin": program}
        archive = names.archive(VERSION, architecture)
        address = rendered(metadata["pkg-url"], words)
        expect(address == f"{REPOSITORY}/releases/download/v{VERSION}/{archive}", address)
        place = rendered(metadata["bin-dir"], words)
        expect(place == f"{names.stem(archive)}/bin/{program}", place)


def rendered(template: str, words: dict[str, str]) -> str:
    """Raises KeyError for a word that there is not."""
    return re.sub(r"\{ ([\w-]+) \}", lambda found: words[found[1]], template)


def the_formula_fits(scene: Scene) -> str:
    archives = [names.source(VERSION), *(names.archive(VERSION, one) for one in names.TRIPLES)]
    digests = {name: f"{number}" * 64 for number, name in enumerate(archives)}
    formula = homebrew.formula(VERSION, REPOSITORY, digests)
    pairs = dict(re.findall(r'url "(\S+)"\n +sha256 "(\w+)"', formula))
    published = f"{REPOSITORY}/releases/download/v{VERSION}"
    expect(pairs == {f"{published}/{name}": digest for name, digest in digests.items()}, formula)
    # The source stands below `on_macos`, the programs for arm64 below `on_arm`.
    places = re.findall(r"on_(\w+) do\n +url \"\S+/([^/\"]+)\"", formula)
    wanted = {"macos": archives[0], "intel": archives[1], "arm": archives[2]}
    expect(dict(places) == wanted, places)
    opened = len(re.findall(r"\bdo\b|^class|^ *def |^ *if ", formula, re.MULTILINE))
    expect(opened == len(re.findall(r"^ *end$", formula, re.MULTILINE)), formula)
    ruby = shutil.which("ruby")
    if not ruby:
        return "NOT PARSED: there is no Ruby here to read the formula"
    path = scene.scratch / names.FORMULA
    path.write_text(formula, encoding="utf-8")
    parsed = subprocess.run([ruby, "-c", path], capture_output=True, text=True, check=False)
    expect(parsed.returncode == 0, parsed.stderr)
    return "Ruby reads the formula"


def the_workflow_publishes_everything() -> None:
    """It is about tags of versions, holds the tag to the version, builds twice, tests on each architecture and on
    macOS, and only then publishes."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    # YAML 1.1 takes `on` for true.
    expect(workflow[True] == {"push": {"tags": ["v*"]}}, workflow[True])
    expect(workflow["permissions"] == {"contents": "read"}, workflow["permissions"])
    jobs = workflow["jobs"]
    commands = {name: "\n".join(step.get("run", "") for step in job["steps"]) for name, job in jobs.items()}
    for job, command in (
        ("build", "scripts/release --ready --tag"),
        ("build", "make release VERIFY=1"),
        ("linux", "make test-release"),
        ("macos", "cargo build --release --locked"),
        ("macos", "clerk-sandbox demo"),
        ("publish", "gh release create"),
    ):
        expect(command in commands[job], f"the job {job} does not run {command}")
    expect(set(jobs["publish"]["needs"]) == {"build", "linux", "macos"}, jobs["publish"]["needs"])
    expect(jobs["publish"]["permissions"]["contents"] == "write", jobs["publish"])
    writing = [name for name, job in jobs.items() if "write" in job.get("permissions", {}).values()]
    expect(writing == ["publish"], f"{writing} may write")
    with_secrets = [name for name, job in jobs.items() if "secrets.MINISIGN" in yaml.safe_dump(job)]
    expect(with_secrets == ["build"], f"{with_secrets} have the key")
