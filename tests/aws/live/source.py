"""The probe takes what it asks from the source of the program, and says so if it cannot."""

from __future__ import annotations

import contextlib
import io
import pathlib
import shutil
from types import ModuleType

from ..scene import Scene, expect
from ..scripts import module
from ..stack import ROOT
from .probe import PROGRAM

# What it reads of the source.
FILES = (
    "Cargo.toml",
    "crates/snapshot/src/resource.rs",
    "src/clerk/answer_codes.rs",
    "src/config/parse.rs",
    "src/lists/endpoint.rs",
    "src/lists/row_request.rs",
    "src/lists/table.rs",
    "src/translate/withheld.rs",
    "tests/fixtures/clerk-error-codes.tsv",
)
FOLDERS = ("src/clerk/wire", "src/translate/plain")

# A change of the source, and what is then said.
CHANGES = (
    ("src/lists/table.rs", "paging: Paging::SinglePage,", "paging: Paging::Spiral,", "a way of paging"),
    ("src/lists/table.rs", "&[PAGINATED]", "paginated!()", "stands where a comma"),
    ("src/lists/table.rs", "read_row::<plain::Machine<", "read::<plain::Machine<", "rows are read"),
    ("src/lists/table.rs", "plain::RoleSet<", "plain::RoleGroup<", "0 structs are called"),
    ("src/lists/table.rs", 'needed: &["key"],', 'needed: &["clef"],', "has no field clef"),
    (
        "crates/snapshot/src/resource.rs",
        '    RoleSets = "role_sets",',
        '    Pets = "pets",\n    RoleSets = "role_sets",',
        "no list is found for Pets",
    ),
    (
        "src/translate/plain/session.rs",
        "Option<Time>,",
        "Option<Moment>,",
        "the type Moment of a field",
    ),
    ("src/translate/plain/session.rs", "pub(crate) struct Session", "struct Seance", "0 structs"),
    ("src/clerk/answer_codes.rs", "(Code::Is(", "(Code::Holds(", "the table of codes"),
    ("src/translate/withheld.rs", "const WITHHELD", "const KEPT", "the list of withheld fields"),
)


def understands_the_source_or_says_so(scene: Scene) -> None:
    program = copied(scene.scratch / "source")
    said = complaint_of(program)
    expect(said is None, f"it does not understand the source: {said}")
    for name, before, after, complaint in CHANGES:
        file = program.ROOT / name
        text = file.read_text(encoding="utf-8")
        expect(before in text, f"{name} has no {before}")
        file.write_text(text.replace(before, after), encoding="utf-8")
        said = complaint_of(program)
        expect(said and complaint in said, f"{after}: {said}")
        file.write_text(text, encoding="utf-8")
    scene.notes.append(f"{len(CHANGES)} changes of the source that it does not pass over")


def copied(folder: pathlib.Path) -> ModuleType:
    """The probe, for a copy of the source."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    module(PROGRAM)
    from probe import program

    program.ROOT = folder
    return program


def complaint_of(program: ModuleType) -> str | None:
    """What it says of the source if it does not understand it."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            program.print_lists()
    except program.NotUnderstood as problem:
        return str(problem)
    return None
