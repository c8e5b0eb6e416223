"""What a program for Linux needs to start."""

from __future__ import annotations

import struct

from lambda_target import ARCHITECTURES

# The segment that names the dynamic loader ("PT_INTERP" in the ELF specification).
INTERPRETER = 3


def why_not_static(program: bytes, architecture: str) -> str | None:
    """Why this is no program for this architecture that needs nothing but the kernel; None if it is one."""
    if program[:5] != b"\x7fELF\x02":
        return "not a 64-bit program for Linux"
    (machine,) = struct.unpack_from("<H", program, 18)
    if machine != ARCHITECTURES[architecture]:
        return f"not a program for {architecture}"
    (first,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = {struct.unpack_from("<I", program, first + size * number)[0] for number in range(count)}
    if INTERPRETER in kinds:
        return "needs a dynamic loader: it is linked to libraries"
    return None
