"""Released drafts that are drawn to be looked at: issued all the same, and what the answer says."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from prebill.bootstrap import Installation
from prebill.core.errors import ConflictError, InputError
from prebill.store.console import CaseFilter, find_case, list_cases, queue_totals
from prebill.store.outcomes import error_labels, untouched_invoices
from prebill.store.quality import Quality, judged_versions, quality_of
from prebill.workflows import resolve
from prebill.workflows.reconcile import reconcile_period
from tests.workflows import world

LATER = date(2999, 1, 1)


@pytest.fixture
def opened(database_url: str, home: Path) -> Installation:
    """Six accounts billed, all sampled but that of account 3, which is held."""
    installation = world.install(database_url, home, accounts=6, events=300)
    world.sample_everything(installation)
    world.amend(installation, 3, quantity=Decimal(99))
    world.run(installation)
    return installation


def cases(opened: Installation, kind: str = "sample") -> list[dict[str, Any]]:
    return world.rows(opened, f"SELECT * FROM cases WHERE kind = '{kind}' ORDER BY case_id")


def test_sampled_invoices_are_issued_and_stand_apart(opened: Installation) -> None:
    sampled = cases(opened)
    assert 5 == len(sampled)
    assert {("release", "open", "sample", 0, 0.0)} == {
        (one["action"], one["status"], one["queue"], one["expected_loss_minor"], one["priority"])
        for one in sampled
    }
    issued = world.rows(opened, "SELECT draft_id FROM documents ORDER BY draft_id")
    assert [one["draft_id"] for one in issued] == sorted(one["draft_id"] for one in sampled)
    chances = world.rows(opened, "SELECT action, sample_propensity AS chance FROM decisions")
    assert {("release", 1.0), ("hold", None)} == {(one["action"], one["chance"]) for one in chances}
    assert not reconcile_period(opened, world.PERIOD).differences
    with opened.store.read() as tx:
        first = list_cases(tx, CaseFilter())[0]
        totals = queue_totals(tx, CaseFilter())
        assert 5 == untouched_invoices(tx).height
    assert ("draft", "hold") == (first["kind"], first["action"])
    assert {("sample", "release"): 5, ("sample", "hold"): 0} == {
        ("sample", action): sum(
            one["cases"] for one in totals if (one["queue"], one["action"]) == ("sample", action)
        )
        for action in ("release", "hold")
    }


def test_what_judges_said_is_shown_only_after_the_answer(opened: Installation) -> None:
    case_id = cases(opened)[0]["case_id"]
    with opened.store.read() as tx:
        asked = find_case(tx, case_id)
    assert [None] * 3 == [asked[name] for name in ("reasons", "findings_json", "p_error")]
    assert None not in [asked[name] for name in ("customer_id", "lines_json", "total_minor")]
    resolve.release(opened, case_id, "ann", 1, "looked_right")
    with opened.store.read() as tx:
        answered = find_case(tx, case_id)
    assert answered["reasons"] is not None
    assert answered["p_error"] is not None


def test_answers_are_labels_with_their_propensity_and_change_no_document(
    opened: Installation,
) -> None:
    before = world.rows(opened, "SELECT * FROM documents ORDER BY document_id")
    right, wrong = cases(opened)[:2]
    held = cases(opened, "draft")[0]
    resolve.release(opened, held["case_id"], "ann", 1, "agreed")
    assert "released" == resolve.release(opened, right["case_id"], "ann", 1, "looked_right").state
    done = resolve.reject(opened, wrong["case_id"], "ann", 1, "wrong_price")
    assert ("released", wrong["draft_id"]) == (done.state, done.draft_id)
    with pytest.raises(ConflictError, match="reload"):
        resolve.reject(opened, right["case_id"], "ann", 2, "wrong_price")
    after = world.rows(opened, "SELECT * FROM documents ORDER BY document_id")
    assert [one for one in after if one["draft_id"] != held["draft_id"]] == before
    with opened.store.read() as tx:
        labels = error_labels(tx, LATER)
    told = {
        row["draft_id"]: (row["is_error"], row["source"], row["propensity"], row["was_shown"])
        for row in labels.iter_rows(named=True)
    }
    assert told == {
        right["draft_id"]: (False, "sample", 1.0, False),
        wrong["draft_id"]: (True, "sample", 1.0, False),
        held["draft_id"]: (False, "verdict", None, True),
    }


def test_sample_is_not_corrected_here(opened: Installation) -> None:
    with pytest.raises(InputError, match="invoice is issued"):
        resolve.correct(opened, cases(opened)[0]["case_id"], "ann", 1, correction={"kind": "phase"})


def test_run_again_asks_nobody_twice(opened: Installation) -> None:
    first = cases(opened)
    resolve.release(opened, first[0]["case_id"], "ann", 1, "looked_right")
    world.run(opened, as_of_at=world.FINAL_AT.replace(day=6))
    assert [one["case_id"] for one in first] == [one["case_id"] for one in cases(opened)]
    assert "released" == cases(opened)[0]["status"]


def test_corrected_draft_may_be_sampled_but_waits_no_more(opened: Installation) -> None:
    held = cases(opened, "draft")[0]
    terms = world.rows(opened, "SELECT quantity FROM contract_terms WHERE contract_id = 'K0000003'")
    correction = {"kind": "phase", "phase_id": "1", "quantity": terms[0]["quantity"]}
    done = resolve.correct(opened, held["case_id"], "ann", 1, correction=correction)
    assert ("issued", None) == (done.state, done.new_case_id)
    (new,) = [one for one in cases(opened) if one["draft_id"] == held["draft_id"]]
    with pytest.raises(Exception, match="somebody else must release"):
        resolve.release(opened, new["case_id"], "ann", 1, "looked_right")
    resolve.release(opened, new["case_id"], "bob", 1, "looked_right")
    with opened.store.read() as tx:
        labels = error_labels(tx, LATER)
    own = labels.filter(draft_id=held["draft_id"]).select("is_error", "source", "propensity")
    assert {(True, "verdict", None), (False, "sample", 1.0)} == set(own.rows())


def test_least_share_of_a_policy_that_says_nothing(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home, accounts=300, events=600)
    world.run(opened, shard_customers=300)
    chances = world.rows(opened, "SELECT DISTINCT sample_propensity AS chance FROM decisions")
    documents = world.rows(opened, "SELECT count(*) AS number FROM documents")
    assert min(one["chance"] for one in chances if one["chance"]) >= 0.005
    assert len(cases(opened)) < int(documents[0]["number"]) * 0.2


# ── What it says of the decisions ────────────────────────────────────────────────────────────


def test_quality_counts_what_was_stopped_and_estimates_what_was_not(opened: Installation) -> None:
    def measured() -> Quality:
        return quality_of(opened.store, world.PERIOD, opened.load_policy(), today=LATER)

    before = measured()
    assert (5, 1, 1, 5) == (
        before.estimates.released,
        before.estimates.stopped,
        before.estimates.unanswered,
        before.open_samples,
    )
    assert before.estimates.error_rate is None
    assert "5 cases of the queue sample wait" in before.lines()[0]
    resolve.reject(opened, cases(opened, "draft")[0]["case_id"], "ann", 1, "wrong_quantity")
    *right, wrong = cases(opened)
    for one in right:
        resolve.release(opened, one["case_id"], "ann", 1, "looked_right")
    nothing_found = measured().estimates
    assert nothing_found.error_rate is not None
    assert nothing_found.error_rate.high == pytest.approx(3 / 4, rel=0.01)
    resolve.reject(opened, wrong["case_id"], "ann", 1, "wrong_price")
    found = measured()
    assert found.estimates.error_rate is not None
    assert found.estimates.recall is not None
    assert (0.2, 0.5) == (found.estimates.error_rate.value, found.estimates.recall.value)
    assert (1, 1, 0) == (
        found.estimates.released_errors,
        found.estimates.stopped_errors,
        found.estimates.unanswered,
    )
    assert "20.00% (" in found.lines()[0]
    assert "50.00% (" in found.lines()[1]


def test_false_holds_are_counted_on_right_invoices_by_segment(opened: Installation) -> None:
    resolve.release(opened, cases(opened, "draft")[0]["case_id"], "ann", 1, "unusual_but_right")
    resolve.reject(opened, cases(opened)[0]["case_id"], "ann", 1, "wrong_price")
    rates = quality_of(opened.store, None, opened.load_policy(), today=LATER).false_holds
    whole = rates.row(0, named=True)
    assert ("all", 5, 1) == (whole["segment"], whole["invoices"], whole["held"])
    assert whole["low"] < 0.2 == whole["rate"] < whole["high"]
    assert {"all", "entity", "currency", "history"} == set(rates["segment"])
    empty = quality_of(opened.store, "2020-01", opened.load_policy(), today=LATER)
    assert empty.false_holds.is_empty()


def test_replaced_version_counts_only_where_somebody_answered(opened: Installation) -> None:
    held = cases(opened, "draft")[0]
    world.amend(opened, 3, quantity=Decimal(98), recorded_at=datetime(2026, 11, 4, tzinfo=UTC))
    world.run(opened, as_of_at=world.FINAL_AT.replace(day=6))
    with opened.store.read() as tx:
        versions = judged_versions(tx, world.PERIOD, LATER)
    own = versions.filter(draft_id=held["draft_id"])
    assert 1 == own.height
    assert held["draft_version"] != own["draft_version"][0]
    new = cases(opened, "draft")[-1]
    assert "open" == new["status"]
    terms = world.rows(opened, "SELECT quantity FROM contract_terms WHERE contract_id = 'K0000003'")
    correction = {"kind": "phase", "phase_id": "1", "quantity": terms[0]["quantity"]}
    resolve.correct(opened, new["case_id"], "ann", 1, correction=correction)
    with opened.store.read() as tx:
        versions = judged_versions(tx, world.PERIOD, LATER).filter(draft_id=held["draft_id"])
    told = set(versions.select("action", "is_error").rows())
    assert {("hold", True), ("release", None)} == told
