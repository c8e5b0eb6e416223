"""Everything that is compiled into the programs has the text of its licence in the release, or there is none."""

from __future__ import annotations

import pathlib
from typing import Any

from ..scene import Failed, Scene, expect
from .scripts import licences, names

# Beginnings of texts that come in C libraries, and with the compilers.
WITHIN = (
    "Copyright (C) 2002-present Jason Evans",
    "Copyright 2016 Eric Biggers",
    "For Zstandard software",
    "musl as a whole is licensed",
    "The Rust Standard Library is dual-licensed",
)
LISTED = {"as": {"twin": "sound"}, "mit": {"bare": "Ada"}, "apache": {"plain": "Ada"}}


def prove(scene: Scene) -> list[str]:
    text = licences.text(names.TRIPLES.values())
    missing = [one for one in WITHIN if one not in text]
    expect(not missing, f"the licences lack {missing}")
    expect(text == licences.text(reversed(names.TRIPLES.values())), "the licences differ each time")
    count = lists_that_do_not_fit(scene.scratch / "crates")
    return [f"{len(text) // 1000} kB of licences; {count} gaps in them are noticed"]


def lists_that_do_not_fit(folder: pathlib.Path) -> int:
    crates = [
        crate(folder, "sound", "MIT", {"LICENSE": "Copyright Grace", "c/COPYING": "Copyright Katherine"}),
        crate(folder, "twin", "MIT", {"src/lib.rs": ""}),
        crate(folder, "bare", "MIT", {"tests/LICENSE": "of a test"}),
        crate(folder, "plain", "MIT OR Apache-2.0", {}),
    ]
    found = list(licences.texts(crates, LISTED))
    by_title = {title: [one for other, one in found if other == title] for title, _ in found}
    expect(by_title["sound 1.0.0 (MIT)"] == ["Copyright Grace", "Copyright Katherine"], found)
    expect(by_title["twin 1.0.0 (MIT)"] == ["Copyright Grace"], found)
    expect("Copyright (c) Ada" in by_title["bare 1.0.0 (MIT)"][0], found)
    expect("Apache License" in by_title["plain 1.0.0 (MIT OR Apache-2.0)"][0], found)
    joined = licences.joined(found)
    expect(joined.count("Copyright Grace") == 1 and "sound 1.0.0 (MIT)\ntwin 1.0.0 (MIT)" in joined, joined)

    faults: list[tuple[dict[str, Any], str]] = [
        (LISTED | {"mit": {}}, "bare come without"),
        (LISTED | {"mit": {"bare": "Ada", "gone": "Ada"}}, "names gone"),
        (LISTED | {"mit": {"bare": "Ada", "sound": "Ada"}}, "names sound"),
        (LISTED | {"as": {"twin": "plain"}}, "another licence than plain"),
        (LISTED | {"mit": {}, "apache": {"plain": "Ada", "bare": "Ada"}}, "bare is under MIT, not Apache-2.0"),
    ]
    for listed, complaint in faults:
        try:
            list(licences.texts(crates, listed))
        except licences.LicenceMissing as problem:
            expect(complaint in str(problem), f"{problem}, not {complaint}")
        else:
            raise Failed(f"not noticed: {complaint}")
    return len(faults)


def crate(folder: pathlib.Path, name: str, licence: str, files: dict[str, str]) -> licences.Crate:
    own = folder / name
    own.mkdir(parents=True)
    for path, text in files.items():
        (own / path).parent.mkdir(parents=True, exist_ok=True)
        (own / path).write_text(text, encoding="utf-8")
    return licences.Crate(name, "1.0.0", licence, own)
