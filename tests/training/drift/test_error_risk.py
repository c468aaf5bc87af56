"""The re-ranker is watched: what it reads, what it says, and what labels made of it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from prebill.bootstrap import Installation
from prebill.bundles import Bundle, Role, put_in_use
from prebill.core.scoring.models.error_risk import ErrorRisk, ErrorSpec, fit_error_risk
from prebill.store.cases import save_label
from tests.training.drift.builders import limits
from tests.training.labels import labelled
from tests.workflows import world
from training.drift.evidence import stability
from training.drift.gather import Seen, gather
from training.drift.judge import judge
from training.drift.watched import LABELS_SEEN_DAYS, error_risk
from training.error_risk import weighted
from training.labelled import COLUMNS

FIRST = date(2026, 1, 1)
DAY = timedelta(days=1)
#: The champion learns until then, is tested for a month, and five months follow.
REFERENCE = (FIRST + 60 * DAY, FIRST + 90 * DAY)
PLANTED = FIRST + 130 * DAY
SEEN = LABELS_SEEN_DAYS * DAY
#: These made-up drafts have three features.
LIMITS = replace(limits(), top={"error_risk": ("total_ratio", "total_z")})
AFTER = FIRST + 181 * DAY + SEEN


@cache
def rows() -> pl.DataFrame:
    """Six hundred labelled drafts a week."""
    return labelled(15_600)


@cache
def model() -> ErrorRisk:
    taught = weighted(rows().filter(pl.col("day_on") < REFERENCE[0]))
    fitted = fit_error_risk(taught, tuple(COLUMNS), 1, ErrorSpec(rounds=40))
    assert fitted is not None
    return fitted


def alarms(judged: pl.DataFrame, labels: pl.DataFrame) -> set[tuple[str, str, str]]:
    """Watched, check and column of every alarm in any window."""
    found = set()
    for watch in error_risk(judged, labels, model(), LIMITS, reference=REFERENCE):
        measures = judge(watch, LIMITS, stability, as_of_on=AFTER).measures
        assert measures["window"].n_unique() > 8
        raised = measures.filter("is_alarm").select("watched", "check", "name")
        found |= set(raised.iter_rows())
    return found


def after(name: str, change: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    value = pl.col(name)
    return pl.when(pl.col("day_on") >= PLANTED).then(change(value)).otherwise(value).alias(name)


def test_nothing_alarms_where_nothing_changed() -> None:
    assert set() == alarms(rows(), rows())


def test_an_input_that_moved_is_found_with_what_the_model_makes_of_it() -> None:
    moved = rows().with_columns(after("total_ratio", lambda ratio: ratio + 1.0))
    found = alarms(moved, rows())
    assert ("error_risk", "feature", "total_ratio") in found
    assert ("error_risk", "score", "p_error") in found
    assert "errors" not in {watched for watched, _, _ in found}


def test_a_judge_that_fell_silent_is_found() -> None:
    is_quiet = pl.col("invoice_id").hash(1) % 10 == 0
    quiet = rows().with_columns(after("tail_level", lambda tail: pl.when(~is_quiet).then(tail)))
    assert ("error_risk", "missing", "tail_level") in alarms(quiet, rows())


def test_errors_that_the_model_does_not_expect_are_found_by_their_labels() -> None:
    is_new = pl.col("invoice_id").hash(2) % 20 == 0
    worse = rows().with_columns(after("is_error", lambda wrong: wrong | is_new))
    expected = {("errors", "calibration", "p_error"), ("errors", "share", "is_error")}
    assert expected == alarms(rows(), worse)


def test_labels_are_dated_by_the_day_on_which_all_had_matured() -> None:
    seen, errors = error_risk(rows(), rows(), model(), LIMITS, reference=REFERENCE)
    assert model().columns == seen.features
    assert seen.top == ["total_ratio"]
    assert REFERENCE[0] == seen.rows["at_on"].min()
    days = rows().select("day_on", row_id="invoice_id")
    dated = errors.rows.join(days, on="row_id")
    assert {SEEN} == {*dated["at_on"] - dated["day_on"]}
    assert errors.rows["p_error"].null_count() == 0


def test_where_there_is_a_sample_what_nobody_looked_at_is_no_witness() -> None:
    number = pl.int_range(pl.len())
    labels = rows().with_columns(
        source=pl.when(number % 2 == 0).then(pl.lit("payment")).otherwise("source"),
        propensity=pl.when(number % 4 == 1).then(pl.lit(0.1)).otherwise("propensity"),
    )
    _, errors = error_risk(rows(), labels, model(), limits(), reference=REFERENCE)
    sources = errors.rows.join(labels.select("source", row_id="invoice_id"), on="row_id")
    assert {"verdict"} == {*sources["source"]}


# ── Of an installation ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def opened(database_url: str, home: Path) -> Iterator[Installation]:
    installed = world.install(database_url, home)
    yield installed
    while world.OPENED:
        world.OPENED.pop().close()


def gathered(opened: Installation, monkeypatch: pytest.MonkeyPatch, as_of_on: date) -> Seen:
    monkeypatch.setenv("PREBILL_DATABASE_URL", opened.settings.database_url)
    return gather(opened.settings.home, limits(), as_of_on=as_of_on)


def test_an_installation_has_stored_what_the_champion_reads(
    opened: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run(opened)
    decided = world.rows(
        opened, "SELECT 'draft' AS kind, draft_id, draft_version FROM decisions ORDER BY draft_id"
    )
    matured = date(2026, 11, 1) + SEEN
    with opened.store.transaction() as tx:
        for row, day in zip(decided[:3], (matured - SEEN, matured, matured + DAY), strict=True):
            save_label(tx, row, is_error=row is decided[1], reason_code="amount", actor="tester")
            tx.execute(
                "UPDATE labels SET matures_on = :day WHERE draft_id = :draft",
                {"day": day, "draft": row["draft_id"]},
            )
    as_of_on = date(2999, 1, 1)
    none = gathered(opened, monkeypatch, as_of_on)
    assert "error_risk: no champion yet: P(error) is the stated prior" in none.notes

    facts = {"train_before": "2026-10-01", "test_end_on": "2026-11-02"}
    put_in_use(opened.settings, Bundle("error_risk", model().to_bytes(), facts), Role.CHAMPION, 1)
    watches = {one.name: one for one in gathered(opened, monkeypatch, as_of_on).watches}
    seen, errors = watches["error_risk"], watches["errors"]
    assert {row["draft_id"] for row in decided} == {*seen.rows["row_id"]}
    assert {date(2026, 11, 1)} == {*seen.rows["at_on"]}
    assert seen.rows["p_error"].null_count() == seen.rows["anomaly_score"].null_count()
    assert seen.rows["cluster"].null_count() == 0
    known = dict(errors.rows.select("row_id", "is_error").iter_rows())
    # The third was told later than the others could be: it is not seen equally long.
    assert {decided[0]["draft_id"]: False, decided[1]["draft_id"]: True} == known
