"""A served gate with a prepared history: drafts are sent to it, cases come out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from prebill.workflows.profiles import prepare_profiles
from tests.api.conftest import Served, serving
from tests.api.history import add_history, line_of

RIGHT = {"reason": "unusual_but_right"}
WRONG = {"reason": "wrong_quantity", "note": "ten times too many"}


@contextmanager
def gate(store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    """The server with a year of history behind it."""
    with serving(store, settings, lake) as served:
        add_history(store, lake)
        prepare_profiles(Installation(settings, store, lake))
        yield served


def send(served: Served, *invoices: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Score drafts through the hook; the decisions by invoice."""
    body = {"invoices": list(invoices), "invoice_lines": [line_of(one) for one in invoices]}
    answer = served.post("/v1/invoices:score", Role.CONTROLLER, json=body)
    assert answer.status_code == 200, answer.text
    return {one["invoice_id"]: one for one in answer.json()["decisions"]}


def sent(served: Served, invoice: dict[str, Any]) -> dict[str, Any]:
    """Score one draft through the hook."""
    return send(served, invoice)[invoice["invoice_id"]]


def decide(served: Served, case_id: str, kind: str, body: dict[str, Any]) -> httpx.Response:
    """Answer a case as the reviewer who has just looked at it."""
    tag = served.get(f"/v1/cases/{case_id}").headers["etag"]
    return served.post(f"/v1/cases/{case_id}:{kind}", json=body, headers={"If-Match": tag})


def rows(served: Served, statement: str, **values: object) -> list[dict[str, Any]]:
    with served.store.read() as tx:
        return tx.rows(statement, values)
