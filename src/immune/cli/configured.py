"""Settings as a command sees them: the file, the environment, and its own flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from immune.settings import Origins, Settings


def configured(
    config: Path | None, flags: Mapping[str, Any] | None = None
) -> tuple[Settings, Origins]:
    """Load the settings; raises InvalidInput naming the field and its origin."""
    from immune.settings import load

    return load(config, os.environ, flags)
