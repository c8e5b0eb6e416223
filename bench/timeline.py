"""How a run has asked Clerk, second by second, as its log tells (`src/sync/run/timeline.rs`)."""

import re
from dataclasses import dataclass

# Of one line of the chart.
WIDTH = 64


@dataclass(frozen=True)
class Second:
    in_flight: int
    # Requests that would fill the rate.
    needed: int
    held_back_by: str


def timeline(log: str) -> list[Second]:
    """The seconds of a run whose LOG_LEVEL was `debug`."""
    seconds = []
    for line in log.splitlines():
        if "request pacing" in line:
            said = dict(re.findall(r"(\w+)=(\S+)", line))
            seconds.append(Second(int(said["in_flight"]), int(said["needed"]), said["held_back_by"]))
    return seconds


def chart(seconds: list[Second]) -> list[str]:
    """In flight as bars, and the reason why there are no more."""
    most = max((second.in_flight for second in seconds), default=1) or 1
    lines = ["second  in flight"]
    for number, second in enumerate(seconds):
        bar = "█" * round(second.in_flight * WIDTH / most)
        lines.append(f"{number:6}  {second.in_flight:3} {bar:{WIDTH}} {second.held_back_by}".rstrip())
    return ["```text", *lines, "```", ""]
