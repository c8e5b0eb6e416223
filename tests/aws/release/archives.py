"""The archive with the programs: the same bytes each time, nothing unexpected in it, and it runs where there is nothing
else. scripts/test-release, which `make test-release` calls, is tested as well: it notices what is wrong."""

from __future__ import annotations

import pathlib
import shutil
import struct
import subprocess
import sys
import tarfile

from ..scene import Failed, Scene, expect
from ..scripts import module
from ..stack import ROOT
from .scripts import elf, names, packing, programs, project, source

COLLECT = ROOT / "deploy" / "container-root"
VERSION = project.version()
TOP = f"clerk-sync-{VERSION}-x86_64-unknown-linux-musl"
SECONDS = 1_700_000_000

FILES = {
    "LICENSE",
    "README.md",
    "third-party-licences.txt",
    "bin/clerk-access",
    "bin/clerk-sandbox",
    "bin/clerk-sync",
    *(
        f"share/{place}"
        for program in ("clerk-sync", "clerk-access")
        for place in (
            f"man/man1/{program}.1",
            f"bash-completion/completions/{program}",
            f"zsh/site-functions/_{program}",
            f"fish/vendor_completions.d/{program}.fish",
        )
    ),
}


def prove(scene: Scene) -> list[str]:
    static_programs_are_told_apart()
    answers_are_read()
    bytes_depend_on_content_alone(scene.scratch)
    the_source_is_the_commit(scene.scratch)
    built = scene.scratch / "programs"
    built.mkdir()
    for name in names.PROGRAMS:
        # Without what debuggers need, which is most of it.
        subprocess.run(["strip", "-o", built / name, scene.programs / name], check=True)
    archive = packed(scene.scratch / f"{TOP}.tar.gz", built)
    holds_what_its_readme_says(archive)
    libraries = libraries_of(built, scene.scratch / "libraries")
    runs_in_an_empty_root(archive, libraries)
    complaints = what_is_noticed(scene.scratch, built, libraries)
    return [
        "the archive runs in an empty root with the libraries that the programs of the tests are linked to",
        f"{complaints} broken archives are noticed by scripts/test-release",
    ]


def static_programs_are_told_apart() -> None:
    def program(machine: int, segment: int) -> bytes:
        header = b"\x7fELF\x02".ljust(18, b"\0") + struct.pack("<H", machine)
        header = header.ljust(32, b"\0") + struct.pack("<Q", 64)
        header = header.ljust(54, b"\0") + struct.pack("<HHHHH", 56, 1, 0, 0, 0)
        return header + struct.pack("<I", segment).ljust(56, b"\0")

    expect(elf.why_not_static(program(62, 1), "x86_64") is None, "a static program is not recognised")
    for what, complaint in (
        (program(62, 3), "loader"),
        (program(183, 1), "not a program for x86_64"),
        (b"#!/bin/sh\n", "not a 64-bit program"),
    ):
        expect(complaint in (elf.why_not_static(what, "x86_64") or ""), f"not noticed: {complaint}")


def answers_are_read() -> None:
    """What the demo prints, and what scripts/test-release must not take for it."""
    tester = module(ROOT / "scripts" / "test-release")
    person = tester.MADE_ADMINISTRATOR
    sound = f"$ clerk-access diff\n7 rows\n\n$ clerk-access who a@example.org\n{person} org:admin\n\n"
    sound += f"$ clerk-access can org:sys_memberships:manage --in org_1\n{person} org:admin\n\nNext:\n"
    tester.check_answers(sound)
    for wrong in (
        "$ clerk-access diff\n0 rows\n",
        sound.replace("who a@example.org", "who user_1"),
        sound.replace(person, "Ada", 1),
        sound.replace("org:admin", "org:member", 1),
        sound.replace("$ clerk-access can", "$ clerk-access holders"),
    ):
        try:
            tester.check_answers(wrong)
        except tester.Failed:
            continue
        raise Failed(f"taken for the demo's answers: {wrong}")


def bytes_depend_on_content_alone(scratch: pathlib.Path) -> None:
    files = [packing.File("a/x", b"1" * 1000, executable=True), packing.File("a/b", b"2")]
    for write in (lambda path, given: packing.tar_gz(path, given, SECONDS), packing.zipped):
        one, other = scratch / "one", scratch / "other"
        write(one, files)
        write(other, reversed(files))
        expect(one.read_bytes() == other.read_bytes(), "the order of files changes an archive")


def the_source_is_the_commit(scratch: pathlib.Path) -> None:
    path = scratch / names.source(VERSION)
    source.pack(path, "HEAD")
    first = path.read_bytes()
    source.pack(path, "HEAD")
    expect(path.read_bytes() == first, "the source archive differs each time")
    with tarfile.open(path) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    command = ["git", "ls-tree", "-r", "--name-only", "HEAD"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    expect(set(listed.stdout.split("\n")) - {""} <= found, "the source archive lacks a file")


def packed(path: pathlib.Path, folder: pathlib.Path, version: str = VERSION) -> pathlib.Path:
    programs.pack(
        path,
        folder,
        programs.papers(folder),
        version=version,
        triple="x86_64-unknown-linux-musl",
        licences="licences\n",
        repository=None,
        seconds=SECONDS,
        compression=1,
    )
    return path


def holds_what_its_readme_says(archive: pathlib.Path) -> None:
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        readme = opened.extractfile(f"{TOP}/README.md").read().decode()
        manual = opened.extractfile(f"{TOP}/share/man/man1/clerk-sync.1").read().decode()
    found = {member.name.removeprefix(f"{TOP}/") for member in members}
    expect(found == FILES, f"the archive holds {sorted(found ^ FILES)}, or lacks it")
    for member in members:
        mode = 0o755 if "/bin/" in member.name else 0o644
        given = (member.mode, member.uid, member.gid, member.uname, member.mtime)
        expect(given == (mode, 0, 0, "", SECONDS), f"{member.name}: {given}")
    expect(f"clerk-sync {VERSION} for x86_64-unknown-linux-musl" in readme and "{" not in readme, readme)
    expect("http" not in readme, "the archive names a repository that nobody has named")
    expect(".TH clerk-sync 1" in manual, manual[:200])


def libraries_of(folder: pathlib.Path, into: pathlib.Path) -> pathlib.Path:
    """What the programs of the tests need, unlike those of a release."""
    for name in names.PROGRAMS:
        subprocess.run([COLLECT, folder / name, into], check=True)
    shutil.rmtree(into / "usr" / "bin")
    return into


def runs_in_an_empty_root(archive: pathlib.Path, libraries: pathlib.Path) -> None:
    ended = tested(archive, libraries)
    expect(ended.returncode == 0, ended.stdout + ended.stderr)
    expect("Łukasz Smith, Jr." in ended.stdout and "unpacked and answered in" in ended.stdout, ended.stdout)


def what_is_noticed(scratch: pathlib.Path, sound: pathlib.Path, libraries: pathlib.Path) -> int:
    """Archives that scripts/test-release must refuse."""
    alone = scratch / f"{TOP}.tar.gz"
    expect_refused(alone, None, "it cannot be run in a root of its own", "programs without their libraries")

    wrong = scratch / "wrong" / f"clerk-sync-99.0.0-{names.TRIPLES['x86_64']}.tar.gz"
    wrong.parent.mkdir()
    packed(wrong, sound, "99.0.0")
    expect_refused(wrong, libraries, "not 99.0.0", "programs of another version")

    (wrong.parent / names.CHECKSUMS).write_text(f"{'0' * 64}  {wrong.name}\n", encoding="utf-8")
    expect_refused(wrong, libraries, "its checksum is", "another checksum")

    beside = scratch / "beside" / f"{TOP}.tar.gz"
    beside.parent.mkdir()
    packing.tar_gz(beside, [packing.File("etc/x", b""), packing.File(f"{TOP}/bin/clerk-sandbox", b"")], SECONDS)
    expect_refused(beside, libraries, "beside its folder", "a file outside of its folder")

    without = scratch / "without"
    without.mkdir()
    for name in names.PROGRAMS:
        shutil.copy(sound / name, without / name)
    (without / "clerk-access").unlink()
    lacking = scratch / "lacking" / f"{TOP}.tar.gz"
    lacking.parent.mkdir()
    files = [packing.File(f"{TOP}/bin/{path.name}", path.read_bytes(), executable=True) for path in without.iterdir()]
    packing.tar_gz(lacking, files, SECONDS, 1)
    expect_refused(lacking, libraries, "needs clerk-access in the folder", "a program that is not there")
    return 5


def expect_refused(archive: pathlib.Path, libraries: pathlib.Path | None, says: str, what: str) -> None:
    ended = tested(archive, libraries)
    expect(ended.returncode == 1 and says in ended.stderr, f"not noticed: {what}: {ended.stdout}{ended.stderr}")


def tested(archive: pathlib.Path, libraries: pathlib.Path | None) -> subprocess.CompletedProcess[str]:
    within = [] if libraries is None else ["--within", str(libraries)]
    command = [sys.executable, "scripts/test-release", *within, str(archive)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
