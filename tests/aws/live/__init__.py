"""`make live` notices what a live Clerk does otherwise than the synthetic one, and its report holds
nothing of what it read.

The synthetic Clerk takes the place of the live one, and all assumptions hold against it. Then each
is broken, by a fault of the synthetic Clerk or by a server in front of it.
"""

from __future__ import annotations

from ..scene import Scene
from . import deviations, options, secrecy, source


def prove(scene: Scene) -> None:
    source.understands_the_source_or_says_so(scene)
    secrecy.asks_for_every_list(scene)
    secrecy.holds_for_the_synthetic_clerk(scene)
    deviations.notices_every_deviation(scene)
    deviations.judges_slow_answers()
    secrecy.tells_nothing(scene)
    secrecy.survives_what_is_not_clerk(scene)
    options.tries_a_deleted_user(scene)
    options.meets_the_limit(scene)
    options.speaks_tls(scene)
    options.stops_in_time(scene)
    options.refuses_misuse(scene)
