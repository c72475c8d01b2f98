"""Everything that can be set: nested frozen structs, each field with unit, default and reason.

`load` reads defaults, then a TOML file, then ``IMMUNE_*`` environment variables (two underscores
between levels: ``IMMUNE_SERVER__PORT``), then flags; the origin of each value is kept, and
`immune settings` prints it. An unknown or wrong value is refused by name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from immune.detection.params import DetectionParams
from immune.errors import InvalidInput
from immune.healing.params import HealingParams
from immune.modes import Mode
from immune.quarantine import BrakeParams


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server listens."""

    host: str = "127.0.0.1"
    """Address to bind to; anything but loopback is refused."""
    port: int = 8090
    """TCP port; 0 takes a free one."""
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Names that a request's Host header may carry, against DNS rebinding."""
    body_max_bytes: int = 16 * 1024 * 1024
    """Largest request body, after decompression; beyond it 413."""
    items_max: int = 50_000
    """Most vitals in one request."""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where things are kept."""

    directory: str = "immune-data"
    """Folder of both SQLite files, made when missing."""
    raw_hours: float = 24.0
    """How long raw vitals are kept, hours."""
    raw_bytes: int = 4 * 1024**3
    """How large the telemetry file may grow before the oldest raw vitals go, bytes."""
    rollup_days: float = 30.0
    """How long one-minute sums are kept, days."""
    checkpoint_s: float = 60.0
    """Seconds between two savings of the learned baselines: what a crash may unlearn."""

    def __post_init__(self) -> None:
        for name in ("raw_hours", "raw_bytes", "rollup_days", "checkpoint_s"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"store.{name}", "must be above 0")


class NotifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told."""

    webhook_url: str = ""
    """Where signed notices are posted; empty: they go to the log alone."""
    webhook_secret: str = ""
    """Key of the HMAC-SHA256 signature; required with a webhook."""


class IntakeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much intake may run ahead of detection."""

    queue_rows: int = 200_000
    """Vitals accepted and not yet scored; beyond it intake answers 429."""
    batch_rows: int = 100_000
    """Vitals scored in one micro-batch at the most."""
    order_s: float = 10.0
    """A vital that arrives this much behind its agent's latest is still scored; a later one is
    stored only."""
    active_s: float = 300.0
    """An agent counts as active for so long after its last step."""


class CaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pace of an incident."""

    approval_deadline_s: float = 900.0
    """How long a person has to decide before the next contact is told, seconds."""
    stale_s: float = 120.0
    """A probation without a fresh vital for so long is flagged as stale, seconds."""
    stay_well_s: float = 1800.0
    """How long an agent stays well before a limiting treatment is lifted, seconds."""


class OutboxSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How wishes are carried out."""

    unreachable_after: int = 4
    """Tries of an action before its agent counts as unreachable."""
    retry_s: float = 2.0
    """Pause before the second try, seconds; it doubles with each."""
    retry_max_s: float = 300.0
    """The longest pause between two tries, seconds."""
    notices_a_minute: int = 5
    """Single messages a minute; what exceeds it is sent together as a digest."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings."""

    mode: Mode = Mode.OBSERVE
    """What is done with a confirmed infection until a person says otherwise: observe, ask or
    enforce. A new installation must earn the trust to enforce."""
    tick_s: float = 0.2
    """Longest wait between two looks at timers, seconds."""
    grace_s: float = 60.0
    """Wait for deadlines that passed while the process was down, seconds."""
    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    notify: NotifySettings = NotifySettings()
    intake: IntakeSettings = IntakeSettings()
    cases: CaseSettings = CaseSettings()
    outbox: OutboxSettings = OutboxSettings()
    detection: DetectionParams = DetectionParams()
    healing: HealingParams = HealingParams()
    brake: BrakeParams = BrakeParams()

    def __post_init__(self) -> None:
        if not self.tick_s > 0:
            raise InvalidInput("tick_s", "must be above 0")
        if not self.grace_s >= 0:
            raise InvalidInput("grace_s", "must not be negative")


PREFIX = "IMMUNE_"
RESERVED = frozenset({"IMMUNE_BENCH_DATA", "IMMUNE_CI", "IMMUNE_SERVER", "IMMUNE_SETTINGS"})
"""Environment variables of ours that are no settings."""

Origins = dict[str, str]
"""Dotted name of each value that is not a default -> where it came from."""


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> tuple[Settings, Origins]:
    """Read settings from all places, later ones winning.

    `flags` are dotted names and values. Raises InvalidInput naming the field and its origin.
    """
    merged: dict[str, Any] = {}
    origins: Origins = {}
    if file is not None:
        try:
            content = tomllib.loads(file.read_text())
        except OSError as fault:
            raise InvalidInput(str(file), fault.strerror or "cannot be read") from fault
        except tomllib.TOMLDecodeError as fault:
            raise InvalidInput(str(file), str(fault)) from fault
        for name, value in _flat(content):
            _put(merged, name, value)
            origins[name] = f"file {file.name}"
    for variable, text in sorted((environment or {}).items()):
        if variable.startswith(PREFIX) and variable not in RESERVED:
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            _put(merged, name, text)
            origins[name] = f"environment {variable}"
    for name, value in (flags or {}).items():
        if value is not None:
            _put(merged, name, value)
            origins[name] = "flag"
    try:
        # strict=False reads numbers from the environment's strings
        return msgspec.convert(merged, Settings, strict=False), origins
    except msgspec.ValidationError as fault:
        reason, _, path = str(fault).partition(" - at `$.")
        name = path.rstrip("`") or "settings"
        raise InvalidInput(name, f"{reason} (from {origins.get(name, 'settings')})") from fault


def listing(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of every setting."""
    yield from _flat(msgspec.to_builtins(settings))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    *parents, leaf = name.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise InvalidInput(name, f"{parent} is a value, not a group of settings")
    tree[leaf] = value
