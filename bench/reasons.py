"""Why a promise is not kept, where that is known: written by hand, shown while it is not kept."""

# By the promise's words; what is short, and why nothing more was done.
REASONS: dict[str, str] = {}
