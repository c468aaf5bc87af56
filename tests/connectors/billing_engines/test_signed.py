"""The plain signed webhook: believed by its signature, read as canonical rows, answered alike."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prebill.connectors.billing_engines.signed import SignedEngine
from prebill.connectors.notify.webhook import signature
from prebill.core.errors import InputError, UnauthenticatedError
from tests.connectors.notify.receiver import receiving

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHM="


def headers(body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    seconds = int(at.timestamp())
    return {
        "webhook-id": "m1",
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,old {signature(secret, 'm1', seconds, body)}",
    }


def drafted(**data: Any) -> bytes:
    return json.dumps({"type": "invoice.drafted", "data": data}).encode()


@pytest.fixture
def engine() -> SignedEngine:
    return SignedEngine("lago", "http://127.0.0.1:1/", SECRET)


def test_rows_are_read_as_they_were_sent(engine: SignedEngine) -> None:
    body = drafted(invoices=[{"invoice_id": "1"}], invoice_lines=[{"unit_price": 0.1}])
    event = engine.verify(headers(body), body, NOW)
    found = engine.read(event)
    assert (event.event_id, found.invoices) == ("m1", [{"invoice_id": "1"}])
    assert found.invoice_lines == [{"unit_price": "0.1"}]  # no float ever


def test_draft_that_is_gone_is_named(engine: SignedEngine) -> None:
    body = json.dumps(
        {"type": "invoice.gone", "data": {"invoice_id": "1", "status": "issued"}}
    ).encode()
    assert engine.read(engine.verify(headers(body), body, NOW)).gone == {"1": "issued"}


def test_other_messages_ask_for_nothing(engine: SignedEngine) -> None:
    body = b'{"type": "customer.created", "data": {}}'
    assert engine.read(engine.verify(headers(body), body, NOW)).invoices == []


@pytest.mark.parametrize("late", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_message_of_another_time_is_refused(engine: SignedEngine, late: timedelta) -> None:
    body = drafted()
    with pytest.raises(UnauthenticatedError):
        engine.verify(headers(body, at=NOW + late), body, NOW)


def test_other_secret_id_and_body_are_refused(engine: SignedEngine) -> None:
    body = drafted()
    for wrong in (
        headers(body, secret="other"),
        headers(body) | {"webhook-id": "m2"},
        headers(body) | {"webhook-id": ""},
        headers(b"{}"),
        {},
    ):
        with pytest.raises(UnauthenticatedError):
            engine.verify(wrong, body, NOW)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"data": []}', drafted(invoices={}), drafted(invoices=[1])]
)
def test_signed_nonsense_is_named(engine: SignedEngine, body: bytes) -> None:
    with pytest.raises(InputError):
        engine.read(engine.verify(headers(body), body, NOW))


def test_decision_is_posted_signed_with_the_same_secret() -> None:
    with receiving() as receiver:
        engine = SignedEngine("lago", receiver.url, SECRET)
        engine.send("gate:é:1:hold:engine:lago", b"{}")
        engine.close()
    (got,) = receiver.requests
    sent = {name.lower(): value for name, value in got.headers.items()}
    expected = signature(SECRET, sent["webhook-id"], int(sent["webhook-timestamp"]), got.body)
    assert sent["webhook-signature"] == expected
    assert sent["webhook-id"] == "gate:%C3%A9:1:hold:engine:lago"
