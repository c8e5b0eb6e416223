"""Why a target is missed, if known. Written by hand; shown while the target is missed."""

from .everything import CPU as CPU_OF_EVERYTHING
from .sizes import CPU, SAME_MEMORY
from .unlimited import CHEAPER

# By the target's text.
REASONS: dict[str, str] = {
    CHEAPER: "a well-written loop takes about 30 µs a record; a twentieth of that is less than it takes to "
    "decompress, hash and compress a record's bytes (see CPU by stage)",
    CPU: "the speed of this machine varies by a third from one minute to the next: within half an hour, the "
    "same program took 6.2 to 9.3 µs at 100,000 users, and 7.6 to 11.8 at 10,000",
    CPU_OF_EVERYTHING: "Clerk lists API keys one owner at a time, which takes more than ten requests for each "
    "key here; one request and its answer alone cost ten times the target for a record",
    SAME_MEMORY: "a small instance has fewer pages to read ahead, so less is in flight; the limit for that is the "
    "same for every size",
}
