"""Spans on their way into the assembler: on disk first, several requests by one sync.

The answer to a request may go out once `take` has returned: its spans survive the death of the
process, in the journal until the step that they are part of has gone out as a vital, and in the
store from then on. What went out is noted in the journal with a later write; a process that dies in
between gives the same steps again, by the same ids, and the store counts them once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from immune.clock import Clock
from immune.errors import ImmuneError, Transient
from immune.vitals import Vital
from immune.web.ports import Assembler, Journal

FRAME_ENTRIES = 1000
"""Entries of one frame where all that waits is written anew."""


class _Taking(NamedTuple):
    spans: Sequence[Any]
    done: asyncio.Future[None]


class SpanSpool:
    """The journal and the assembler behind it, for one event loop."""

    def __init__(self, assembler: Assembler, journal: Journal, clock: Clock) -> None:
        self._assembler = assembler
        self._journal = journal
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "span-journal")
        self._waiting: list[_Taking] = []
        self._gone: list[bytes] = []
        self._committing: asyncio.Task[None] | None = None
        self._ready: list[Vital] = []

    async def take(self, spans: Sequence[Any]) -> None:
        """Make `spans` durable and feed them; raises StoreDown, having taken none of them."""
        if not spans:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Taking(spans, done))
        self._start()
        await done

    def ready(self) -> list[Vital]:
        """Return the steps that are ready by now, each once, waiting for what may still come."""
        self._ready += self._assembler.flush(self._clock.time())
        ready, self._ready = self._ready, []
        return ready

    def leaving(self) -> Sequence[Any]:
        """What the steps returned so far leave behind: to be handed to `left` once they are
        durable."""
        return self._assembler.gone()

    def left(self, gone: Sequence[Any]) -> None:
        """These steps are durable: note with the next write that they need not be kept."""
        if gone:
            self._gone.append(self._journal.frame(gone))

    def tidy(self) -> None:
        """Write the notes of what went out, where no request does."""
        if self._gone:
            self._start()

    async def close(self) -> None:
        """Write what is to be written; what still waits is taken up by the next process."""
        self.tidy()
        if self._committing is not None:
            await asyncio.wait([self._committing])
        self._thread.shutdown(wait=True)

    # --- writing --------------------------------------------------------------------------

    def _start(self) -> None:
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit(), name="span journal")

    async def _commit(self) -> None:
        """Write all that waits, again and again until nothing does."""
        try:
            while self._waiting or self._gone:
                group, self._waiting = self._waiting, []
                gone, self._gone = self._gone, []
                if not await self._commit_group(group, gone):
                    return
        finally:
            self._committing = None
            if self._waiting:  # they came when the last write had failed
                self._start()

    async def _commit_group(self, group: list[_Taking], gone: list[bytes]) -> bool:
        fault: ImmuneError | None = Transient("the server stopped while the spans were written")
        try:
            frames = gone + [self._journal.taken(taking.spans) for taking in group]
            await self._blocking(self._journal.append, frames)
            fault = None
        except ImmuneError as error:
            fault = error
            self._gone = gone + self._gone
        finally:
            now = self._clock.time()
            for taking in group:
                # fed here, before any rewriting: that writes what the assembler holds
                if fault is None:
                    self._ready += self._assembler.feed(taking.spans, now)
                if not taking.done.done():  # else its request was cancelled
                    if fault is None:
                        taking.done.set_result(None)
                    else:
                        taking.done.set_exception(fault)
        if fault is None and self._journal.bloated:
            await self._rewrite()
        return fault is None

    async def _rewrite(self) -> None:
        """Write anew what still waits; where that is too much, finish the oldest of it."""
        while True:
            entries = iter(self._assembler.entries())
            frames = []
            while some := list(islice(entries, FRAME_ENTRIES)):
                frames.append(self._journal.frame(some))
            try:
                await self._blocking(self._journal.rewrite, frames)
            except ImmuneError:
                return  # as large as it was; the next write tries again
            if not self._journal.full or not frames:
                return
            self._ready += self._assembler.shrink(self._clock.time())

    async def _blocking(
        self, work: Callable[[Sequence[bytes]], None], frames: Sequence[bytes]
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, frames)
