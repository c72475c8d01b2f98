"""The webhook, against a real server: signed, once understood, and again when it failed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn

from immune.clock import ManualClock, SystemClock
from immune.errors import InvalidInput, Transient
from immune.incidents.effects import Notify, Topic
from immune.notify import LogNotifier, SeveralNotifiers, WebhookNotifier
from immune.settings import NotifySettings
from immune.testing import RecordingNotifier

SECRET = "a long random text"


def notice(key: str = "inc-7/approval/4") -> Notify:
    """A notice as the outbox holds it."""
    return Notify(
        key=key,
        agent_id="coder-3",
        topic=Topic.APPROVAL,
        incident_id="inc-7",
        text="coder-3 needs a decision: severity 8.2 ✗",
        severity=8.2,
    )


class Receiver:
    """An HTTP server that keeps what it was sent and answers what it is told to."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.messages.append((headers, body))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on a private port."""
    made = Receiver()
    server = uvicorn.Server(uvicorn.Config(made, port=0, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait({running}, timeout=0.01)
    made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/hook?token=t"
    yield made
    server.should_exit = True
    await running


@pytest.fixture
async def webhook(receiver: Receiver) -> AsyncIterator[WebhookNotifier]:
    """A webhook to the receiver, at a known time."""
    settings = NotifySettings(webhook_url=receiver.url, webhook_secret=SECRET)
    made = WebhookNotifier(settings, ManualClock(1_767_225_600.9))
    yield made
    await made.close()


async def test_a_message_is_signed_over_time_and_body(
    webhook: WebhookNotifier, receiver: Receiver
) -> None:
    """What the docs tell a receiver to compute is what is sent."""
    await webhook.send([notice()])
    ((headers, body),) = receiver.messages
    parts = dict(part.split("=", 1) for part in headers["x-immune-signature"].split(","))
    assert parts["t"] == "1767225600"
    expected = hmac.new(SECRET.encode(), b"1767225600." + body, hashlib.sha256).hexdigest()
    assert parts["v1"] == expected
    (sent,) = msgspec.json.decode(body)["notices"]
    assert (sent["topic"], sent["agent_id"], sent["incident_id"]) == (
        "approval",
        "coder-3",
        "inc-7",
    )


async def test_the_recipe_in_the_docs_checks_a_real_message(receiver: Receiver) -> None:
    """The code that people will copy accepts ours and nothing else."""
    page = (Path(__file__).parents[2] / "docs" / "webhook.md").read_text()
    recipe = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (code,) = recipe
    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102  # the very text of our own page
    settings = NotifySettings(webhook_url=receiver.url, webhook_secret=SECRET)
    webhook = WebhookNotifier(settings, SystemClock())
    await webhook.send([notice()])
    await webhook.close()
    ((headers, body),) = receiver.messages
    signature = headers["x-immune-signature"]
    assert scope["genuine"](SECRET, signature, body)
    assert not scope["genuine"](SECRET, signature, body + b" ")
    assert not scope["genuine"]("another", signature, body)


async def test_sent_again_it_has_the_same_idempotency_key(
    webhook: WebhookNotifier, receiver: Receiver
) -> None:
    """So that a receiver can drop the second; other notices have another key."""
    await webhook.send([notice()])
    await webhook.send([notice()])
    await webhook.send([notice(), notice("inc-8/approval/2")])
    first, second, digest = [headers["idempotency-key"] for headers, _ in receiver.messages]
    assert first == second != digest


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
async def test_anything_but_success_is_tried_again(
    webhook: WebhookNotifier, receiver: Receiver, status: int
) -> None:
    """Redirects are not followed; Retry-After is kept; the URL's token is not told."""
    receiver.status = status
    receiver.headers = [(b"retry-after", b"7"), (b"location", b"/elsewhere")]
    with pytest.raises(Transient) as fault:
        await webhook.send([notice()])
    assert fault.value.retry_after_s == 7.0
    assert str(status) in str(fault.value)
    assert "token" not in str(fault.value)
    assert len(receiver.messages) == 1


async def test_nobody_there_is_tried_again() -> None:
    """A refused connection is transient."""
    settings = NotifySettings(webhook_url="http://127.0.0.1:1/", webhook_secret=SECRET)
    webhook = WebhookNotifier(settings, ManualClock())
    with pytest.raises(Transient):
        await webhook.send([notice()])
    await webhook.close()


@pytest.mark.parametrize(
    ("url", "secret", "field"),
    [
        ("ftp://example.org/", SECRET, "notify.webhook_url"),
        ("hooks", SECRET, "notify.webhook_url"),
        ("https://example.org/", "", "notify.webhook_secret"),
    ],
)
def test_a_webhook_that_cannot_work_is_refused_at_start(url: str, secret: str, field: str) -> None:
    """By the setting's name."""
    settings = NotifySettings(webhook_url=url, webhook_secret=secret)
    with pytest.raises(InvalidInput) as fault:
        WebhookNotifier(settings, ManualClock())
    assert fault.value.field == field


async def test_one_failing_notifier_keeps_no_other_from_being_told() -> None:
    """All are called, then the failure is raised, so that the outbox tries again."""
    broken, well = RecordingNotifier(), RecordingNotifier()
    broken.fail(Transient("the webhook is down"))
    both = SeveralNotifiers(LogNotifier(), broken, well)
    with pytest.raises(Transient):
        await both.send([notice()])
    assert well.notices == [notice()]
    await both.send([notice()])
    assert broken.notices == [notice()]


async def test_a_bug_in_one_notifier_keeps_no_other_from_being_called() -> None:
    """Nor does it hide: what nobody expected is raised before what passes by itself."""

    class Buggy:
        async def send(self, notices: Sequence[Notify]) -> None:
            raise KeyError("channel")

    down, well = RecordingNotifier(), RecordingNotifier()
    down.fail(Transient("503"))
    with pytest.raises(KeyError):
        await SeveralNotifiers(down, Buggy(), well).send([notice()])
    assert well.notices == [notice()]
