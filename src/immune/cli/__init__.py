"""The command ``immune``: one verb a module, each of which loads what it needs only when called.

`main` is the entry point. What was asked wrongly (a flag, a setting, a file) ends with exit code 2,
a refusal or a server that isn't there with 1, each with one plain sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; always raises SystemExit."""
    from immune.cli.app import app
    from immune.errors import ImmuneError, InvalidInput

    try:
        app(args=None if arguments is None else list(arguments), prog_name="immune")
    except InvalidInput as error:
        print(f"immune: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except ImmuneError as error:
        print(f"immune: {error}", file=sys.stderr)
        raise SystemExit(1) from error
