"""Starting a run over HTTP; a worker does it."""

from pathlib import Path

import httpx

from prebill.store.users import Role
from prebill.workflows import runtime
from prebill.workflows.memory import memory
from tests.api.builders import add_people
from tests.api.conftest import Served
from tests.api.server import running
from tests.workflows import world


def test_run_is_frozen_enqueued_and_done_by_a_worker(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home, accounts=6, events=300)
    runtime.prepare(opened.store)
    controller = add_people(opened.store)[Role.CONTROLLER]
    order = {"period": world.PERIOD, "as_of_at": world.FINAL_AT.isoformat()}
    with running(opened) as url, httpx.Client(base_url=url, headers=controller.bearer) as client:
        key = {"Idempotency-Key": "october"}
        started = client.post("/v1/billing-runs", json=order, headers=key, timeout=60)
        assert (started.status_code, started.json()["worker"]) == (202, "none: start one")
        again = client.post("/v1/billing-runs", json=order, headers=key)
        assert again.json() == started.json()
        run_id = started.json()["run_id"]
        worker = runtime.Worker(opened)
        worker.start()
        try:
            runtime.run_to_end(opened.store, run_id)
        finally:
            worker.stop()
            memory.clear()
        found = client.get(f"/v1/billing-runs/{run_id}").json()
    assert (found["status"], found["is_final"]) == ("finished", True)
    assert sum(found["drafts"].values()) == 6
    with opened.store.read() as tx:
        assert tx.get("runs", run_id=run_id)["entered_by"] == controller.actor.user_id


def test_wrong_orders_are_problems(served_sqlite: Served) -> None:
    for order in ({}, {"period": "October"}, {"period": "2026-10", "as_of_at": "2026-11-05T08:00"}):
        answer = served_sqlite.post("/v1/billing-runs", Role.CONTROLLER, json=order)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    answer = served_sqlite.post(
        "/v1/billing-runs", Role.CONTROLLER, json={"period": "2026-10", "entity_id": "XX"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "input")
    assert served_sqlite.get("/v1/billing-runs/none").status_code == 404
