"""Why a promise is not kept, where that is known: written by hand, shown while it is not kept."""

from .everything import CPU as CPU_OF_EVERYTHING
from .sizes import CPU, SAME_MEMORY
from .unlimited import CHEAPER

# By the promise's words.
REASONS: dict[str, str] = {
    CHEAPER: "the loop takes some 30 µs a record when it is written well; a twentieth is less than it "
    "takes to decompress, hash and compress a record's bytes (see CPU by stage)",
    CPU: "the time of this machine scatters by a third from one minute to the next: within half an hour "
    "the same program took 6.2 to 9.3 µs at 100,000 users, and 7.6 to 11.8 at 10,000",
    CPU_OF_EVERYTHING: "Clerk lists API keys for one owner at a time: here more than ten requests for each "
    "key there is, and a request and its answer alone cost ten times what a record may",
    SAME_MEMORY: "a small instance has fewer pages to ask for ahead, so that less is in flight; the bound on "
    "that is the same for every size",
}
