"""What a request says of itself is believed or refused, never passed over."""

from __future__ import annotations

import gzip
import json

import pytest

from immune.intake.vitals_item import Report, ReportedCall
from immune.web import reported
from tests.web.conftest import Site

MODE = b'{"mode": "ask"}'
VITAL = b'{"agent_id": "a"}'


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/mode", MODE), ("/api/vitals", VITAL), ("/v1/traces", b'{"resourceSpans": []}')],
)
@pytest.mark.parametrize(
    ("charset", "status"),
    [
        ("utf-16", 415),
        ('"UTF-16LE"', 415),
        ("iso-8859-1", 415),
        ("utf-8", 200),
        ('"UTF-8"', 200),
        ("us-ascii", 200),
    ],
)
async def test_a_body_in_another_character_set_is_refused(
    site: Site, path: str, body: bytes, charset: str, status: int
) -> None:
    """415 before it is read: read as UTF-8 it may say something else."""
    headers = {"content-type": f"application/json; Charset={charset}"}
    answer = await site.client.post(path, content=body, headers=headers)
    assert answer.status_code == (202 if status == 200 and "vitals" in path else status)
    assert site.system.orchestrator.modes.everywhere == (
        "ask" if path == "/api/mode" and status == 200 else "enforce"
    )


@pytest.mark.parametrize("body", [MODE, gzip.compress(MODE)], ids=["plain", "packed"])
async def test_an_order_is_sent_as_it_is(site: Site, body: bytes) -> None:
    """One that is said to be compressed is refused as that, whether it is or not."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await site.client.post("/api/mode", content=body, headers=headers)
    assert answer.status_code == 415
    plain = headers | {"content-encoding": "identity"}
    assert (await site.client.post("/api/mode", content=MODE, headers=plain)).status_code == 200


@pytest.mark.parametrize("verb", ["vitals", "evidence", "quarantine", "goodbye"])
async def test_a_verb_is_no_end_of_an_agent_s_name(site: Site, verb: str) -> None:
    """Deleting what cannot be deleted deletes no agent of another name; as %2F it is a name."""
    await site.agent(f"svc/{verb}")
    answer = await site.client.delete(f"/api/agents/svc/{verb}")
    assert answer.status_code == 405
    assert "DELETE" not in answer.headers["allow"]
    assert (await site.client.delete(f"/api/agents/svc%2F{verb}")).status_code == 200


async def test_what_happened_meanwhile_outweighs_what_is_wrong(site: Site) -> None:
    """The plan that a person approves was in what they saw: they are told that it has changed."""
    case = await site.case()
    stale = {"version": case.version - 1}
    path = f"/api/incidents/{case.id}"
    for verb, order in (("approve", {"plan": ["wait"]}), ("heal-now", {"action": "wait"})):
        answer = await site.client.post(f"{path}/{verb}", json=stale | order)
        assert (answer.status_code, answer.json()["current"]["version"]) == (409, case.version)


@pytest.mark.parametrize("key", ["é", "k" * 257])
async def test_a_key_is_plain_text(site: Site, key: str) -> None:
    """422 naming the header; nothing was done."""
    headers = [(b"idempotency-key", key.encode("latin-1")), (b"content-type", b"application/json")]
    answer = await site.client.post("/api/mode", content=MODE, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
    assert site.system.orchestrator.modes.everywhere == "enforce"


async def test_a_field_without_a_name_is_a_field(site: Site) -> None:
    """422 as for any other that is not known here."""
    answer = await site.client.get("/api/healings?=1")
    assert (answer.status_code, answer.json()["field"]) == (422, '""')


async def test_both_places_to_begin_are_checked(site: Site) -> None:
    """The one that is outweighed, too."""
    headers = {"last-event-id": "7"}
    answer = await site.client.get("/api/events?after=seven", headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "after")


async def test_the_document_knows_every_field_of_a_step(site: Site) -> None:
    """As intake reads it; and the example in the document is taken."""
    assert reported.ReportedStep.__struct_fields__ == Report.__struct_fields__
    assert reported.ReportedCall.__struct_fields__ == ReportedCall.__struct_fields__
    document = (await site.client.get("/api/openapi.json")).json()
    operation = document["paths"]["/api/vitals"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    answer = await site.client.post("/api/vitals", content=json.dumps(example), headers=JSON)
    assert answer.json() == {"accepted": 1}


JSON = {"content-type": "application/json"}
