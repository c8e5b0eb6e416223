"""Figures, and how they are formatted."""

import statistics
from collections.abc import Iterable


class Figure:
    """A figure that was measured several times."""

    def __init__(self, values: Iterable[float]):
        self.values = list(values)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, unit: str, decimals: int = 1, scale: float = 1) -> str:
        """The median, with the lowest and highest in brackets if there are several."""
        median = f"{self.median * scale:,.{decimals}f} {unit}".rstrip()
        if len(self.values) == 1:
            return median
        least, most = (f"{end(self.values) * scale:,.{decimals}f}" for end in (min, max))
        return median if least == most else f"{median} ({least}–{most})"

    def count(self) -> str:
        return self.text("", 0)

    def seconds(self) -> str:
        return self.text("s", 2)

    def mebibytes(self) -> str:
        return self.text("MiB", 1, 2**-20)

    def microseconds(self) -> str:
        return self.text("µs", 2, 1e6)

    def milliseconds(self) -> str:
        return self.text("ms", 1, 1e3)
