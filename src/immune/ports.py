"""What the drivers need from the outside: small protocols, each with one contract suite.

The workflow's rows are records of the pure parts; stores keep them, and judge nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from immune.columns import Rows, VitalColumns
from immune.healing.actions import Action, ActionAnswer, Healing, Treatment
from immune.incidents.effects import AnyEffect, Notify
from immune.incidents.events import AnyEvent
from immune.incidents.incident import Incident
from immune.quarantine import Fence
from immune.vitals import Kind, Vital


class IncidentEvent(msgspec.Struct, frozen=True):
    """One line of an incident's timeline."""

    seq: int
    """Position in the run's log, ascending without ties; 0 until stored."""
    incident_id: str
    version: int
    """Of the incident after the event."""
    state: str
    """Of the incident after the event."""
    event: AnyEvent


class OutboxRow(msgspec.Struct, frozen=True):
    """One wish waiting to be carried out."""

    effect: AnyEffect
    due_at: float
    """Epoch seconds; not before."""
    attempts: int = 0


class AgentRow(msgspec.Struct, frozen=True):
    """What is remembered of an agent beyond its baselines."""

    agent_id: str
    agent_type: str = ""
    model: str = ""
    provider: str = ""
    first_seen_at: float = 0.0
    last_seen_at: float = 0.0
    mode: str = ""
    """Own mode (observe, ask, enforce); empty where the type's or the global one holds."""


class OrderKey(msgspec.Struct, frozen=True):
    """The key that a client gave an order, so that sending it again does not repeat it."""

    key: str
    """Hash of the key: what a client chose is not ours to store."""
    order: str
    """Hash of the order."""
    at: float
    """When the order came, epoch seconds."""
    answer: bytes | None = None
    """What was answered; None until it is known: the order was begun, and has done something."""


class BaselineRow(msgspec.Struct, frozen=True):
    """One (agent, kind)'s learned state, opaque to the store."""

    agent_id: str
    kind: Kind
    saved_at: float
    blob: bytes


class Unit(Protocol):
    """One transaction of the workflow: all of it is written at the end, or none."""

    async def save_incident(self, incident: Incident, expected_version: int) -> None:
        """Insert (expected_version 0) or update.

        Raises StaleVersion where the row's version is not `expected_version`, and IllegalEvent
        where a second open incident of the same subject would arise: here, or on leaving the unit.
        """

    async def append_event(self, incident: Incident, event: AnyEvent, at: float) -> IncidentEvent:
        """Append to the timeline; returns the row with its `seq`."""

    async def put_fence(self, fence: Fence) -> None:
        """Insert or replace by id."""

    async def put_treatment(self, treatment: Treatment) -> None:
        """Insert or replace by id."""

    async def put_healing(self, healing: Healing) -> None:
        """Insert or replace by key."""

    async def add_effects(self, effects: Sequence[AnyEffect], due_at: float) -> None:
        """Add to the outbox; an effect whose key is (or was) there already is left out."""


class WorkflowStore(Protocol):
    """Incidents, their events, fences, treatments, healings and the outbox of one run.

    Every read and write is filtered by the run that the store was opened for. Raises StoreDown
    where it does not answer.
    """

    @property
    def run_id(self) -> str: ...

    async def open(self) -> None:
        """Connect, migrate, make or resume the run. Raises Fatal for a newer schema."""

    async def close(self) -> None: ...

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """Begin a transaction; committed on leaving the block, rolled back on an exception."""

    async def incident(self, incident_id: str) -> Incident | None: ...

    async def incidents(
        self,
        *,
        open_only: bool = False,
        states: Sequence[str] = (),
        subject: str | None = None,
        since: float = 0.0,
        limit: int | None = None,
    ) -> list[Incident]:
        """Newest first by `opened_at`, then by the id's number; `since` filters on `updated_at`."""

    async def next_incident_number(self) -> int:
        """One more than the highest number used in the run's incident ids (``inc-7`` -> 8)."""

    async def events(
        self, *, incident_id: str | None = None, after_seq: int = 0, limit: int | None = None
    ) -> list[IncidentEvent]:
        """In order of seq."""

    async def fences(self, *, standing_only: bool = True) -> list[Fence]: ...

    async def treatments(self, *, open_only: bool = True) -> list[Treatment]:
        """Open ones are in force, being lifted, or kept."""

    async def healings(
        self,
        *,
        incident_id: str | None = None,
        agent_id: str | None = None,
        since: float = 0.0,
        limit: int | None = None,
    ) -> list[Healing]:
        """Newest first by `ordered_at`; `since` filters on it too."""

    async def due_effects(self, now: float, limit: int = 100) -> list[OutboxRow]:
        """Effects not done and due, oldest first."""

    async def effect_done(self, key: str, at: float) -> None:
        """It was carried out; idempotent."""

    async def effect_later(self, key: str, due_at: float) -> None:
        """It must be tried again; counts an attempt."""

    async def agents(self) -> list[AgentRow]: ...

    async def put_agents(self, rows: Sequence[AgentRow]) -> None: ...

    async def drop_agents(self, agent_ids: Sequence[str]) -> None:
        """Remove these agents' rows and baselines; what happened to them stays."""

    async def baselines(self) -> list[BaselineRow]: ...

    async def put_baselines(self, rows: Sequence[BaselineRow]) -> None: ...

    async def setting(self, key: str) -> str | None:
        """A value that a person set at run time (the global mode, a type's mode)."""

    async def put_setting(self, key: str, value: str) -> None: ...

    async def order_key(self, key: str) -> OrderKey | None: ...

    async def put_order_key(self, row: OrderKey) -> None:
        """Insert or replace by key.

        A row that `keyed.along` has on its way is written by the store itself, in the transaction
        of the next unit, agents, baselines or setting that its task writes.
        """

    async def drop_order_keys(self, before: float, limit: int) -> int:
        """Remove the oldest of those that came before that time; returns how many."""

    async def order_key_beyond(self, number: int) -> float | None:
        """When the newest of those came that as many are newer than; None where there is none."""


class TelemetryStore(Protocol):
    """Vitals as they came, by run. Appending is durable when it returns."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def append(self, columns: VitalColumns) -> Rows | None:
        """Write what is new of it, durably. Raises StoreDown, having written none of it.

        Returns the rows that were new, (m,) ascending, or None where all were. A row isn't new
        where its agent's step id is stored already, is further up in the batch, or is in a batch
        whose append began before; one without a step id always is.
        """

    async def read(
        self,
        agent_id: str,
        *,
        kind: Kind | None = None,
        since: float = 0.0,
        until: float | None = None,
        limit: int | None = None,
    ) -> list[Vital]:
        """By `at`, ascending; with `limit` the newest ones, still ascending."""

    async def rollups(
        self,
        agent_id: str,
        *,
        kind: Kind | None = None,
        since: float = 0.0,
        until: float | None = None,
    ) -> list[Rollup]:
        """One-minute sums of the minutes that began in this span, ascending, by minute and kind.

        Of all vitals that came, those of just now too, and for times whose raw rows may be gone.
        """

    async def lately(self, seconds: float) -> list[AgentRow]:
        """Who reported within so many seconds before the newest arrival, as those vitals tell."""

    async def count(self) -> int:
        """Vitals written in this run, whether their raw rows are still there or not."""

    async def sweep(self, now: float) -> bool:
        """Apply retention in one bounded slice; returns whether there may be more to do at once.

        Appends need not wait for more than one slice.
        """


class Rollup(msgspec.Struct, frozen=True):
    """One agent's minute: the number of steps and, per metric, count, sum and maximum."""

    agent_id: str
    kind: Kind
    minute: float
    """Start of the minute, epoch seconds."""
    steps: int
    counts: tuple[int, ...]
    sums: tuple[float, ...]
    maxima: tuple[float, ...]


class AgentLink(Protocol):
    """The way to one fleet of agents: what can be done to them, and doing it.

    `apply`, `lift` and `fence` are idempotent by key: a second call with the same key answers as
    the first did and changes nothing more. All raise Unreachable where the agent does not answer,
    and the first two ActionFailed where it answered and could not.
    """

    def capabilities(self, agent_id: str) -> frozenset[Action]:
        """The actions this agent can do; empty for an agent that is not linked."""

    async def apply(self, agent_id: str, action: Action, key: str) -> ActionAnswer: ...

    async def lift(self, agent_id: str, treatment: Treatment, key: str) -> ActionAnswer:
        """Give back exactly what the treatment took."""

    async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
        """Make the agent's calls be refused, or let them through; False: nobody enforces it."""


class Notifier(Protocol):
    """A way to tell people."""

    async def send(self, notices: Sequence[Notify]) -> None:
        """Deliver all in one message. At least once; raises Transient to be called again."""
