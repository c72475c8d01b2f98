"""A PostgreSQL server whose every commit takes its time: a proxy that holds up COMMIT."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from immune.clock import SystemClock

SOCKET = ".s.PGSQL.5432"


@contextmanager
def slow(url: str, folder: Path, latency_s: float) -> Iterator[str]:
    """The URL of the same database, each of whose commits takes `latency_s` longer."""
    folder.mkdir()
    parts = urlsplit(url)
    (host,) = parse_qs(parts.query)["host"]
    loop = asyncio.new_event_loop()
    proxy = loop.run_until_complete(_listen(Path(host) / SOCKET, folder / SOCKET, latency_s))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"postgresql://{parts.netloc}{parts.path}?host={folder}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        proxy.close()
        loop.run_until_complete(_end(loop))
        loop.close()


async def _listen(server: Path, proxy: Path, latency_s: float) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asks = await asyncio.open_unix_connection(server)
        await asyncio.gather(
            _copy(reader, asks, latency_s), _copy(answers, writer, 0), return_exceptions=True
        )

    return await asyncio.start_unix_server(serve, proxy)


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency_s: float
) -> None:
    clock = SystemClock()
    try:
        while said := await reader.read(1 << 16):
            if latency_s and b"COMMIT" in said:
                await clock.sleep(latency_s)
            writer.write(said)
            await writer.drain()
    finally:
        writer.close()


async def _end(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
