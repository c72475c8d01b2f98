"""Spans that wait for the rest of their step, on disk: what lets a request be answered at once.

One file, appended to and synced before the answer. It says which spans were taken and what of them
has gone out as vitals, so that reading it again gives the spans that still wait. `rewrite` replaces
it by what waits now, which keeps it small. Each entry carries its length and a checksum; a torn
end, of which nobody was told that it was taken, is cut off on opening.

The file is of one run: what an earlier run left is of no use to this one.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import structlog

from immune.errors import StoreDown
from immune.intake.otlp.span import Span

log = structlog.get_logger(__name__)

REWRITE_BYTES = 4 * 1024 * 1024
"""A smaller file is never rewritten: it would be over again in no time."""
GROWTH = 4
"""A file is rewritten when it is so many times what it was rewritten to."""
BYTES_MAX = 256 * 1024 * 1024
"""No file is larger; where what waits alone would make it so, traces are finished early."""

_HEAD = "immune spans 1 {}\n"
_FRAME = struct.Struct("<II")


class Taken(msgspec.Struct, array_like=True, tag="t", frozen=True):
    """Spans were taken."""

    spans: list[Span]


class Gone(msgspec.Struct, array_like=True, tag="g", frozen=True, gc=False):
    """Something of a trace went out as vitals."""

    trace_id: str
    emitted: dict[str, int] = {}
    """The spans of the steps that went out, with how many tool calls each had."""
    done: list[str] = []
    """Spans that nothing can come of any more."""


class Known(msgspec.Struct, array_like=True, tag="k", frozen=True):
    """Spans of these came, each lastly about `at`, epoch seconds."""

    agents: list[tuple[str, str, float]]
    """Id, the rule that gave it (`identity.IdentityRule`), at."""
    services: list[tuple[str, float]]


Entry = Taken | Gone | Known


class _Several(msgspec.Struct, array_like=True, tag="s", frozen=True):
    """Entries that are written as one: most are far smaller than what frames them."""

    entries: list[Entry]


_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Entry | _Several] = msgspec.msgpack.Decoder(
    Taken | Gone | Known | _Several
)


class SpanJournal:
    """The file. Its methods block; one thread at a time."""

    def __init__(self, path: Path, run_id: str) -> None:
        self._path = path
        self._head = _HEAD.format(run_id).encode()
        self._file = -1
        self.size = 0
        """Bytes in the file."""
        self.kept = 0
        """Bytes of it after the last rewriting."""

    def open(self) -> list[Entry]:
        """Open the file, made where it is missing; return its entries. Raises StoreDown."""
        entries: list[Entry] = []
        try:
            body = self._path.read_bytes() if self._path.exists() else b""
            if body.startswith(self._head):
                good = len(self._head)
                for together, end in _entries(body, good):
                    entries += together
                    good = end
                if good < len(body):
                    log.warning("span journal cut short", bytes=len(body) - good)
                self._file = _open(self._path, os.O_WRONLY)
                os.ftruncate(self._file, good)
                os.lseek(self._file, 0, os.SEEK_END)
                self.size = good
            else:
                self.rewrite(())
        except OSError as fault:
            raise _down(fault) from fault
        return entries

    def frame(self, entries: Sequence[Entry]) -> bytes:
        """Return `entries` as they are appended: all of them are there again, or none."""
        body = _encode(_Several(list(entries)))
        return _FRAME.pack(len(body), zlib.crc32(body)) + body

    def taken(self, spans: Sequence[Span]) -> bytes:
        """Return the taking of `spans` as it is appended."""
        return self.frame([Taken(list(spans))])

    def append(self, frames: Sequence[bytes]) -> None:
        """Write `frames`, synced once; raises StoreDown, having written none of them."""
        data = b"".join(frames)
        try:
            _write(self._file, data)
            os.fdatasync(self._file)
        except OSError as fault:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, 0, os.SEEK_END)
            raise _down(fault) from fault
        self.size += len(data)

    def rewrite(self, frames: Sequence[bytes]) -> None:
        """Replace what is in the file by `frames`; raises StoreDown, having lost nothing."""
        fresh = self._path.with_suffix(".new")
        data = self._head + b"".join(frames)
        try:
            file = _open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                _write(file, data)
                os.fsync(file)
                fresh.replace(self._path)
            except BaseException:
                os.close(file)
                raise
            # before anything else can fail: what is appended to the file that went is lost
            self.close()
            self._file, self.size, self.kept = file, len(data), len(data)
            _sync_folder(self._path.parent)
        except OSError as fault:
            raise _down(fault) from fault

    @property
    def bloated(self) -> bool:
        """Whether rewriting it is worth the while."""
        return self.size > max(REWRITE_BYTES, GROWTH * self.kept)

    @property
    def full(self) -> bool:
        """Whether what it was rewritten to is more than it may be."""
        return self.kept > BYTES_MAX // GROWTH

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _entries(body: bytes, at: int) -> Iterator[tuple[list[Entry], int]]:
    """Yield what each whole frame holds, and where it ends."""
    while at + _FRAME.size <= len(body):
        length, check = _FRAME.unpack_from(body, at)
        data = body[at + _FRAME.size : at + _FRAME.size + length]
        if len(data) < length or zlib.crc32(data) != check:
            return
        try:
            held = _decoder.decode(data)
        except msgspec.MsgspecError:  # whole, and yet of another release
            log.warning("span journal of another release", bytes=length)
            return
        at += _FRAME.size + length
        yield held.entries if isinstance(held, _Several) else [held], at


def waiting(entries: Iterable[Entry]) -> dict[str, tuple[list[Span], dict[str, int]]]:
    """Return, by trace, the spans that still wait, and what of them has gone out."""
    spans: dict[str, dict[str, Span]] = {}
    emitted: dict[str, dict[str, int]] = {}
    for entry in entries:
        if isinstance(entry, Taken):
            for span in entry.spans:
                spans.setdefault(span.trace_id, {}).setdefault(span.span_id, span)
            continue
        if isinstance(entry, Known):
            continue
        emitted.setdefault(entry.trace_id, {}).update(entry.emitted)
        held = spans.get(entry.trace_id, {})
        for span_id in entry.done:
            held.pop(span_id, None)
        if not held:
            spans.pop(entry.trace_id, None)
            emitted.pop(entry.trace_id, None)
    return {
        trace_id: (list(held.values()), emitted.get(trace_id, {}))
        for trace_id, held in spans.items()
    }


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    at = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)


def _down(fault: OSError) -> StoreDown:
    return StoreDown(f"the journal of spans cannot be written: {fault.strerror}")
