"""What the hook judged teaches as what runs judged does: its rows reach the lake, with versions."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from prebill.bootstrap import Installation
from prebill.bundles import Role as Use
from prebill.bundles import put_in_use
from prebill.core.schemas.inbound import PAYMENTS
from prebill.core.scoring.scene import FEATURE_ROW
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.lake_index import named_batches
from prebill.workflows import hook_rows
from prebill.workflows.policy_simulation import Question, effect_of
from prebill.workflows.profiles import prepare_profiles
from prebill.workflows.replay import Outcome, replay
from prebill.workflows.shadow import compare_shadow
from tests.api.conftest import Served, serving
from tests.api.gate import WRONG, decide, gate, rows, send, sent
from tests.api.history import add_history, invoice
from tests.test_bundles import bundle
from tests.workflows import world
from tests.workflows.test_shadow import forest_bundle
from training.labelled import read_labelled

TODAY = date(2026, 11, 28)


@pytest.fixture
def opened(store: Store, settings: Settings, lake: Lake) -> Installation:
    return Installation(settings, store, lake)


@pytest.fixture
def served(store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    with gate(store, settings, lake) as found:
        yield found


@pytest.fixture
def challenged(store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    """A forest challenges the rule that judges the level, another payment model the present one."""
    put_in_use(settings, bundle(0.0), Use.CHAMPION, 1)
    put_in_use(settings, bundle(0.5), Use.CHALLENGER, 2)
    put_in_use(settings, forest_bundle(), Use.CHALLENGER, 1)
    with serving(store, settings, lake) as found:
        add_history(store, lake)
        prepare_profiles(Installation(settings, store, lake))
        yield found


def in_lake(opened: Installation, table: str) -> pl.DataFrame:
    with opened.store.read() as tx:
        batches = named_batches(tx, table)
    return opened.lake.scan(table, batches).collect()


def test_each_version_is_learnt_from_as_it_was_judged(served: Served, opened: Installation) -> None:
    wrong, right = invoice(7, 12, times=10), invoice(7, 12)
    case_id = sent(served, wrong)["case_id"]
    assert 200 == decide(served, case_id, "reject", WRONG).status_code
    second = sent(served, right)
    assert read_labelled(opened, TODAY).is_empty()
    assert 4 == hook_rows.move_all(opened)
    (learnt,) = read_labelled(opened, TODAY).to_dicts()
    assert (True, "INV-202611-00007") == (learnt["is_error"], learnt["invoice_id"])
    stored = in_lake(opened, "feature_rows")
    assert set(FEATURE_ROW) <= set(stored.columns)
    of_version = {row["draft_version"]: row for row in stored.to_dicts()}
    assert {learnt["draft_version"], second["version"]} == set(of_version)
    first = of_version[learnt["draft_version"]]
    assert [first[name] for name in FEATURE_ROW] == [learnt[name] for name in FEATURE_ROW]
    later = of_version[second["version"]]
    assert any(first[name] != later[name] for name in FEATURE_ROW)
    assert (0, 0) == (hook_rows.move_all(opened), len(rows(served, "SELECT * FROM hook_rows")))


def test_decision_of_the_hook_is_derived_again(served: Served, opened: Installation) -> None:
    wrong, right = sent(served, invoice(7, 12, times=10)), sent(served, invoice(7, 12))
    before = {one.part: one for one in replay(opened, right["invoice_id"]).checks}
    assert "not in the lake yet: ask in ten minutes" == before["feature row"].text
    hook_rows.move_all(opened)
    for one in (wrong, right):
        found = replay(opened, one["invoice_id"], version=one["version"])
        parts = {check.part: check.outcome for check in found.checks}
        assert Outcome.SAME is parts.pop("feature row")
        assert {Outcome.SAME, Outcome.LEFT_OUT} >= set(parts.values())


def test_rows_wait_for_company_but_not_for_long(served: Served, opened: Installation) -> None:
    send(served, invoice(7, 12), invoice(8, 12))
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert 0 == hook_rows.move_due(opened, soon)
    assert 4 == hook_rows.move_due(opened, soon + hook_rows.PATIENCE)
    assert 0 == hook_rows.move_due(opened, soon + hook_rows.PATIENCE)


def test_batch_that_no_transaction_named_is_not_read_twice(
    served: Served, opened: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(served, invoice(7, 12))

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("prebill.store.hook_rows.drop", killed)
        with pytest.raises(RuntimeError, match="killed"):
            hook_rows.move_all(opened)
    assert in_lake(opened, "feature_rows").is_empty()
    sent(served, invoice(8, 12))
    assert 4 == hook_rows.move_all(opened)
    assert 2 == in_lake(opened, "feature_rows").height


def test_challenger_scores_the_hooks_drafts_in_shadow(
    challenged: Served, opened: Installation
) -> None:
    answers = send(challenged, *(invoice(number, 12) for number in range(1, 61)))
    hook_rows.move_all(opened)
    shadow = in_lake(opened, "shadow_scores")
    assert {"forest", "payment_risk"} == set(shadow["model"])
    assert 120 == shadow.height
    for row in shadow.to_dicts():
        mine = answers[row["draft_id"]]
        assert (row["champion_action"], row["champion_p_late"]) == (mine["action"], mine["p_late"])
        assert (row["draft_version"], row["run_id"]) == (mine["version"], "gate")
    assert (shadow["anomaly_score"] != shadow["champion_anomaly_score"]).any()


def test_engines_invoices_tell_whether_the_challenger_foresaw_lateness(
    challenged: Served, opened: Installation
) -> None:
    answers = send(challenged, *(invoice(number, 12) for number in range(1, 121)))
    hook_rows.move_all(opened)
    released = [name for name, one in answers.items() if one["action"] == "release"]
    paid = pl.DataFrame({"invoice_id": released}).with_columns(
        payment_id=pl.format("p-{}", "invoice_id"),
        paid_on=pl.lit(date(2027, 1, 10)),
        amount_minor=pl.lit(10**9, dtype=pl.Int64),
    )
    world.add_batch(opened, "payments", PAYMENTS.conform(paid), "payments-later")
    report = compare_shadow(opened, "payment_risk", date(2027, 3, 1))
    assert len(released) == report.compared.gain.rows == report.compared.positives


def test_live_policy_gives_the_hooks_decisions_again(served: Served, opened: Installation) -> None:
    answers = send(served, invoice(7, 12, times=10), *(invoice(n, 12) for n in range(8, 30)))
    hook_rows.move_all(opened)
    live = opened.load_policy()
    rows = effect_of(opened, live, live, Question(TODAY)).simulation.rows
    stored = {name: (one["action"], one["version"]) for name, one in answers.items()}
    again = rows.select("draft_id", pl.col("action_after").cast(pl.String), "draft_version")
    assert stored == {name: (action, version) for name, action, version in again.iter_rows()}
    assert {"release", "hold"} <= {action for action, _ in stored.values()}
    assert {date(2026, 11, 1)} == set(rows["issued_on"])
