"""The hook: one invoice of another engine, judged before it is released."""

import pytest

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.users import Role
from prebill.workflows.profiles import is_stale, prepare_profiles
from tests.api.conftest import Served
from tests.api.history import add_history, invoice, line_of


@pytest.fixture
def gate(served_sqlite: Served, settings: Settings, lake: Lake) -> Served:
    """History is prepared; that the tables work on PostgreSQL is tested once, at the end."""
    return prepared(served_sqlite, settings, lake)


def prepared(served: Served, settings: Settings, lake: Lake) -> Served:
    add_history(served.store, lake)
    prepare_profiles(Installation(settings, served.store, lake))
    return served


def score(served: Served, *invoices: dict, **given: object):
    body = {"invoices": list(invoices), "invoice_lines": [line_of(one) for one in invoices]}
    return served.post("/v1/invoices:score", Role.CONTROLLER, json={**body, **given})


def test_ordinary_invoice_is_released_and_tenfold_is_not(gate: Served) -> None:
    ordinary, tenfold = invoice(7, 12), invoice(8, 12, times=10)
    found = {one["invoice_id"]: one for one in score(gate, ordinary, tenfold).json()["decisions"]}
    assert found[ordinary["invoice_id"]]["action"] == "release"
    wrong = found[tenfold["invoice_id"]]
    assert wrong["action"] in {"review", "hold"}
    assert wrong["direction"] == "over"
    assert wrong["reasons"][0]["amount_minor"] > 0


def test_profiles_of_another_form_are_made_anew_first(
    gate: Served, settings: Settings, lake: Lake
) -> None:
    with gate.store.transaction() as tx:
        tx.execute("UPDATE profiles SET payload = '2:older' WHERE customer_id = '*mark'")
    answer = score(gate, invoice(7, 12))
    assert 409 == answer.status_code
    assert "no profile was prepared yet" in answer.text
    opened = Installation(settings, gate.store, lake)
    assert is_stale(opened)
    prepare_profiles(opened)
    assert 200 == score(gate, invoice(7, 12)).status_code


def test_decision_and_audit_entry_are_stored(
    served: Served, settings: Settings, lake: Lake
) -> None:
    gate = prepared(served, settings, lake)
    one = invoice(7, 12)
    answer = score(gate, one).json()["decisions"][0]
    with gate.store.read() as tx:
        row = tx.get("decisions", draft_id=one["invoice_id"], draft_version=answer["version"])
        entry = tx.get("audit_entries", object_id=one["invoice_id"])
    assert (row["action"], row["run_id"]) == (answer["action"], "gate")
    assert (entry["actor"], entry["action"]) == ("user-controller", "invoice.scored")


def test_same_content_is_decided_once(gate: Served) -> None:
    first, again = score(gate, invoice(7, 12)), score(gate, invoice(7, 12))
    assert again.json() == first.json()
    with gate.store.read() as tx:
        assert tx.scalar("SELECT count(*) FROM decisions WHERE run_id = 'gate'") == 1
    changed = score(gate, invoice(7, 12, times=2)).json()["decisions"][0]
    assert changed["version"] != first.json()["decisions"][0]["version"]


def test_payment_figures_are_never_null(gate: Served) -> None:
    found = score(gate, invoice(7, 12)).json()["decisions"][0]
    assert None not in [found[name] for name in ("p_late", "days_late_p10", "days_late_p90")]


def test_a_day_that_was_not_prepared_is_judged_by_the_books(gate: Served) -> None:
    """A draft of the day of the customer's latest invoice sees what was issued before that day."""
    ready = score(gate, invoice(7, 12)).json()["decisions"][0]
    late = {**invoice(7, 11), "invoice_id": "LATE-7"}
    found = score(gate, late, {**invoice(900, 11), "invoice_id": "LATE-900"}).json()["decisions"]
    by_id = {one["invoice_id"]: one for one in found}
    assert [ready["confidence"], by_id["LATE-7"]["confidence"]] == ["full", "full"]
    assert by_id["LATE-900"]["confidence"] == "cold"
    assert by_id["LATE-7"]["p_late"] == pytest.approx(ready["p_late"], abs=0.2)


def test_unknown_customer_is_cold(gate: Served) -> None:
    found = score(gate, invoice(900, 12)).json()["decisions"][0]
    assert found["confidence"] == "cold"


@pytest.mark.parametrize(
    "change",
    [
        {"currency": "EURO"},
        {"total_minor": "12.5"},
        {"issued_on": "yesterday"},
        {"customer_id": None},
    ],
)
def test_wrong_rows_are_named(gate: Served, change: dict) -> None:
    answer = score(gate, {**invoice(7, 12), **change})
    assert (answer.status_code, answer.json()["code"]) == (422, "input")
    assert next(iter(change)) in answer.json()["detail"]


def test_lines_must_belong_to_the_invoices(gate: Served) -> None:
    answer = score(gate, invoice(7, 12), invoice_lines=[line_of(invoice(8, 12))])
    assert answer.status_code == 422
    assert score(gate, invoice(7, 12), invoice(7, 12)).status_code == 422


def test_without_profiles_it_says_what_to_do(served_sqlite: Served) -> None:
    answer = score(served_sqlite, invoice(7, 12))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_profiles_are_stale_when_facts_came_in(
    served: Served, settings: Settings, lake: Lake
) -> None:
    opened = Installation(settings, served.store, lake)
    assert is_stale(opened)
    assert prepare_profiles(opened) == 0
    assert not is_stale(opened)
    add_history(served.store, lake)
    assert is_stale(opened)
    assert prepare_profiles(opened) == 120
