"""Notices by a signed HTTP POST, to whatever the installation is told to call.

The receiver checks ``X-Immune-Signature: t=<unix time>,v1=<hex HMAC-SHA256 of "t.body">`` against
the shared secret, and drops a message whose Idempotency-Key it has seen. docs/webhook.md shows how.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import httpx2
import msgspec

from immune.clock import Clock
from immune.errors import InvalidInput, Transient
from immune.incidents.effects import Notify, Topic
from immune.settings import NotifySettings

TIMEOUT_S = 5.0
"""How long the receiver may take to answer; it should take the message and work later."""

SIGNATURE_HEADER = "X-Immune-Signature"


class Notice(msgspec.Struct, frozen=True):
    """One notice as it is sent."""

    key: str
    """Unique to what happened: a receiver that has seen it may drop it."""
    topic: Topic
    text: str
    agent_id: str
    incident_id: str
    severity: float


class Message(msgspec.Struct, frozen=True):
    """The body: one notice, or a digest of several."""

    notices: list[Notice]


def signature(secret: str, at: int, body: bytes) -> str:
    """The signature header's value for `body` sent at `at`, whole epoch seconds."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class WebhookNotifier:
    """Posts notices to one URL."""

    def __init__(self, settings: NotifySettings, clock: Clock) -> None:
        """Raises InvalidInput for a URL that is none, or a missing secret."""
        url = httpx2.URL(settings.webhook_url)
        if url.scheme not in ("http", "https") or not url.host:
            raise InvalidInput("notify.webhook_url", "must be an http or https URL")
        if not settings.webhook_secret:
            raise InvalidInput("notify.webhook_secret", "is required with a webhook")
        self._url = url
        self._secret = settings.webhook_secret
        self._clock = clock
        # trust_env=False: no proxy or credentials that happen to stand in the environment
        self._client = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def send(self, notices: Sequence[Notify]) -> None:
        """Post all in one message; raises Transient unless the answer is 2xx."""
        body = msgspec.json.encode(Message([_notice(notice) for notice in notices]))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "immune",
            SIGNATURE_HEADER: signature(self._secret, int(self._clock.time()), body),
            "Idempotency-Key": _key(notices),
        }
        try:
            response = await self._client.post(self._url, content=body, headers=headers)
        except httpx2.HTTPError as fault:
            # the URL may carry a token: only its host is named
            raise Transient(f"webhook {self._url.host}: {type(fault).__name__}") from fault
        if not response.is_success:
            raise Transient(
                f"webhook {self._url.host} answered {response.status_code}",
                retry_after_s=_retry_after_s(response),
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _notice(notice: Notify) -> Notice:
    return Notice(
        key=notice.key,
        topic=notice.topic,
        text=notice.text,
        agent_id=notice.agent_id,
        incident_id=notice.incident_id,
        severity=notice.severity,
    )


def _key(notices: Sequence[Notify]) -> str:
    """The same for the same notices, however often they are sent; keys may hold any text."""
    keys = "\n".join(notice.key for notice in notices)
    return hashlib.sha256(keys.encode("utf-8", "surrogatepass")).hexdigest()


def _retry_after_s(response: httpx2.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 1.0
