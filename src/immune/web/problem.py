"""Errors as answers: application/problem+json (RFC 9457) from the tree in `immune.errors`."""

from __future__ import annotations

import re

import msgspec

from immune import errors
from immune.incidents.incident import Incident
from immune.ports import IncidentEvent
from immune.vitals import Refusal
from immune.web.refusals import Interrupted, WrongMediaType, WrongMethod

PROBLEM_JSON = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What went wrong, for programs (type, status, field) and for people (title, detail)."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    """Which field of the request is wrong, where one is."""
    current: Incident | None = None
    """The incident as it is now, where somebody decided meanwhile."""
    meanwhile: list[IncidentEvent] | None = None
    """What happened to it since the version that was stated: who, when, and why."""
    refused: list[Refusal] | None = None
    """Each refused item, where all of them were."""
    retry_after_s: float | None = None


_KINDS: dict[type[BaseException], tuple[int, str, str]] = {
    errors.TooLarge: (413, "too-large", "The request is too large"),
    WrongMediaType: (415, "wrong-media-type", "This type of body is not read here"),
    Interrupted: (409, "interrupted", "The first request with this key was interrupted"),
    WrongMethod: (405, "wrong-method", "This method is not known here"),
    errors.InvalidInput: (422, "invalid-input", "A field is wrong"),
    errors.NotFound: (404, "not-found", "There is no such thing"),
    errors.IllegalEvent: (409, "illegal-event", "Its state does not allow it"),
    errors.StaleVersion: (409, "stale-version", "Somebody decided meanwhile"),
    errors.Forbidden: (403, "forbidden", "A safety rule says no"),
    errors.Refused: (400, "refused", "The request is wrong"),
    errors.QueueFull: (429, "queue-full", "Too much at once: try again later"),
    errors.StoreDown: (503, "store-down", "The store does not answer: try again later"),
    errors.Unreachable: (503, "unreachable", "The agent does not answer: try again later"),
    errors.Transient: (503, "transient", "Try again later"),
    errors.ActionFailed: (502, "action-failed", "The agent answered, and could not"),
    errors.ImmuneError: (500, "fault", "Something is wrong on our side"),
}


def problem_of(
    error: errors.ImmuneError,
    current: Incident | None = None,
    meanwhile: list[IncidentEvent] | None = None,
) -> Problem:
    """The problem that `error` is for whoever asked."""
    kind = next(cls for cls in type(error).__mro__ if cls in _KINDS)
    status, slug, title = _KINDS[kind]
    field = error.field if isinstance(error, errors.InvalidInput) else None
    if field == "body":
        status = 400  # no field of it is wrong: it could not be read at all
    return Problem(
        type=f"urn:immune:problem:{slug}",
        title=title,
        status=status,
        detail=str(error),
        field=field,
        current=current,
        meanwhile=meanwhile,
        retry_after_s=error.retry_after_s if isinstance(error, errors.Transient) else None,
    )


def unexpected() -> Problem:
    """What is said of a fault of ours; what it was stands in the log alone."""
    status, slug, title = _KINDS[errors.ImmuneError]
    return Problem(
        type=f"urn:immune:problem:{slug}",
        title=title,
        status=status,
        detail="the server's log says more",
    )


def extra_headers(problem: Problem, error: errors.ImmuneError | None) -> list[tuple[str, str]]:
    """Headers that go with a problem: when to come back, which method there is."""
    extra: list[tuple[str, str]] = []
    if problem.retry_after_s is not None:
        # whole seconds, and never 0: "at once" is what filled the queue
        extra.append(("retry-after", str(max(1, round(problem.retry_after_s)))))
    if isinstance(error, WrongMethod):
        extra.append(("allow", error.allowed))
    return extra


_NAMED = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")
_PATH = re.compile(r" - at `\$?\.?(?P<path>[^`]*)`$")


def invalid(fault: msgspec.ValidationError) -> errors.InvalidInput:
    """What msgspec says of a body or a query, with the field's name in its place."""
    text = str(fault)
    path = match["path"] if (match := _PATH.search(text)) else ""
    reason = _PATH.sub("", text)
    if named := _NAMED.search(reason):
        name = f"{path}.{named['name']}" if path else named["name"] or '""'
        reason = "is not known here" if "unknown" in reason else "is missing"
        return errors.InvalidInput(name, reason)
    return errors.InvalidInput(path or "body", reason[:1].lower() + reason[1:])
