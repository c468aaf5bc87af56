"""A decision is derived again from what was stored, to the byte, and from raw facts."""

from dataclasses import replace as with_changes
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from prebill import bootstrap
from prebill.bootstrap import Installation
from prebill.core.errors import NotFoundError
from prebill.core.policy.model import Policy
from prebill.core.scoring.models import Models
from prebill.store.replay import stored_decision
from prebill.workflows import replay as replaying
from prebill.workflows import resolve
from prebill.workflows.replay import Outcome, Replay, replay
from tests.workflows import world

EXPOSED = {
    "id": "exposure",
    "kind": "exposure_above",
    "limits": {"default": 1_000_000_000, "EUR": 0},
    "p_late": 0.5,
    "p_never": 0.01,
    "action": "review",
}
STORED = ["draft", "feature row", "models", "policy", "P(error)", "money", "decision"]


@pytest.fixture
def opened(database_url: str, home: Path) -> Installation:
    """A run with issued, held and reviewed drafts."""
    opened = world.install(database_url, home)
    world.sample_everything(opened, EXPOSED)
    world.amend(opened, 3, quantity=Decimal(99))
    world.run(opened)
    return opened


def drafts(opened: Installation) -> list[str]:
    found = world.rows(opened, "SELECT draft_id FROM decisions ORDER BY draft_id")
    return [str(one["draft_id"]) for one in found]


def outcomes(found: Replay) -> dict[str, Outcome]:
    return {check.part: check.outcome for check in found.checks}


def differing(found: Replay) -> dict[str, str]:
    return {one.part: one.text for one in found.checks if one.outcome is Outcome.DIFFERS}


def test_every_decision_of_a_run_is_derived_again(opened: Installation) -> None:
    actions = world.rows(opened, "SELECT action FROM decisions")
    assert {"release", "review", "hold"} == {one["action"] for one in actions}
    for draft_id in drafts(opened):
        assert dict.fromkeys(STORED, Outcome.SAME) == outcomes(replay(opened, draft_id))


def test_raw_facts_give_the_same_features_and_decision(opened: Installation) -> None:
    for draft_id in (drafts(opened)[0], drafts(opened)[-1]):
        found = replay(opened, draft_id, from_facts=True)
        told = ["draft from facts", "features from facts", "decision from facts"]
        assert [*STORED, *told] == [check.part for check in found.checks]
        assert differing(found) == {}
        assert found.is_same


def test_changed_facts_are_listed_with_both_values(opened: Installation) -> None:
    draft_id = drafts(opened)[0]
    (before,) = world.rows(opened, f"SELECT * FROM drafts WHERE draft_id = '{draft_id}'")
    # Somebody wrote over history: the run would bill another quantity today.
    with opened.store.transaction() as tx:
        tx.execute(
            "UPDATE subscription_phases SET quantity = '77' WHERE subscription_id = :id",
            {"id": before["subscription_id"]},
        )
    found = replay(opened, draft_id, from_facts=True)
    off = differing(found)
    assert "version" in off["draft from facts"]
    assert "stored" in off["features from facts"]
    assert "again" in off["features from facts"]
    assert not found.is_same


def altered(
    monkeypatch: pytest.MonkeyPatch, opened: Installation, draft_id: str, **changes: object
) -> Replay:
    """Replay what somebody altered in the tables."""
    with opened.store.read() as tx:
        stored = stored_decision(tx, draft_id)
    other = with_changes(stored, **changes)
    monkeypatch.setattr(replaying, "stored_decision", lambda *_: other)
    return replay(opened, draft_id)


def test_altered_rows_differ(opened: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    (held,) = world.rows(opened, "SELECT draft_id FROM decisions WHERE action = 'hold'")
    held_id = str(held["draft_id"])
    with opened.store.read() as tx:
        stored = stored_decision(tx, held_id)

    def parts(**changes: object) -> set[str]:
        return set(differing(altered(monkeypatch, opened, held_id, **changes)))

    released = stored.decision.with_columns(action=pl.lit("release"))
    assert {"decision"} == parts(decision=released)
    surer = stored.decision.with_columns(p_error=pl.col("p_error") + 1e-12)
    assert "P(error)" in parts(decision=surer)
    cheaper = stored.findings.with_columns(amount_minor=pl.col("amount_minor") + 1)
    assert {"money", "decision"} == parts(findings=cheaper)
    line = stored.lines.with_columns(amount_minor=pl.col("amount_minor") + 1)
    assert {"draft"} == parts(lines=line)
    assert {"feature row"} == parts(kept=stored.kept | {"feature_hash": "0"})
    assert set() == parts()


def test_policy_of_the_decision_is_found_whatever_is_in_force_now(opened: Installation) -> None:
    path = opened.settings.policy_path
    assert path is not None
    path.write_text(path.read_text().replace("name: lenient", "name: stricter"))
    assert "stricter" == opened.load_policy().name
    draft_id = drafts(opened)[0]
    facts = replay(opened, draft_id, from_facts=True)
    told = ["draft from facts", "features from facts", "decision from facts"]
    assert dict.fromkeys([*STORED, *told], Outcome.SAME) == outcomes(facts)


def test_policy_that_was_never_kept_is_said_and_may_be_given(opened: Installation) -> None:
    path = opened.settings.policy_path
    assert path is not None
    before = Policy.parse(path.read_text())
    path.write_text(path.read_text().replace("name: lenient", "name: stricter"))
    with opened.store.transaction() as tx:  # as if decided by a program that kept no texts
        tx.execute("DELETE FROM configuration_texts")
    draft_id = drafts(opened)[0]
    found = replay(opened, draft_id)
    assert outcomes(found)["policy"] is Outcome.LEFT_OUT
    assert "decision" not in outcomes(found)
    assert found.is_same
    given = replay(opened, draft_id, policy=before)
    assert dict.fromkeys(STORED, Outcome.SAME) == outcomes(given)
    facts = replay(opened, draft_id, policy=before, from_facts=True)
    assert outcomes(facts)["facts"] is Outcome.LEFT_OUT  # the run's policy is not at hand


def test_case_and_document_lead_to_their_draft(opened: Installation) -> None:
    (case,) = world.rows(
        opened, "SELECT case_id, draft_id FROM cases WHERE action = 'hold' AND kind = 'draft'"
    )
    document = world.rows(opened, "SELECT document_id, draft_id FROM documents")[0]
    assert replay(opened, str(case["case_id"])).draft_id == case["draft_id"]
    assert replay(opened, str(document["document_id"])).draft_id == document["draft_id"]
    version = replay(opened, str(case["draft_id"])).draft_version
    assert replay(opened, str(case["draft_id"]), version=version[:8]).draft_version == version
    for name, asked in (("nothing", None), (str(case["draft_id"]), "zz")):
        with pytest.raises(NotFoundError):
            replay(opened, name, version=asked)


def test_billing_and_ledger_that_stop_a_draft_are_derived_too(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home)
    with opened.store.transaction() as tx:
        where = {"entity_id": "DE1", "period": "2026-11"}
        tx.update("accounting_periods", {"status": "closed"}, where=where)
        # Billing itself reports: the contract is in another currency than the price book.
        tx.execute("UPDATE contracts SET currency = 'USD' WHERE contract_id LIKE '%1'")
    world.run(opened)
    found = {draft_id: replay(opened, draft_id) for draft_id in drafts(opened)}
    assert {"DE1", "GB1"} == {draft_id.split(":")[0] for draft_id in found}
    reasons = str(world.rows(opened, "SELECT reasons FROM decisions"))
    assert "accounting_period_closed" in reasons
    assert "currency_differs_from_contract" in reasons
    for one in found.values():
        assert dict.fromkeys(STORED, Outcome.SAME) == outcomes(one)


def test_draft_that_nobody_could_judge_is_derived_as_such(
    sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = world.install(sqlite_url, home)
    with monkeypatch.context() as away:
        away.setattr(bootstrap, "load_models", lambda _: (Models(), "digest differs"))
        world.run(opened)
    found = replay(opened, drafts(opened)[0])
    assert outcomes(found)["decision"] is Outcome.SAME
    assert "P(error)" not in outcomes(found)
    assert differing(found) == {}


def test_line_that_a_person_added_is_part_of_the_version(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home, accounts=6, events=300)
    world.amend(opened, 3, quantity=Decimal(99))
    world.run(opened)
    (case,) = world.rows(opened, "SELECT * FROM cases WHERE status = 'open'")
    correction = {"kind": "one_off_line", "text": "goodwill", "amount_minor": -1000}
    done = resolve.correct(opened, str(case["case_id"]), "ann", 1, correction=correction)
    versions = (str(case["draft_version"]), done.draft_version)
    first, second = (replay(opened, str(case["draft_id"]), version=one) for one in versions)
    assert versions == (first.draft_version, second.draft_version)
    assert dict.fromkeys(STORED, Outcome.SAME) == outcomes(first)
    kept = dict.fromkeys(STORED, Outcome.SAME) | {"feature row": Outcome.LEFT_OUT}
    assert kept == outcomes(second)
