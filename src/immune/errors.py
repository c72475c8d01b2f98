"""The errors of the whole system, by who must act.

::

    ImmuneError
    ├── Refused            the caller is wrong; answering again the same way will not help (4xx)
    │   ├── InvalidInput   a field is wrong: `.field` says which, the message says why
    │   ├── NotFound       no such agent, incident or action
    │   ├── IllegalEvent   the incident's state does not know this event (409)
    │   ├── StaleVersion   somebody decided meanwhile (409)
    │   ├── TooLarge       the request brings more than one request may (413)
    │   └── Forbidden      host, origin, content type or a safety rule says no
    ├── Transient          nobody is wrong; try again at `.retry_after_s`
    │   ├── QueueFull      intake takes no more for now (429)
    │   ├── StoreDown      a store does not answer or its disk is full (503)
    │   └── Unreachable    the agent does not answer: not the same as a failed action
    ├── ActionFailed       the agent answered, and the action did not happen
    └── Fatal              the process must not go on: a newer schema, a taken lease
"""

from __future__ import annotations


class ImmuneError(Exception):
    """Base of every error that Immune raises on purpose."""


class Refused(ImmuneError):
    """The caller is wrong."""


class InvalidInput(Refused):
    """A field is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class NotFound(Refused):
    """No such thing."""


class IllegalEvent(Refused):
    """The state table has no row for this event in this state."""


class StaleVersion(Refused):
    """The incident has moved on since the caller read it."""

    def __init__(self, incident_id: str, expected: int, actual: int) -> None:
        super().__init__(
            f"incident {incident_id} is at version {actual}, not {expected}: "
            "read what happened meanwhile and decide again"
        )
        self.incident_id = incident_id
        self.expected = expected
        self.actual = actual


class TooLarge(Refused):
    """The request brings more than one request may: split it."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what}: more than {limit}; send it in smaller parts")
        self.what = what
        self.limit = limit


class Forbidden(Refused):
    """A safety rule says no."""


class Transient(ImmuneError):
    """Nobody is wrong; try again later."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(Transient):
    """Intake takes no more for now."""


class StoreDown(Transient):
    """A store does not answer, or its disk is full."""


class Unreachable(Transient):
    """The agent does not answer."""


class ActionFailed(ImmuneError):
    """The agent answered, and the action did not happen."""


class Fatal(ImmuneError):
    """The process must not go on."""
