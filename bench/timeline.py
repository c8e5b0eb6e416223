"""The requests of a run, second by second, from its log (`src/sync/run/timeline.rs`)."""

import re
from dataclasses import dataclass

# The width of a bar in the chart.
WIDTH = 64


@dataclass(frozen=True)
class Second:
    in_flight: int
    # Requests in flight that would fill the rate limit.
    needed: int
    held_back_by: str


def timeline(log: str) -> list[Second]:
    """The seconds of a run with LOG_LEVEL `debug`."""
    seconds = []
    for line in log.splitlines():
        if "request pacing" in line:
            said = dict(re.findall(r"(\w+)=(\S+)", line))
            seconds.append(Second(int(said["in_flight"]), int(said["needed"]), said["held_back_by"]))
    return seconds


def chart(seconds: list[Second]) -> list[str]:
    """Requests in flight as bars, and the reason why there are no more."""
    most = max((second.in_flight for second in seconds), default=1) or 1
    lines = ["second  in flight"]
    for number, second in enumerate(seconds):
        bar = "█" * round(second.in_flight * WIDTH / most)
        lines.append(f"{number:6}  {second.in_flight:3} {bar:{WIDTH}} {second.held_back_by}".rstrip())
    return ["```text", *lines, "```", ""]
