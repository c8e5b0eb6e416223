"""What deploy/Containerfile must and must not say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..stack import ROOT
from .faults import Fault

CONTAINERFILE = ROOT / "deploy" / "Containerfile"

# Where deploy/container-root puts the program.
PROGRAM = "/usr/bin/clerk-sync"


@dataclass
class Stage:
    base: str
    name: str
    # Each instruction with its arguments, in one line.
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [arguments for instruction, arguments in self.instructions if instruction == name]


def stages(text: str) -> list[Stage]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    defaults: dict[str, str] = {}
    found: list[Stage] = []
    for line in joined:
        instruction, _, arguments = line.partition(" ")
        if instruction == "ARG" and not found:
            name, _, default = arguments.partition("=")
            defaults[f"${{{name}}}"] = default
        elif instruction == "FROM":
            base, _, name = arguments.partition(" AS ")
            found.append(Stage(defaults.get(base, base), name))
        else:
            found[-1].instructions.append((instruction, arguments.strip()))
    return found


def user(text: str) -> str:
    """The number of the user."""
    (found,) = stages(text)[-1].all("USER")
    return found.partition(":")[0]


def copied(text: str) -> list[str]:
    """What the build gets of this repository."""
    sources = [arguments.split()[:-1] for arguments in stages(text)[0].all("COPY")]
    return [source for found in sources for source in found]


FAULTS = (
    Fault("another version of Rust every month", "rust:1.95-bookworm\n\nFROM", "rust:latest\n\nFROM"),
    Fault("no version at all", "rust:1.95-bookworm\n\nFROM", "rust\n\nFROM"),
    Fault("other dependencies", " --locked", ""),
    Fault("a program for tests", " --release", ""),
    Fault(
        "a program that knows no metadata service", "--package clerk-sync", "--no-default-features --package clerk-sync"
    ),
    Fault("another allocator", "COPY .cargo .cargo\n", ""),
    Fault("no list of dependencies", "COPY Cargo.toml Cargo.lock ./", "COPY Cargo.toml ./"),
    Fault("no files", " \\\n  && deploy/container-root target/release/clerk-sync /image", ""),
    Fault("the builder as base", "FROM scratch", "FROM build"),
    Fault("a shell", "FROM scratch", "FROM debian:bookworm-slim"),
    Fault("other files, too", "COPY --from=build /image /", "COPY --from=build / /"),
    Fault("a file of this folder", "COPY --from=build /image /", "COPY --from=build /image /\nCOPY src /src"),
    Fault("root", "USER 65532:65532", "USER 0:0"),
    Fault("root, by leaving it out", "USER 65532:65532\n", ""),
    Fault("a user by name", "USER 65532:65532", "USER nonroot:nonroot"),
    Fault("the group root", "USER 65532:65532", "USER 65532"),
    Fault("a program that is not there", '["/usr/bin/clerk-sync"]', '["/clerk-sync"]'),
    Fault("a shell that starts the program", '["/usr/bin/clerk-sync"]', "/usr/bin/clerk-sync"),
    Fault("a key in the image", "USER 65532", "ENV CLERK_SECRET_KEY=sk_test_a\nUSER 65532"),
    Fault("no place for large comparisons", 'VOLUME ["/tmp"]\n', ""),
)


def complaints(text: str) -> Iterator[str]:
    found = stages(text)
    if len(found) != 2:
        yield f"{len(found)} stages, not two"
        return
    build, image = found
    yield from complaints_about_build(build)
    if image.base != "scratch":
        yield f"the image is made from {image.base}, not from scratch"
    if image.all("COPY") != [f"--from={build.name} /image /"]:
        yield f"the image gets {image.all('COPY')}"
    others = {name for name, _ in image.instructions} - {"COPY", "LABEL", "VOLUME", "USER", "ENTRYPOINT"}
    if others:
        yield f"the image has {sorted(others)}"
    if not all(re.fullmatch(r"[1-9]\d+:[1-9]\d+", one) for one in image.all("USER")) or len(image.all("USER")) != 1:
        yield f"the user is {image.all('USER')}, not one user and group by number"
    if image.all("ENTRYPOINT") != [json.dumps([PROGRAM])]:
        yield f"the entry point is {image.all('ENTRYPOINT')}"
    if image.all("VOLUME") != ['["/tmp"]']:
        yield f"the volumes are {image.all('VOLUME')}"


def complaints_about_build(build: Stage) -> Iterator[str]:
    if not re.fullmatch(r"rust:\d+\.\d+(\.\d+)?-[a-z]+(@sha256:[0-9a-f]{64})?", build.base):
        yield f"{build.base} names no version of Rust and of Debian"
    sources = {source for one in build.all("COPY") for source in one.split()[:-1]}
    needed = {".cargo", "Cargo.toml", "Cargo.lock", "crates", "src", "deploy/container-root"}
    if sources != needed:
        yield f"the build gets {sorted(sources)}, not {sorted(needed)}"
    commands = [command.strip() for one in build.all("RUN") for command in one.split("&&")]
    wanted = [
        "cargo build --release --locked --package clerk-sync --bin clerk-sync",
        "deploy/container-root target/release/clerk-sync /image",
    ]
    if commands != wanted:
        yield f"the build runs {commands}"
