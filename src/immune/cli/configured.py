"""Settings as a command sees them: the file, the environment, and its own flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from immune.settings import Origins, Settings

NOT_SETTINGS = frozenset({"IMMUNE_SERVER"})
"""Variables of ours that only the command line reads."""


def configured(
    config: Path | None, flags: Mapping[str, Any] | None = None
) -> tuple[Settings, Origins]:
    """Load the settings; raises InvalidInput naming the field and its origin."""
    from immune.settings import load

    environment = {name: text for name, text in os.environ.items() if name not in NOT_SETTINGS}
    return load(config, environment, flags)
