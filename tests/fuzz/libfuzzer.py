"""One target under libFuzzer: ``python -m tests.fuzz.libfuzzer TARGET SECONDS HANG_SECONDS``.

Our modules are instrumented as they are imported, so this imports them itself. libFuzzer ends the
process.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["immune.intake", "json"]):
    from tests.fuzz.targets import TARGETS, strike


def main(name: str, seconds: str, hang_s: str) -> None:
    """Fuzz a target."""
    target, bodies = TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, body in enumerate(bodies):
            Path(corpus, str(number)).write_bytes(body)
        options = [f"-max_total_time={seconds}", f"-timeout={hang_s}", "-max_len=100000"]
        quiet = ["-verbosity=0", "-rss_limit_mb=4096"]
        atheris.Setup([sys.argv[0], corpus, *options, *quiet], lambda body: strike(target, body))
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
