"""A relay that makes a server distant: TLS in another process, and every byte arrives late.

usage: python3 -m bench.far_away HOST PORT ROUND_TRIP_MS FOLDER    prints its port when it is ready

It reproduces the other costs of distance, too: TCP and TLS handshakes take a round trip each, and TCP's slow
start sends little in the first round trips of a connection.
"""

import asyncio
import functools
import pathlib
import sys
import tempfile

from . import certificates
from .processes import Server

# The bytes that a connection sends in its first round trip (RFC 6928: ten segments), and at most.
FIRST_WINDOW = 10 * 1460
LARGEST_WINDOW = 4 * 2**20
CHUNK = 64 * 1024


class FarAway:
    """A running relay in front of a plain HTTP server."""

    def __init__(self, url: str, round_trip_ms: int):
        host, port = url.removeprefix("http://").split(":")
        self._folder = tempfile.TemporaryDirectory(prefix="clerk-sync-far-away-")
        self.roots = pathlib.Path(self._folder.name) / "roots.pem"
        command = [sys.executable, "-m", "bench.far_away", host, port, str(round_trip_ms), self._folder.name]
        self._server = Server("the relay", command)
        self.url = f"https://127.0.0.1:{self._server.listening_at}"

    def __enter__(self) -> "FarAway":
        return self

    def __exit__(self, *_) -> None:
        self._server.stop()
        self._folder.cleanup()


async def serve(host: str, port: int, round_trip: float, folder: pathlib.Path) -> None:
    context, _ = certificates.write(folder)

    async def terminate(reader, writer) -> None:
        """Terminates TLS, next to the plain server."""
        await both_ways(reader, writer, *await asyncio.open_connection(host, port), copy, copy)

    near = await asyncio.start_server(terminate, "127.0.0.1", 0, ssl=context)
    near_port = near.sockets[0].getsockname()[1]

    async def travel(reader, writer) -> None:
        # TCP's handshake takes a round trip before the first byte is sent.
        await asyncio.sleep(round_trip)
        far = await asyncio.open_connection("127.0.0.1", near_port)
        there = functools.partial(delayed, delay=round_trip / 2, round_trip=None)
        back = functools.partial(delayed, delay=round_trip / 2, round_trip=round_trip)
        await both_ways(reader, writer, *far, there, back)

    far = await asyncio.start_server(travel, "127.0.0.1", 0)
    print(far.sockets[0].getsockname()[1], flush=True)
    await asyncio.gather(near.serve_forever(), far.serve_forever())


async def both_ways(reader, writer, far_reader, far_writer, there, back) -> None:
    try:
        await asyncio.gather(there(reader, far_writer), back(far_reader, writer))
    except OSError:
        pass  # One side has gone; so does the other.
    finally:
        writer.close()
        far_writer.close()


async def copy(source, sink) -> None:
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


async def delayed(source, sink, delay: float, round_trip: float | None) -> None:
    """Forwards data with a delay. With a `round_trip`, at most one window in each round trip."""
    loop = asyncio.get_running_loop()
    # More data than this is in transit only if the window allows it.
    travelling = asyncio.Queue(maxsize=LARGEST_WINDOW // CHUNK)

    async def arrive() -> None:
        while (item := await travelling.get()) is not None:
            at, data = item
            await asyncio.sleep(max(0, at - loop.time()))
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()

    async def depart() -> None:
        window, sent, round_began = FIRST_WINDOW, 0, loop.time()
        while data := await source.read(min(CHUNK, window - sent)):
            await travelling.put((loop.time() + delay, data))
            if round_trip is None:
                continue
            now = loop.time()
            if now - round_began >= round_trip:
                sent, round_began = 0, now
            sent += len(data)
            if sent >= window:
                # Wait until the data in transit has been acknowledged.
                await asyncio.sleep(round_began + round_trip - now)
                window = min(window * 2, LARGEST_WINDOW)
                sent, round_began = 0, loop.time()
        await travelling.put(None)

    await asyncio.gather(arrive(), depart())


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) / 1000, pathlib.Path(sys.argv[4])))
