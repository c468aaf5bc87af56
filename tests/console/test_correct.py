"""A correction from the form of a case, on a billed company: source changed, judged again."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from prebill.bootstrap import Installation
from prebill.store.users import Role
from tests.api.builders import add_people
from tests.api.server import running
from tests.console.browserless import Visit
from tests.workflows import world


@pytest.fixture
def billed(sqlite_url: str, home: Path) -> Installation:
    """Billed, with the draft of account 3 held: it bills more seats than its contract has."""
    opened = world.install(sqlite_url, home, accounts=6, events=300)
    world.amend(opened, 3, quantity=Decimal(99))
    world.run(opened)
    return opened


@pytest.fixture
def visit(billed: Installation) -> Iterator[Visit]:
    people = add_people(billed.store)
    with running(billed) as url:
        visit = Visit(url)
        visit.sign_in(people[Role.REVIEWER])
        yield visit
        visit.client.close()


def case_of(billed: Installation) -> dict[str, object]:
    (case,) = world.rows(billed, "SELECT * FROM cases WHERE status = 'open'")
    return case


def phase_of(billed: Installation) -> dict[str, object]:
    where = "WHERE subscription_id = 'S0000003' ORDER BY recorded_at"
    return world.rows(billed, f"SELECT * FROM subscription_phases {where}")[-1]


def test_corrected_subscription_is_billed_as_agreed(billed: Installation, visit: Visit) -> None:
    case = case_of(billed)
    contract_id = str(case["draft_id"]).replace("S0000003", "").split(":")[0]
    assert contract_id
    (agreed,) = world.rows(
        billed,
        "SELECT t.quantity FROM contract_terms t JOIN subscriptions s "
        "ON s.contract_id = t.contract_id WHERE s.subscription_id = 'S0000003'",
    )
    path = f"/cases/{case['case_id']}"
    answer = visit.send(
        f"{path}/correct",
        path,
        reason="wrong_quantity",
        kind="phase",
        phase_id=str(phase_of(billed)["phase_id"]),
        phase_quantity=str(agreed["quantity"]),
    )
    assert "Corrected." in answer.text
    assert phase_of(billed)["quantity"] == agreed["quantity"]
    drafts = world.rows(
        billed, "SELECT state FROM drafts WHERE subscription_id = 'S0000003' ORDER BY entered_at"
    )
    assert [one["state"] for one in drafts] == ["superseded", "issued"]
    invoice = visit.get(f"/invoices/{case['draft_id']}")
    assert "Invoice " in invoice.text
    assert "superseded" in invoice.text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "one_off_line", "line_text": "x", "line_amount": "1.005"}, "more decimals"),
        ({"kind": "one_off_line", "line_text": "x", "line_amount": "ten"}, "is no amount"),
        ({"kind": "phase", "phase_id": "P"}, "must change something"),
        ({"kind": "usage_quantity", "charge_id": "none", "usage_quantity": "1"}, "has no line"),
        ({}, "choose what to correct"),
    ],
)
def test_wrong_corrections_are_answered_in_words(
    billed: Installation, visit: Visit, fields: dict[str, str], said: str
) -> None:
    path = f"/cases/{case_of(billed)['case_id']}"
    answer = visit.send(f"{path}/correct", path, reason="wrong_price", **fields)
    assert answer.status_code == 422
    assert said.lower() in answer.text.lower()
    assert case_of(billed)["status"] == "open"
