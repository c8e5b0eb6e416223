"""What happens at the request limit: only on request, for a development instance, and never beyond
the first 429."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ..clerk import Answer, Connection, NoAnswer
from ..findings import Finding, NotShown, judged, not_shown
from ..instance import Instance

# A development instance answers 100 requests in ten seconds.
MAX_REQUESTS = 150

# One connection alone may be too slow to reach the limit.
_CONNECTIONS = 6

# Longer than any wait that a window of ten seconds needs.
_LONGEST_WAIT_SECONDS = 30


def limit(seen: Instance) -> Iterator[Finding]:
    if not seen.settings.reaches_limit:
        raise NotShown("skipped: PROBE_RATE_LIMIT=1 asks for it")
    path = seen.list("users").count_path or ""
    burst = Burst(seen, path)
    refused = burst.run()
    if refused is None:
        raise NotShown(f"{MAX_REQUESTS} requests at once were all answered")
    yield judged("rate_limit", refused.code == "too_many_requests", seen.refusal(refused))
    wait = refused.retry_after
    if wait is None:
        named = "retry-after" in refused.headers
        yield judged("retry_after", False, "not whole seconds" if named else "no `Retry-After`")
        return
    if wait > _LONGEST_WAIT_SECONDS:
        yield not_shown("retry_after", f"more than {_LONGEST_WAIT_SECONDS} s, which nobody waited")
        return
    time.sleep(wait)
    again = Connection(seen.settings).get(path, (), seen.clerk.headers())
    yield judged("retry_after", again.status == 200, f"{wait} s, then {seen.refusal(again)}")


class Burst:
    """Sends requests over several connections, until one is refused."""

    def __init__(self, seen: Instance, path: str):
        self._seen, self._path = seen, path
        self._lock = threading.Lock()
        self._left = MAX_REQUESTS
        self._refused: Answer | None = None

    def run(self) -> Answer | None:
        """The first answer of status 429; `None` if there was none."""
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            for worker in [pool.submit(self._work) for _ in range(_CONNECTIONS)]:
                worker.result()
        return self._refused

    def _work(self) -> None:
        connection = Connection(self._seen.settings)
        try:
            while self._takes_turn():
                answer = connection.get(self._path, (), self._seen.clerk.headers())
                with self._lock:
                    if answer.status == 429 and self._refused is None:
                        self._refused = answer
        except NoAnswer:
            # The other connections go on.
            return
        finally:
            connection.close()

    def _takes_turn(self) -> bool:
        with self._lock:
            if self._refused is not None or self._left == 0:
                return False
            self._left -= 1
            return True
