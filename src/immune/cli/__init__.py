"""The command ``immune``: one verb a module, each of which loads what it needs only when called.

`main` is the entry point. A refusal or a server that isn't there ends with exit code 1 and one
plain sentence; a mistake on the command line with 2, as is usual.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; always raises SystemExit."""
    from immune.cli.app import app
    from immune.errors import ImmuneError

    try:
        app(args=None if arguments is None else list(arguments), prog_name="immune")
    except ImmuneError as error:
        print(f"immune: {error}", file=sys.stderr)
        raise SystemExit(1) from error
