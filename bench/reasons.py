"""Why a promise is not kept, where that is known: written by hand, shown while it is not kept."""

from .unlimited import CHEAPER

# By the promise's words.
REASONS: dict[str, str] = {
    CHEAPER: "the loop takes some 30 µs a record when it is written well; a twentieth is less than it "
    "takes to decompress, hash and compress a record's bytes (see CPU by stage)",
}
