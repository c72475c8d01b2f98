"""Everything that can be set: nested frozen structs, each field with unit, default and reason.

`load` reads defaults, then a TOML file, then ``IMMUNE_*`` environment variables (two underscores
between levels: ``IMMUNE_SERVER__PORT``), then flags; the origin of each value is kept, and
`immune settings` prints it. An unknown or wrong value is refused by name, with its origin; within
which bounds a number makes sense is in `ranges`.
"""

from __future__ import annotations

import difflib
import re
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
from immune.ranges import check


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server listens."""

    host: str = "127.0.0.1"
    """Address to bind to; anything but loopback is refused."""
    port: int = 8090
    """TCP port; 0 takes a free one."""
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Names that a request's Host header may carry, against DNS rebinding."""
    body_max_bytes: int = 16 * 1024 * 1024
    """Largest request body, bytes, before and after decompression; beyond it 413. 16 MiB hold about
    40,000 vitals or 16,000 spans."""
    items_max: int = 50_000
    """Most vitals in one request; a larger batch would hold up everybody else's."""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where things are kept."""

    directory: str = "immune-data"
    """Folder of both SQLite files, the journal of spans and the salt, made when missing."""
    workflow_url: str = ""
    """Database of the workflow, such as ``postgresql://user@host/immune``; empty: an SQLite file in
    the folder, which is enough for one machine."""
    reserve_bytes: int = 32 * 1024**2
    """Room on the disk that is kept for decisions beside the workflow's file, bytes; on a disk of
    less than four times that, a quarter of it. Once the disk is full, vitals are refused, orders
    and fences go on from it: 32 MB carry some 2,400 cases or 56,000 orders."""
    raw_hours: float = 24.0
    """How long raw vitals are kept, hours."""
    raw_bytes: int = 4 * 1024**3
    """How much raw vitals may take in the telemetry file before the oldest go, bytes; a sixteenth
    past it, intake waits until there is room. With what finds them the file is up to 1.6 times as
    large, and its log up to 100 MB; what is not needed is given back to the disk."""
    rollup_days: float = 30.0
    """How long one-minute sums are kept, days."""
    rollup_bytes: int = 16 * 1024**3
    """How much of the telemetry file one-minute sums may take before the oldest go, bytes; 16 GB
    hold 30 days of 2,000 agents that are never idle."""
    checkpoint_s: float = 60.0
    """Seconds between two savings of the learned baselines: what a crash may unlearn."""


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
    stored only, unless the clock of its host is known to be as far behind."""
    active_s: float = 300.0
    """An agent counts as active for so long after its last step."""
    agents_max: int = 100_000
    """Agents of which something is kept in memory; past it those unseen for longest are retired. It
    bounds what an exporter costs that makes up a new id for each step."""
    retire_after_s: float = 7 * 86_400.0
    """An agent unseen for so long is retired, seconds: nothing of it stays in memory, its history
    is kept, and it is back, learning anew, with its next vital."""


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
        check(self)


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
        content = _toml(file)
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
    for name in origins:
        _refuse_unknown(name, origins)
    try:
        # strict=False reads numbers from the environment's strings
        return msgspec.convert(merged, Settings, strict=False), origins
    except msgspec.ValidationError as fault:
        reason, _, path = str(fault).partition(" - at `$.")
        name = path.rstrip("`") or "settings"
        raise _blamed(name, _plain(reason), origins) from fault
    except InvalidInput as fault:
        raise _blamed(fault.field, fault.reason, origins) from fault


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as fault:
        raise InvalidInput(str(file), fault.strerror or "cannot be read") from fault
    except UnicodeDecodeError as fault:
        raise InvalidInput(str(file), f"is not UTF-8 text (byte {fault.start})") from fault
    except (ValueError, RecursionError) as fault:
        raise InvalidInput(str(file), f"is not TOML: {fault}") from fault


def _refuse_unknown(name: str, origins: Origins) -> None:
    known = {setting for setting, _ in listing(Settings())}
    if name in known:
        return
    if any(setting.startswith(f"{name}.") for setting in known):
        raise _blamed(name, "is a group of settings, not a single one", origins)
    like = [n for n in known if n.endswith(f".{name}")] or difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {like[0]}?" if like else ": `immune settings` lists them"
    raise _blamed(name, f"there is no such setting{hint}", origins)


def _blamed(field: str, reason: str, origins: Origins) -> InvalidInput:
    """The error with the field's full name and where its value came from."""
    leaf = field.partition("[")[0]  # allowed_hosts[...]: an item of a list
    # a part that checks itself doesn't know which group it stands in
    name = next((n for n in origins if n == leaf or n.endswith(f".{leaf}")), leaf)
    origin = f" (from {origins[name]})" if name in origins else ""
    return InvalidInput(name, f"{reason}{origin}")


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "array": "a list",
    "object": "a group of settings",
    "null": "nothing",
}
_EXPECTED = re.compile(r"Expected `(?P<kinds>[^`]+)`(?:, got `(?P<got>[^`]+)`)?(?P<rest>.*)")
_ENUM = re.compile(r"Invalid enum value (?P<value>.+)")


def _plain(reason: str) -> str:
    """What msgspec says of a value, without the names of Python's types."""
    if found := _EXPECTED.fullmatch(reason):
        kinds = (k for k in found["kinds"].split(" | ") if k != "null")
        wanted = " or ".join(_KINDS.get(kind, kind) for kind in kinds)
        kind = "a fraction" if found["got"] == "float" else _KINDS.get(found["got"], found["got"])
        got = f", not {kind}" if found["got"] else ""
        return f"must be {wanted}{got}{found['rest']}"
    if found := _ENUM.fullmatch(reason):  # of the settings only the mode is one of several words
        return f"must be one of {', '.join(Mode)}, not {found['value']}"
    return reason


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
