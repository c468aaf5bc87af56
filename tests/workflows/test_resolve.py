from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from prebill.bootstrap import Installation
from prebill.core.errors import ConflictError, ForbiddenError, InputError, NotFoundError
from prebill.workflows import resolve
from prebill.workflows.deliver import deliver_due
from prebill.workflows.reconcile import reconcile_period
from tests.workflows import world


@pytest.fixture
def opened(sqlite_url: str, home: Path) -> Installation:
    """Billed, with the draft of account 3 held: it bills more seats than its contract has."""
    installation = world.install(sqlite_url, home, accounts=6, events=300)
    world.amend(installation, 3, quantity=Decimal(99))
    world.run(installation)
    return installation


def the_case(opened: Installation) -> dict[str, Any]:
    (case,) = world.rows(opened, "SELECT * FROM cases WHERE status = 'open'")
    return case


def states(opened: Installation) -> list[Any]:
    rows = world.rows(
        opened, "SELECT state FROM drafts WHERE subscription_id = 'S0000003' ORDER BY entered_at"
    )
    return [row["state"] for row in rows]


def test_release_issues_the_draft_and_labels_it_clean(opened: Installation) -> None:
    case = the_case(opened)
    done = resolve.release(opened, case["case_id"], "ann", 1, "agreed by phone")
    assert done.state == "issued"
    assert states(opened) == ["issued"]
    (document,) = world.rows(
        opened, f"SELECT * FROM documents WHERE document_id = '{done.document_id}'"
    )
    assert document["entered_by"] == "ann"
    (label,) = world.rows(opened, "SELECT * FROM labels")
    assert (bool(label["is_error"]), label["source"]) == (False, "verdict")
    (verdict,) = world.rows(opened, "SELECT * FROM verdicts")
    assert (verdict["verdict"], verdict["entered_by"]) == ("release", "ann")


def test_a_case_that_changed_meanwhile_is_refused(opened: Installation) -> None:
    case = the_case(opened)
    resolve.reject(opened, case["case_id"], "ann", 1, "wrong seats")
    with pytest.raises(ConflictError, match="reload"):
        resolve.release(opened, case["case_id"], "bob", 1)
    with pytest.raises(ConflictError, match="reload"):
        resolve.release(opened, case["case_id"], "bob", 2)
    assert states(opened) == ["rejected"]


def test_an_unknown_case_is_named(opened: Installation) -> None:
    with pytest.raises(NotFoundError, match="nothing-here"):
        resolve.release(opened, "nothing-here", "ann", 1)


def test_reject_needs_a_reason_and_voids_the_draft(opened: Installation) -> None:
    case = the_case(opened)
    with pytest.raises(InputError, match="reason"):
        resolve.reject(opened, case["case_id"], "ann", 1, " ")
    resolve.reject(opened, case["case_id"], "ann", 1, "not ours")
    assert states(opened) == ["rejected"]
    assert world.rows(opened, "SELECT count(*) AS n FROM documents")[0]["n"] == 5
    (label,) = world.rows(opened, "SELECT * FROM labels")
    assert (bool(label["is_error"]), label["reason_code"]) == (True, "not ours")


def test_a_phase_amendment_is_judged_again_and_issued_when_clean(opened: Installation) -> None:
    case = the_case(opened)
    contracted = world.rows(
        opened, "SELECT quantity FROM contract_terms WHERE contract_id = 'K0000003'"
    )[0]["quantity"]
    correction = {"kind": "phase", "phase_id": "1", "quantity": contracted}
    done = resolve.correct(opened, case["case_id"], "ann", 1, correction=correction)
    assert done.state == "issued"
    assert states(opened) == ["superseded", "issued"]
    # The next run finds the amendment at its source and leaves the document alone.
    world.run(opened, as_of_at=world.FINAL_AT.replace(year=2027))
    assert states(opened) == ["superseded", "issued"]
    assert world.rows(opened, "SELECT * FROM audit_entries WHERE action LIKE 'adj%'") == []


def test_the_author_of_a_correction_can_not_release_it(opened: Installation) -> None:
    case = the_case(opened)
    correction = {"kind": "phase", "phase_id": "1", "quantity": "98"}
    done = resolve.correct(opened, case["case_id"], "ann", 1, correction=correction)
    assert done.state == "held"
    assert done.new_case_id is not None
    with pytest.raises(ForbiddenError, match="somebody else"):
        resolve.release(opened, done.new_case_id, "ann", 1)
    assert resolve.release(opened, done.new_case_id, "bob", 1).state == "issued"


def test_a_one_off_line_is_taxed_and_stays_in_later_runs(opened: Installation) -> None:
    case = the_case(opened)
    before = world.rows(
        opened, "SELECT subtotal_minor FROM drafts WHERE subscription_id = 'S0000003'"
    )[0]["subtotal_minor"]
    correction = {"kind": "one_off_line", "text": "goodwill", "amount_minor": -1000}
    done = resolve.correct(opened, case["case_id"], "ann", 1, correction=correction)
    assert done.state == "held"  # the seats still differ from the contract
    (draft,) = world.rows(opened, f"SELECT * FROM drafts WHERE version = '{done.draft_version}'")
    assert draft["subtotal_minor"] == before - 1000
    assert draft["total_minor"] == draft["subtotal_minor"] + draft["tax_minor"]
    assert draft["lines"] == 6
    world.run(opened, as_of_at=world.FINAL_AT.replace(year=2027))
    assert states(opened) == ["superseded", "held"]


def test_a_corrected_quantity_replaces_the_metered_one(opened: Installation) -> None:
    case = the_case(opened)
    correction = {"kind": "usage_quantity", "charge_id": "api", "quantity": "0"}
    done = resolve.correct(opened, case["case_id"], "ann", 1, correction=correction)
    (draft,) = world.rows(
        opened, f"SELECT lines_json FROM drafts WHERE version = '{done.draft_version}'"
    )
    assert '"charge_id":"api"' in str(draft["lines_json"])
    world.run(opened, as_of_at=world.FINAL_AT.replace(year=2027))
    assert states(opened) == ["superseded", "held"]


def test_a_tax_status_is_set_on_the_customer(opened: Installation) -> None:
    case = the_case(opened)
    correction = {"kind": "tax_status", "country": "US", "region": "CA"}
    resolve.correct(opened, case["case_id"], "ann", 1, correction=correction)
    (customer,) = world.rows(
        opened, "SELECT country, region FROM customers WHERE customer_id = 'C0000003'"
    )
    assert (customer["country"], customer["region"]) == ("US", "CA")
    assert states(opened)[0] == "superseded"


@pytest.mark.parametrize(
    ("correction", "message"),
    [
        ({"kind": "magic"}, "unknown correction"),
        ({"kind": "phase", "phase_id": "1"}, "must change something"),
        ({"kind": "phase", "phase_id": "1", "quantity": "-1"}, "quantity"),
        ({"kind": "phase", "phase_id": "9", "quantity": "1"}, "nothing to correct"),
        (
            {"kind": "phase", "phase_id": "1", "quantity": "1", "begins_on": "2020-01-01"},
            "not within the phase",
        ),
        ({"kind": "phase", "phase_id": "1", "quantity": "1", "begins_on": "soon"}, "begins_on"),
        ({"kind": "phase", "quantity": "1"}, "needs"),
        ({"kind": "phase", "phase_id": "1", "price": "1"}, "has no price"),
        ({"kind": "usage_quantity", "charge_id": "nope", "quantity": "1"}, "no line"),
        ({"kind": "one_off_line", "text": "x", "amount_minor": 0}, "other than 0"),
        ({"kind": "phase", "phase_id": "1", "quantity": "99"}, "changes nothing"),
    ],
)
def test_a_correction_that_can_not_be_made_changes_nothing(
    opened: Installation, correction: dict[str, Any], message: str
) -> None:
    case = the_case(opened)
    with pytest.raises(InputError, match=message):
        resolve.correct(opened, case["case_id"], "ann", 1, correction=correction)
    assert the_case(opened) == case
    assert states(opened) == ["held"]


def test_both_engines_correct_release_and_deliver(database_url: str, home: Path) -> None:
    installation = world.install(database_url, home, accounts=6, events=60)
    world.amend(installation, 3, quantity=Decimal(99))
    world.amend(installation, 4, quantity=Decimal(98))
    world.run(installation)
    first, second = world.rows(installation, "SELECT * FROM cases ORDER BY case_id")
    correction = {"kind": "one_off_line", "text": "goodwill", "amount_minor": -1}
    done = resolve.correct(installation, str(first["case_id"]), "ann", 1, correction=correction)
    resolve.release(installation, str(done.new_case_id), "bob", 1)
    resolve.reject(installation, str(second["case_id"]), "bob", 1, "not agreed")
    assert deliver_due(installation).delivered == 5
    assert reconcile_period(installation, world.PERIOD).differences == []
