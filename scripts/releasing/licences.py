"""The texts of the licences of everything that is compiled into the programs and the function, as their authors ship
them: those of the crates, of the C libraries in them, of Rust's standard library, of musl and of Zig's runtime.

One text covers all files of a release. Each text stands in it once, below the names of those that it belongs to.
"""

from __future__ import annotations

import html
import json
import pathlib
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .names import PROGRAMS

HERE = pathlib.Path(__file__).parent
NAMES = re.compile(r"(un)?licen[cs]e|copying|copyright|notice", re.IGNORECASE)
# A file of this kind is code or data, whatever its name.
CODE = {".c", ".go", ".h", ".json", ".py", ".rs", ".toml", ".yml"}
# Folders whose content is compiled into nothing.
UNUSED = {"tests", "benches", "examples", ".github"}
LINE = "=" * 80


class LicenceMissing(Exception):
    """A crate without a text, or a list that does not fit."""


@dataclass(frozen=True)
class Crate:
    name: str
    version: str
    # An SPDX expression.
    licence: str
    folder: pathlib.Path

    @property
    def title(self) -> str:
        return f"{self.name} {self.version} ({self.licence})"


def text(targets: Iterable[str]) -> str:
    """The texts for programs built for these of Rust's targets.

    Raises:
        LicenceMissing: a crate has no text and is not in licences.toml, or is there for nothing.
    """
    crates = sorted({crate for target in targets for crate in compiled_in(target)}, key=lambda crate: crate.title)
    found = [*texts(crates, tomllib.loads((HERE / "licences.toml").read_text("utf-8"))), *of_the_tools()]
    return introduction(len(crates)) + joined(found)


def introduction(count: int) -> str:
    return (
        "Third-party software in clerk-sync, clerk-access, clerk-sandbox and the Lambda function\n\n"
        f"The programs contain {count} crates, C libraries that come in some of them, Rust's standard library,\n"
        "musl (in static programs), and Zig's runtime for C. Their licences follow, each below the names of what\n"
        "it is for. Of licences connected by OR, the choice is yours. clerk-sync's own licence is in LICENSE.\n"
    )


def compiled_in(target: str) -> Iterator[Crate]:
    """The crates of others in all programs. The function's are among them."""
    tree = ["cargo", "tree", "--target", target, "--edges", "normal", "--prefix", "none", "--format", "{p}", "--locked"]
    for program in PROGRAMS:
        tree += ["--package", program]
    words = (line.split() for line in output(tree).splitlines() if line.strip())
    used = {(word[0], word[1].removeprefix("v")) for word in words}
    metadata = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    for package in json.loads(output(metadata))["packages"]:
        if (package["name"], package["version"]) in used and package["source"] is not None:
            folder = pathlib.Path(package["manifest_path"]).parent
            yield Crate(package["name"], package["version"], package["license"] or "no expression", folder)


def output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def texts(crates: Iterable[Crate], listed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The title of each crate with each of its texts."""
    by_name = {crate.name: crate for crate in crates}
    without = {name for name, crate in by_name.items() if not own_texts(crate)}
    in_list = {name for names in listed.values() for name in names}
    if missing := sorted(without - in_list):
        raise LicenceMissing(
            f"{', '.join(missing)} come without a text of their licence. Find it in their repository, and name them in "
            "scripts/releasing/licences.toml."
        )
    if needless := sorted(in_list - without):
        raise LicenceMissing(
            f"scripts/releasing/licences.toml names {', '.join(needless)}, which bring a text or are no longer used. "
            "Remove them there."
        )
    for crate in crates:
        for found in own_texts(crate) or [text_from_the_list(crate, by_name, listed)]:
            yield crate.title, found


def own_texts(crate: Crate) -> list[str]:
    """What the crate brings, at the top first. A C library in it is in a folder of its own."""
    paths = sorted(crate.folder.rglob("*"), key=lambda path: (len(path.parts), str(path)))
    found = [path for path in paths if is_licence(path.relative_to(crate.folder)) and path.is_file()]
    at_the_top = any(path.parent == crate.folder for path in found)
    return [path.read_text("utf-8", errors="replace") for path in found] if at_the_top else []


def is_licence(path: pathlib.Path) -> bool:
    in_use = not UNUSED.intersection(path.parts[:-1])
    return in_use and NAMES.match(path.name) is not None and path.suffix not in CODE


def text_from_the_list(crate: Crate, by_name: dict[str, Crate], listed: dict[str, Any]) -> str:
    if other := listed["as"].get(crate.name):
        if other not in by_name or by_name[other].licence != crate.licence:
            raise LicenceMissing(f"licences.toml: {crate.name} has another licence than {other}. Correct it.")
        return own_texts(by_name[other])[0]
    kind, template = ("MIT", HERE / "mit.txt") if crate.name in listed["mit"] else ("Apache-2.0", "LICENSE")
    if kind not in crate.licence:
        raise LicenceMissing(f"licences.toml: {crate.name} is under {crate.licence}, not {kind}. Correct it.")
    return pathlib.Path(template).read_text("utf-8").replace("{holder}", listed["mit"].get(crate.name, ""))


def of_the_tools() -> Iterator[tuple[str, str]]:
    """What the compilers add: the standard library of Rust, the C library musl, and Zig's runtime."""
    documents = pathlib.Path(output(["rustc", "--print", "sysroot"]).strip()) / "share" / "doc" / "rust"
    notices = documents / "COPYRIGHT-library.html"
    if not notices.is_file():
        raise LicenceMissing(f"{notices} is missing. Install Rust with rustup, whose component rustc has it.")
    yield "Rust's standard library, and what is compiled into it", plain(notices.read_text("utf-8"))
    environment = pathlib.Path(".venv").resolve()
    for title, pattern in (
        ("musl", "lib/python3*/site-packages/ziglang/lib/libc/musl/COPYRIGHT"),
        ("Zig's runtime for C", "lib/python3*/site-packages/ziglang/LICENSE"),
    ):
        found = next(environment.glob(pattern), None)
        if found is None:
            raise LicenceMissing(f"The licence of {title} comes with Zig. Run: scripts/python-environment cross")
        yield title, found.read_text("utf-8", errors="replace")


def plain(page: str) -> str:
    """The text of a page in HTML, without empty lines at the beginning of anything."""
    body = re.sub(r"<(style|script|head).*?</\1>", "", page, flags=re.DOTALL)
    words = html.unescape(re.sub(r"<[^>]+>", "", body))
    return re.sub(r"\n\s*\n\s*\n+", "\n\n", words)


def joined(found: Iterable[tuple[str, str]]) -> str:
    """Each text once, in the order of the first that it belongs to."""
    titles: dict[str, list[str]] = {}
    for title, one in found:
        belongs = titles.setdefault(tidy(one), [])
        if title not in belongs:
            belongs.append(title)
    parts = ["\n".join([LINE, *belongs, LINE, "", one]) for one, belongs in titles.items()]
    return "\n" + "\n\n".join(parts) + "\n"


def tidy(one: str) -> str:
    """Without what makes the same text differ: ends of lines, and spaces in front of them."""
    return "\n".join(line.rstrip() for line in one.replace("\r\n", "\n").strip("\n").split("\n"))
