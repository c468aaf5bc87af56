"""Usage events over HTTP."""

import json

import pytest

from prebill.store.users import Role
from tests.api.conftest import Served

EVENT = {
    "specversion": "1.0",
    "source": "app",
    "id": "e1",
    "type": "api_calls",
    "subject": "ACME",
    "time": "2026-10-03T10:00:00Z",
    "data": {"quantity": "12.5"},
}


def send(served: Served, body: object, **headers: str):
    return served.post("/v1/usage-events", Role.CONTROLLER, json=body, headers=headers)


def staged(served: Served) -> list[dict]:
    with served.store.read() as tx:
        return tx.rows("SELECT source, id, quantity, entered_by FROM staged_events ORDER BY seq")


def test_batch_is_durable_when_acknowledged(served: Served) -> None:
    answer = send(served, [EVENT, {**EVENT, "id": "e2"}])
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
    assert [row["id"] for row in staged(served)] == ["e1", "e2"]
    assert staged(served)[0]["entered_by"] == "user-controller"


def test_single_event_needs_no_list(served: Served) -> None:
    assert send(served, EVENT).json()["accepted"] == 1


def test_digits_of_numbers_are_kept(served: Served) -> None:
    body = json.dumps(EVENT).replace('"12.5"', "12345678901.000000000001")
    answer = served.post("/v1/usage-events", Role.CONTROLLER, content=body)
    assert answer.status_code == 200
    assert staged(served)[0]["quantity"] == "12345678901.000000000001"


def test_bad_events_are_named_and_kept_in_quarantine(served: Served) -> None:
    bad = {**EVENT, "id": "e2", "data": {"quantity": "-1"}}
    answer = send(served, [EVENT, bad])
    refused = answer.json()["refused"]
    assert (answer.json()["accepted"], [one["index"] for one in refused]) == (1, [1])
    assert send(served, [{**bad, "id": "e3"}]).status_code == 422
    with served.store.read() as tx:
        assert tx.scalar("SELECT count(*) FROM quarantine WHERE status = 'open'") == 2


@pytest.mark.parametrize("body", ["", "{", "[1]", '"text"', "[]", "[" * 100_000])
def test_what_is_no_event_is_a_problem(served: Served, body: str) -> None:
    answer = served.post("/v1/usage-events", Role.CONTROLLER, content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "input")


def test_key_makes_a_batch_count_once(served: Served) -> None:
    key = {"Idempotency-Key": "batch-1"}
    assert send(served, [EVENT], **key).json() == send(served, [EVENT], **key).json()
    assert len(staged(served)) == 1
