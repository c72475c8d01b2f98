"""Fuzzes the decoders: ``python -m tests.fuzz --seconds 600``.

Inputs are mutations of real requests. One that reaches lines of ours that none reached before
is kept and mutated further. Where atheris is installed, libFuzzer has the other half of the time:
it sees branches as well (see `libfuzzer`).

Memory is limited for the whole process, and each input to a few seconds: a bomb or a hang ends in a
traceback that names the target, with the input beside it in a file.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from immune.clock import stopwatch_s
from tests.fuzz.targets import BYTES_MAX, TARGETS, strike

MEMORY_MAX = 4 * 1024**3
HANG_S = 20
OURS = str(Path("src", "immune", "intake"))
WORDS = (
    *(b"null", b"NaN", b"1e308", b"-1", b"1e400", b'""', b"[]", b"{}", b"\\ud800", b"\x00"),
    *(b"\xff" * 10, b"\x80" * 10, b"[" * 2000, b'{"a":' * 500, b"9" * 400, b"x" * 70_000),
)


class Lines:
    """Which lines of ours were reached."""

    def __init__(self) -> None:
        self._seen: set[tuple[CodeType, int]] = set()
        self._news = False

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        if OURS not in frame.f_code.co_filename:
            return None
        if event == "line":
            place = (frame.f_code, frame.f_lineno)
            if place not in self._seen:
                self._seen.add(place)
                self._news = True
        return self

    def news(self) -> bool:
        """Whether a line was new since the last time this was asked."""
        news, self._news = self._news, False
        return news

    def __len__(self) -> int:
        return len(self._seen)


def mutated(corpus: list[bytes], rng: random.Random) -> bytes:
    """One of the corpus, changed in a few places."""
    body = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(6):
            case 0:
                body[at : at + 1] = bytes([rng.randrange(256)])
            case 1 if at < len(body):
                body[at] ^= 1 << rng.randrange(8)
            case 2:
                del body[at : at + rng.choice((1, 4, 100))]
            case 3:
                body[at:at] = rng.choice(WORDS)
            case 4:
                other = rng.choice(corpus)
                start = rng.randrange(len(other) + 1)
                body[at:at] = other[start : start + rng.choice((1, 8, 64, 4096))]
            case _:
                body[at:at] = body[at : at + rng.choice((1, 8, 64))]
    return bytes(body[: 2 * BYTES_MAX])


def fuzzed(name: str, seconds: float, rng: random.Random, lines: Lines) -> Iterator[bytes]:
    """Strike one target for some seconds; yields each input before it is given."""
    target, corpus = TARGETS[name][0], list(TARGETS[name][1])
    for body in corpus:
        yield body
        strike(target, body)
    lines.news()
    until = stopwatch_s() + seconds
    while stopwatch_s() < until:
        body = mutated(corpus, rng)
        yield body
        strike(target, body)
        if lines.news():
            corpus.append(body)


def by_lines(seconds: float, seed: int) -> int:
    """Fuzz every target for its share of the time; returns how many inputs were given."""
    rng, lines, given = random.Random(seed), Lines(), 0
    failing = Path(tempfile.gettempdir(), "immune-fuzz-failing")
    for name in TARGETS:
        sys.settrace(lines)
        try:
            for body in fuzzed(name, seconds / len(TARGETS), rng, lines):
                given += 1
                failing.write_bytes(body)
                faulthandler.dump_traceback_later(HANG_S, exit=True)
        finally:
            sys.settrace(None)
            faulthandler.cancel_dump_traceback_later()
        print(f"{name}: {given} inputs so far, {len(lines)} lines reached", flush=True)  # noqa: T201
    failing.unlink()
    return given


def by_libfuzzer(seconds: float) -> None:
    """Fuzz every target under libFuzzer, each in a process, which it ends itself."""
    for name in TARGETS:
        command = [sys.executable, "-m", "tests.fuzz.libfuzzer", name]
        share = str(int(seconds / len(TARGETS)) or 1)
        subprocess.run([*command, share, str(HANG_S)], check=True)  # noqa: S603  # our own words


def main() -> None:
    """Fuzz."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines-only", action="store_true", help="without libFuzzer")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    if options.lines_only or importlib.util.find_spec("atheris") is None:
        by_lines(options.seconds, options.seed)
    else:
        by_lines(options.seconds / 2, options.seed)
        by_libfuzzer(options.seconds / 2)


if __name__ == "__main__":
    main()
