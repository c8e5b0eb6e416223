"""Words for numbers and names, none of which tells anything about one instance."""

from __future__ import annotations

from collections.abc import Collection


def magnitude(count: int) -> str:
    """A count, rounded to its order of magnitude: `0`, `1 to 9`, `10 to 99`."""
    if count <= 0:
        return "0"
    lowest = 10 ** (len(str(count)) - 1)
    return f"{lowest:,} to {lowest * 10 - 1:,}"


def rows(count: int) -> str:
    return "no rows" if count == 0 else f"{magnitude(count)} rows"


def milliseconds(seconds: float) -> str:
    """Two digits of it."""
    return f"{float(f'{seconds * 1000:.2g}'):,.0f} ms"


def some(names: Collection[str], most: int = 6) -> str:
    """Names of lists and fields, the first few of them."""
    listed = [f"`{name}`" for name in sorted(names)]
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")
