"""Shadow scores of a real run: written once, compared on the sample and on payments."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prebill.bootstrap import Installation
from prebill.bundles import Bundle, Role, load_models, put_in_use
from prebill.core.errors import InputError, NotFoundError
from prebill.core.schemas.inbound import PAYMENTS
from prebill.core.schemas.internal import DECISIONS
from prebill.core.scoring.features import variance
from prebill.core.scoring.models.forest import Forest, fit_forest
from prebill.core.scoring.shadow import SHADOW_SCORES, Answers
from prebill.store.lake_index import named_batches, record_batch
from prebill.workflows import resolve
from prebill.workflows.shadow import compare_shadow, write_shadow
from tests.test_bundles import bundle
from tests.workflows import world

LATER = date(2027, 3, 1)


@pytest.fixture
def billed(database_url: str, home: Path) -> Installation:
    """A run of 160 accounts, most issued untouched, and a challenger of payment risk."""
    opened = world.install(database_url, home, accounts=160, events=1600)
    put_in_use(opened.settings, bundle(0.0), Role.CHAMPION, 1)
    world.run(opened, shard_customers=200)
    put_in_use(opened.settings, bundle(0.5), Role.CHALLENGER, 2)
    return opened


def decided(opened: Installation) -> pl.DataFrame:
    with opened.store.read() as tx:
        batches = named_batches(tx, "decisions")
    return DECISIONS.conform(opened.lake.scan("decisions", batches).collect())


def shadow_scores(opened: Installation) -> pl.DataFrame:
    with opened.store.read() as tx:
        batches = named_batches(tx, "shadow_scores")
    return opened.lake.scan("shadow_scores", batches).collect()


def documents(opened: Installation) -> pl.DataFrame:
    with opened.store.read() as tx:
        return tx.table_frame("documents", "ORDER BY document_id")


def is_late(name: str) -> pl.Expr:
    """Every third customer pays late."""
    return pl.col(name).str.slice(-4).cast(pl.Int64) % 3 == 0


def shadowed(opened: Installation, challenger: pl.DataFrame) -> None:
    """Write what a challenger says beside the run's own decisions, and name the batch."""
    with opened.store.read() as tx:
        drafts = tx.table_frame("drafts", columns=["draft_id", "version", "customer_id"])
    judges = opened.load_judges()
    assert judges.challenger is not None
    versions = (judges.models.versions, judges.challenger.versions)
    answers = Answers(decided(opened), challenger, versions)
    batches = write_shadow(opened, "run-1", 0, drafts=drafts, shadow=answers)
    with opened.store.transaction() as tx:
        for batch in batches:
            record_batch(tx, batch)


def knowing(opened: Installation) -> pl.DataFrame:
    """Decisions of a challenger that knows who pays late."""
    customers = documents(opened).select("customer_id", invoice_id="draft_id")
    joined = decided(opened).join(customers, on="invoice_id", how="left", maintain_order="left")
    late = is_late("customer_id").fill_null(value=False)
    chance = pl.when(late).then(0.9).otherwise(0.1)
    days = pl.when(late).then(9.0).otherwise(0.0)
    return DECISIONS.conform(joined.with_columns(p_late=chance, days_late_p50=days))


def pay(opened: Installation) -> None:
    issued = documents(opened)
    delay = pl.when(is_late("customer_id")).then(10).otherwise(-2)
    payments = issued.select(
        payment_id=pl.format("p-{}", "document_id"),
        invoice_id="document_id",
        paid_on=pl.col("due_on") + pl.duration(days=delay),
        amount_minor="total_minor",
    )
    world.add_batch(opened, "payments", PAYMENTS.conform(payments), "payments-later")


def test_rows_hold_both_answers_and_are_written_once(billed: Installation) -> None:
    shadowed(billed, knowing(billed))
    shadowed(billed, knowing(billed))
    rows = shadow_scores(billed)
    champion = load_models(billed.settings).versions["payment_risk"]
    assert rows.height == decided(billed).height
    assert SHADOW_SCORES.conform(rows).equals(rows.select(SHADOW_SCORES.names))
    assert set(rows["model"]) == {"payment_risk"}
    assert set(rows["champion_digest"]) == {champion}
    assert set(rows["digest"]) == {billed.load_judges().challenger.versions["payment_risk"]}
    assert set(rows["p_late"]) == {0.1, 0.9}
    assert rows["champion_p_late"].to_list() != rows["p_late"].to_list()


def test_without_a_challenger_nothing_is_written(billed: Installation) -> None:
    assert shadow_scores(billed).is_empty()


# ── In a run ─────────────────────────────────────────────────────────────────────────────────


def forest_bundle() -> Bundle:
    """A forest that knows noise alone: it finds other drafts unusual than the stated rule does."""
    rng = np.random.default_rng(5)
    columns = tuple(variance.FEATURES)
    rows = pl.DataFrame({name: rng.normal(0.0, 0.01, 400) for name in columns})
    forest = fit_forest(rows, columns, seed=1)
    assert forest is not None
    return Bundle("forest", {"forest.npz": forest.to_npz()}, {"seed": 1})


@pytest.fixture
def challenged(database_url: str, home: Path) -> Installation:
    """The same company in two shards, while a forest challenges the rule that judges the level."""
    opened = world.install(database_url, home, accounts=160, events=1600)
    # Low: the company is quiet, and some drafts must fall on either side.
    limit = {"kind": "score_at_least", "score": "anomaly_score", "at_least": 0.4}
    world.sample_everything(opened, {"id": "level", "action": "review", **limit})
    put_in_use(opened.settings, bundle(0.0), Role.CHAMPION, 1)
    put_in_use(opened.settings, forest_bundle(), Role.CHALLENGER, 1)
    world.run(opened, shard_customers=100)
    return opened


def test_run_scores_every_draft_in_shadow_and_changes_no_action(challenged: Installation) -> None:
    rows = shadow_scores(challenged).sort("draft_id")
    champion = decided(challenged).sort("invoice_id")
    assert champion["invoice_id"].to_list() == rows["draft_id"].to_list()
    assert champion["action"].to_list() == rows["champion_action"].to_list()
    assert champion["anomaly_score"].to_list() == rows["champion_anomaly_score"].to_list()
    assert {("forest", "")} == set(rows.select("model", "champion_digest").rows())
    assert (rows["anomaly_score"] != rows["champion_anomaly_score"]).any()
    assert (rows["action"] != rows["champion_action"]).any()
    released = rows.filter(champion_action="release")["draft_id"].to_list()
    assert released == documents(challenged)["draft_id"].sort().to_list()
    versions = world.rows(challenged, "SELECT draft_id, version FROM drafts ORDER BY draft_id")
    assert versions == rows.select("draft_id", version="draft_version").to_dicts()
    counts = world.rows(challenged, "SELECT counts FROM run_shards")
    told = [json.loads(str(one["counts"]))["shadow_scores"] for one in counts]
    assert [2, rows.height] == [len(told), sum(told)]


def test_what_a_run_wrote_is_compared_on_the_answered_sample(challenged: Installation) -> None:
    released = documents(challenged).height
    with pytest.raises(InputError, match="160 shadow scores, but only 0 of the 100"):
        compare_shadow(challenged, "forest", date(2999, 1, 1))
    for case in world.rows(challenged, "SELECT * FROM cases WHERE kind = 'sample'"):
        resolve.release(challenged, str(case["case_id"]), "ann", 1, "looked_right")
    report = compare_shadow(challenged, "forest", date(2999, 1, 1))
    assert (released, 0) == (report.compared.gain.rows, report.compared.positives)
    assert f"at most {3 / released:.2%} are wrong" in "\n".join(report.lines())


def test_challenger_that_can_not_judge_stops_nothing(
    sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = world.install(sqlite_url, home, accounts=6, events=60)
    put_in_use(opened.settings, forest_bundle(), Role.CHALLENGER, 1)

    def broken(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(Forest, "score", broken)
    world.run(opened)
    assert [("release", "review")] * 6 == (
        shadow_scores(opened).select("champion_action", "action").rows()
    )
    assert 6 == documents(opened).height


def test_payments_tell_which_of_the_two_foresaw_lateness(billed: Installation) -> None:
    shadowed(billed, knowing(billed))
    with pytest.raises(InputError, match="Payments are known until"):
        compare_shadow(billed, "payment_risk", LATER)
    pay(billed)
    report = compare_shadow(billed, "payment_risk", LATER)
    issued = documents(billed)
    assert report.compared.gain.rows == issued.height
    assert report.compared.positives == issued.filter(is_late("customer_id")).height
    assert report.compared.gain.after == pytest.approx(0.01)
    assert report.compared.gain.low > 0
    assert report.compared.figures["mean error in days"][1] == pytest.approx(
        (1 * report.compared.positives + 2 * (issued.height - report.compared.positives))
        / issued.height
    )
    assert any("had to look at are left out" in line for line in report.lines())


def test_payments_before_they_are_due_are_no_outcome(billed: Installation) -> None:
    shadowed(billed, knowing(billed))
    pay(billed)
    first_due = documents(billed)["due_on"].min()
    with pytest.raises(InputError, match="only 0 of the 100"):
        compare_shadow(billed, "payment_risk", first_due + timedelta(days=1))


def test_drafts_that_somebody_looked_at_are_left_out(billed: Installation) -> None:
    shadowed(billed, knowing(billed))
    pay(billed)
    whole = compare_shadow(billed, "payment_risk", LATER).compared.gain.rows
    draft = documents(billed).row(0, named=True)
    with billed.store.transaction() as tx:
        case = {"case_id": "c", "kind": "draft", "draft_id": draft["draft_id"]}
        case |= {"draft_version": draft["draft_version"], "action": "review", "status": "released"}
        case |= {"queue": "q", "priority": 1.0, "expected_loss_minor": 0, "currency": "EUR"}
        case |= {"lock_version": 2, "opened_at": world.FINAL_AT, "due_at": world.FINAL_AT}
        tx.insert("cases", case)
    assert compare_shadow(billed, "payment_risk", LATER).compared.gain.rows == whole - 1


# ── Errors, on the random sample ─────────────────────────────────────────────────────────────


def sample(opened: Installation, *, wrong: int) -> None:
    """Somebody looked at every issued draft: the first few were wrong."""
    rows = documents(opened).with_row_index("place")
    labels = rows.select(
        "draft_id",
        "draft_version",
        label_id=pl.format("sample:{}", "draft_id"),
        is_error=pl.col("place") < wrong,
        source=pl.lit("sample"),
        reason_code=pl.lit("looked_at"),
        entered_by=pl.lit("ada"),
        entered_at=pl.lit(world.FINAL_AT),
        matures_on=pl.lit(date(2026, 12, 1)),
        was_shown=pl.lit(value=False),
        propensity=pl.lit(0.05),
    )
    with opened.store.transaction() as tx:
        tx.insert_frame("labels", labels)


def forest_challenged(opened: Installation, wrong: int) -> None:
    """As if the payment model's challenger also judged errors: rows are about any model."""
    names = documents(opened)["draft_id"].head(wrong)
    found = pl.col("invoice_id").is_in(names.implode())
    challenger = decided(opened).with_columns(
        p_error=pl.when(found).then(0.8).otherwise(0.01),
        action=pl.when(found).then(pl.lit("review")).otherwise("action"),
    )
    shadowed(opened, challenger)


def test_sample_tells_which_of_the_two_foresaw_errors(
    billed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prebill.workflows import shadow

    forest_challenged(billed, wrong=5)
    scores = shadow._scores(billed, "payment_risk", _digest(billed))
    rows, notes = shadow._error_rows(billed, scores, LATER)
    assert rows.is_empty()
    assert any("No label of source 'sample'" in note for note in notes)
    sample(billed, wrong=5)
    rows, notes = shadow._error_rows(billed, scores, LATER)
    assert rows.height == documents(billed).height
    assert not any("No label" in note for note in notes)
    compared = shadow.compare_errors(rows, seed=1)
    assert compared.positives == 5
    assert compared.gain.low > 0
    assert compared.figures["stopped of what was wrong"] == (0.0, 1.0)
    assert compared.figures["stopped of what was right"] == (0.0, 0.0)
    assert compared.disagreements == 5
    early, _ = shadow._error_rows(billed, scores, date(2026, 11, 30))
    assert early.is_empty()


def _digest(opened: Installation) -> str:
    return opened.load_judges().challenger.versions["payment_risk"]


def test_model_without_a_challenger_says_so(billed: Installation) -> None:
    with pytest.raises(NotFoundError, match="forest has no challenger"):
        compare_shadow(billed, "forest", LATER)
