"""Mistakes that a check must notice, planted in a text one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..scene import expect


@dataclass(frozen=True)
class Fault:
    what: str
    # A text that occurs once, and what stands there instead.
    old: str
    new: str


def prove_sound(text: str, complaints: Callable[[str], Iterable[str]], faults: tuple[Fault, ...]) -> None:
    """There are no complaints about the text, and some about each fault in it."""
    expect(not list(complaints(text)), list(complaints(text)))
    for fault in faults:
        expect(text.count(fault.old) == 1, f"{fault.what}: {fault.old!r} is there {text.count(fault.old)} times")
        expect(list(complaints(text.replace(fault.old, fault.new))), f"not noticed: {fault.what}")
