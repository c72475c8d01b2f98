"""What people order: the routes over `OperatorDesk`.

Each order on an incident names the version that the person saw. A bulk order names every incident
and its version; an empty one is refused, and never means all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Annotated

import msgspec

from immune.desk import Decision, OperatorDesk, Outcome
from immune.diagnosis.causes import Cause
from immune.errors import InvalidInput, NotFound
from immune.healing.actions import Action
from immune.incidents.events import SYSTEM, Verdict
from immune.incidents.incident import Incident
from immune.lockdown import Lockdown
from immune.modes import Mode
from immune.quarantine import Fence
from immune.web.ports import Chaos
from immune.web.route import Area, Handler, Route

OPERATOR = "operator"
"""Who decided, until there are keys that say it."""

_BLANK = r"\s\u001c-\u001f\u0085"
"""What Python takes for blank; the dialects of patterns differ in what \\s is."""

# `extra_json_schema` says what is checked in words of our own, which msgspec's would hide
Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=256,
        extra_json_schema={
            "not": {"pattern": f"^[{_BLANK}]*([sS][yY][sS][tT][eE][mM][{_BLANK}]*)?$"}
        },
    ),
]
Reason = Annotated[str, msgspec.Meta(max_length=4000)]
Given = Annotated[
    str,
    msgspec.Meta(max_length=4000, extra_json_schema={"minLength": 1, "pattern": f"[^{_BLANK}]"}),
]
"""A reason that must be given: whoever comes next will want to know."""
Decisions = Annotated[list[Decision], msgspec.Meta(extra_json_schema={"minItems": 1})]


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every order says."""

    who: Name = OPERATOR
    why: Reason = ""

    def __post_init__(self) -> None:
        if self.who.strip().casefold() in ("", SYSTEM):
            # an order by this name would count as the system's own decision
            raise InvalidInput("who", f"{self.who!r} is no person's name")


class Reject(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Reject the healing of an incident, as seen at this version; the agent stays fenced."""

    version: int


class Approve(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Approve the plan as shown at this version, or the part of it named by `plan`."""

    version: int
    plan: tuple[Action, ...] = ()
    cause: Cause | None = None
    """Corrects the diagnosis; it is learned from."""


class HealNow(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Heal after a rejection, or, with an action, after the ladder was exhausted."""

    version: int
    action: Action | None = None


class Release(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Let the agent go; for a fleet incident, close or accept it."""

    version: int
    verdict: Verdict
    cause: Cause | None = None


class Acknowledge(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Say that somebody is looking at a fleet incident; nothing else changes."""

    version: int


class FenceAll(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Put a hold around every agent that ever reported; say why."""

    why: Given


class UndoFenceAll(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Lift exactly the holds of one order to fence everything."""


class Quarantine(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fence an agent; say why."""

    why: Given


class ReleaseHolds(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Lift the holds that people put on an agent."""


class Bulk(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same order on several incidents. A bare list of decisions is taken too."""

    decisions: Decisions


class SetMode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Set how far the system may go: for all, for a type, or for one agent; null clears it."""

    mode: Mode | None
    """Null takes back what was set for the type or the agent; the wider mode holds again."""
    agent_type: str = ""
    agent_id: str = ""


_ANY_NAME = {"minLength": 1}
_NO_NAME = {"maxLength": 0}
ModeOrder = Annotated[
    SetMode,
    msgspec.Meta(
        extra_json_schema={
            "anyOf": [
                {
                    "properties": {
                        "mode": {"type": "string"},
                        "agent_type": _NO_NAME,
                        "agent_id": _NO_NAME,
                    }
                },
                {
                    "properties": {"agent_type": _ANY_NAME, "agent_id": _NO_NAME},
                    "required": ["agent_type"],
                },
                {
                    "properties": {"agent_type": _NO_NAME, "agent_id": _ANY_NAME},
                    "required": ["agent_id"],
                },
            ]
        }
    ),
]
"""For all there is always a mode, and an order is about a type or an agent, not both."""


class Infect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Infect an agent of the simulated fleet."""

    agent_id: str
    infection: str
    strain: str | None = None


class Infected(msgspec.Struct, frozen=True):
    """What it got."""

    agent_id: str
    infection: str
    strain: str


class Quarantined(msgspec.Struct, frozen=True):
    """Either the agent's case, now contained, or a person's hold."""

    incident: Incident | None = None
    fence: Fence | None = None


BulkOrder = Decisions | Bulk


def orders(desk: OperatorDesk, chaos: Chaos | None) -> list[Route]:
    """The routes that decide something."""

    async def approve(incident_id: str, order: Approve) -> Incident:
        return await desk.approve(
            Decision(incident_id, order.version),
            who=order.who,
            why=order.why,
            plan=order.plan,
            cause=order.cause,
        )

    async def reject(incident_id: str, order: Reject) -> Incident:
        return await desk.reject(Decision(incident_id, order.version), who=order.who, why=order.why)

    async def heal_now(incident_id: str, order: HealNow) -> Incident:
        return await desk.heal_now(
            Decision(incident_id, order.version),
            who=order.who,
            why=order.why,
            action=order.action,
        )

    async def release(incident_id: str, order: Release) -> Incident:
        return await desk.release(
            Decision(incident_id, order.version),
            who=order.who,
            why=order.why,
            verdict=order.verdict,
            cause=order.cause,
        )

    async def acknowledge(incident_id: str, order: Acknowledge) -> Incident:
        return await desk.acknowledge(
            Decision(incident_id, order.version), who=order.who, why=order.why
        )

    async def fence_all(order: FenceAll) -> Lockdown:
        return await desk.lockdowns.order(who=order.who, why=order.why)

    async def undo_fence_all(lockdown_id: str, order: UndoFenceAll) -> Lockdown:
        return await desk.lockdowns.undo(lockdown_id, who=order.who, why=order.why)

    async def lockdowns() -> list[Lockdown]:
        return desk.lockdowns.standing()

    async def quarantine(agent_id: str, order: Quarantine) -> Quarantined:
        done = await desk.quarantine(agent_id, who=order.who, why=order.why)
        if isinstance(done, Incident):
            return Quarantined(incident=done)
        return Quarantined(fence=done)

    async def release_holds(agent_id: str, order: ReleaseHolds) -> list[Fence]:
        return await desk.release_hold(agent_id, who=order.who, why=order.why)

    async def mode(order: SetMode) -> SetMode:
        await desk.set_mode(order.mode, agent_type=order.agent_type, agent_id=order.agent_id)
        return order

    async def infect(order: Infect) -> Infected:
        if chaos is None:
            raise NotFound("there is no simulated fleet here: real agents are not infected")
        given = chaos.inject(order.agent_id, order.infection, order.strain)
        return Infected(order.agent_id, order.infection, given.strain)

    def bulk(
        give: Callable[..., Awaitable[Incident]],
    ) -> Callable[..., Awaitable[list[Outcome]]]:
        async def each(order: BulkOrder) -> list[Outcome]:
            decisions, who, why = _read(order)
            return await desk.bulk(decisions, lambda one: give(one, who=who, why=why))

        return each

    seen = {"version": 3, "who": "ann"}
    several = {"decisions": [{"incident_id": "inc-2", "version": 3}], "who": "ann"}
    why = {"who": "ann", "why": "it sends mail to customers"}
    return [
        _on_incident("approve", Approve, approve, seen),
        _on_incident("reject", Reject, reject, seen | {"why": "I look at it myself"}),
        _on_incident("heal-now", HealNow, heal_now, seen | {"action": Action.RESET_MEMORY}),
        _on_incident("release", Release, release, seen | {"verdict": Verdict.FALSE_ALARM}),
        _on_incident("acknowledge", Acknowledge, acknowledge, seen),
        Route(
            "GET",
            "/api/lockdowns",
            "Orders to fence everything that still stand",
            Area.READING,
            list[Lockdown],
            lockdowns,
        ),
        _post("/api/lockdowns", FenceAll, Lockdown, fence_all, why),
        _post("/api/lockdowns/{lockdown_id}/undo", UndoFenceAll, Lockdown, undo_fence_all, {}),
        _bulk("approve", "Approve several", bulk(desk.approve), several),
        _bulk("reject", "Reject several", bulk(desk.reject), several),
        _bulk("heal-now", "Heal several now", bulk(desk.heal_now), several),
        _post("/api/agents/{agent_id}/quarantine", Quarantine, Quarantined, quarantine, why),
        _post("/api/agents/{agent_id}/release", ReleaseHolds, list[Fence], release_holds, {}),
        Route(
            "POST",
            "/api/mode",
            "Set how far the system may go",
            Area.ORDERS,
            SetMode,
            mode,
            order=ModeOrder,
            example={"mode": Mode.ASK},
            errors=ERRORS,
        ),
        _post(
            "/api/chaos",
            Infect,
            Infected,
            infect,
            {"agent_id": "coder-3", "infection": "tool_loop"},
        ),
    ]


def _read(order: list[Decision] | Bulk) -> tuple[Sequence[Decision], str, str]:
    if isinstance(order, Bulk):
        return order.decisions, order.who, order.why
    return order, OPERATOR, ""


ERRORS = (400, 404, 413, 415, 422, 503)


def _post(
    path: str, order: type[msgspec.Struct], returns: object, handler: Handler, example: object
) -> Route:
    return Route(
        "POST",
        path,
        _said(order),
        Area.ORDERS,
        returns,
        handler,
        order=order,
        example=example,
        errors=ERRORS,
    )


def _on_incident(
    verb: str, order: type[msgspec.Struct], handler: Handler, example: object
) -> Route:
    made = _post(f"/api/incidents/{{incident_id}}/{verb}", order, Incident, handler, example)
    return replace(made, errors=(*ERRORS, 409))


def _bulk(verb: str, said: str, handler: Handler, example: object) -> Route:
    return Route(
        "POST",
        f"/api/{verb}",
        said,
        Area.ORDERS,
        list[Outcome],
        handler,
        order=BulkOrder,
        example=example,
        errors=ERRORS,
    )


def _said(order: type[msgspec.Struct]) -> str:
    return (order.__doc__ or "").partition("\n")[0].rstrip(".")
