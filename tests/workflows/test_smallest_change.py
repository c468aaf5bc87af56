"""Each kind of mistake has its own smallest correction; entered as proposed, it is issued."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prebill.bootstrap import Installation
from prebill.store.engine import Store
from prebill.workflows import resolve
from prebill.workflows.smallest_change import SmallestChange, reason_against, smallest_change
from tests.workflows import mistaken, world


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def billed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Billed once an engine: each test settles cases of its own."""
    home: Path = tmp_path_factory.mktemp("mistaken")
    url = f"sqlite:///{home}/prebill.db"
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgresql")
        cluster.execute("CREATE DATABASE mistaken TEMPLATE prebill_template")
        url = cluster.url("mistaken")
    else:
        store = Store(url)
        store.create_all()
        store.close()
    opened = mistaken.install(url, home)
    yield opened
    opened.close()
    if request.param == "postgresql":
        cluster.execute("DROP DATABASE mistaken WITH (FORCE)")


def corrected(opened: Installation, case: dict[str, Any], found: SmallestChange) -> str:
    """Enter the proposed corrections one after the other; return the state at the end."""
    case_id, version = case["case_id"], case["lock_version"]
    for number, correction in enumerate(found.corrections):
        done = resolve.correct(opened, case_id, f"user-{number}", version, correction=correction)
        case_id, version = done.new_case_id or "", 1
    return done.state


@pytest.mark.parametrize(
    ("mistake", "correction"),
    [
        ("quantity", {"kind": "phase", "phase_id": "1", "quantity": "4"}),
        ("discount", {"kind": "phase", "phase_id": "1", "discount_percent": "8"}),
        ("price", {"kind": "phase", "phase_id": "1", "price_book_id": "PB-GBP-1"}),
        ("tax", {"kind": "tax_status", "country": "DE"}),
        ("usage", {"kind": "usage_quantity", "charge_id": "api", "quantity": "4254"}),
        (
            "amendment",
            {"kind": "phase", "phase_id": "1", "quantity": "14", "begins_on": "2026-10-16"},
        ),
    ],
)
def test_one_mistake_has_one_correction_with_which_it_passes(
    billed: Installation, mistake: str, correction: dict[str, str]
) -> None:
    case = mistaken.case_of(billed, mistake)
    before = world.rows(billed, "SELECT count(*) AS drafts FROM drafts")
    found = smallest_change(billed, case["case_id"])
    assert ([correction], "", 1) == (found.corrections, found.why_not, found.tried)
    assert before == world.rows(billed, "SELECT count(*) AS drafts FROM drafts")
    assert corrected(billed, case, found) == "issued"
    (draft,) = world.rows(
        billed,
        "SELECT total_minor, currency FROM drafts WHERE state = 'issued' "
        f"AND draft_id = '{case['draft_id']}'",
    )
    assert (found.new_total_minor, found.new_currency) == (draft["total_minor"], draft["currency"])


def test_two_mistakes_need_two_corrections(billed: Installation) -> None:
    case = mistaken.case_of(billed, "quantity and tax")
    found = smallest_change(billed, case["case_id"])
    assert [
        {"kind": "phase", "phase_id": "1", "quantity": "13"},
        {"kind": "tax_status", "country": "DE"},
    ] == found.corrections
    assert found.tried == 3
    assert corrected(billed, case, found) == "issued"


def test_an_invoice_that_should_not_be_is_rejected_not_corrected(billed: Installation) -> None:
    case = mistaken.case_of(billed, "twice")
    found = smallest_change(billed, case["case_id"])
    assert ([], 0) == (found.corrections, found.tried)
    assert "billed twice" in found.why_not


def test_a_quantity_that_no_event_supports_still_waits(billed: Installation) -> None:
    """The author of a correction alone can't bill what no event says."""
    (draft,) = world.rows(
        billed, "SELECT * FROM drafts WHERE subscription_id = 'S0000009' AND state = 'held'"
    )
    (case,) = world.rows(
        billed, f"SELECT * FROM cases WHERE draft_id = '{draft['draft_id']}' AND status = 'open'"
    )
    correction = {"kind": "usage_quantity", "charge_id": "api", "quantity": "1"}
    done = resolve.correct(billed, case["case_id"], "ann", 1, correction=correction)
    assert done.state == "held"
    (decision,) = world.rows(
        billed,
        f"SELECT findings_json FROM decisions WHERE draft_version = '{done.draft_version}'",
    )
    assert "quantity_differs_from_contract" in str(decision["findings_json"])


@pytest.mark.parametrize(
    ("kind", "status", "findings", "said"),
    [
        ("gap", "open", "[]", "No draft was made"),
        ("gate", "open", "[]", "corrected in the engine"),
        ("sample", "open", "[]", "issued already"),
        ("draft", "released", "[]", "closed"),
        ("draft", "open", '[{"code": "total_above_history", "basis": "statistical"}]', "unusual"),
        ("draft", "open", '[{"code": "usage_missing", "basis": "exact"}]', "can't be mended"),
    ],
)
def test_why_nothing_is_tried_is_said(kind: str, status: str, findings: str, said: str) -> None:
    case = {"kind": kind, "status": status, "findings_json": findings}
    assert said in reason_against(case)
