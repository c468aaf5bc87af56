"""P(error) from labels: monotone, calibrated, unseen faults keep their place, safe files."""

from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from prebill.core.errors import ModelError
from prebill.core.scoring.models.error_risk import (
    HEAD,
    TREES,
    ErrorRisk,
    ErrorSpec,
    fit_error_risk,
)
from prebill.core.scoring.models.ladder import Rung

COLUMNS = ("total_ratio", "tail_level", "tail_tax", "tail_never_asked", "anomaly_score")
QUICK = ErrorSpec(rounds=60)


def labelled(count: int = 4_000, seed: int = 1) -> pl.DataFrame:
    """Drafts of which one in ten is wrong: large tails of the level, never of the tax judge."""
    rng = np.random.default_rng(seed)
    is_error = rng.random(count) < 0.1
    level = np.where(is_error, 1 - rng.random(count) ** 3 * 0.2, rng.random(count))
    tax = np.where(rng.random(count) < 0.01, 0.9999, 0.0)
    ratio = np.where(is_error, rng.normal(1.0, 0.5, count), rng.normal(0.0, 0.5, count))
    return pl.DataFrame(
        {
            "invoice_id": [f"I{number:05}" for number in range(count)],
            "customer_id": [f"C{number % 90}" for number in range(count)],
            "day_on": [date(2026, 1, 1) + timedelta(days=number // 40) for number in range(count)],
            "total_ratio": ratio,
            "tail_level": level,
            "tail_tax": tax,
            "tail_never_asked": pl.Series([None] * count, dtype=pl.Float64),
            "anomaly_score": np.maximum(level, tax),
            "is_error": is_error,
            "weight": 1.0,
            "calibrates": True,
        }
    )


@cache
def model() -> ErrorRisk:
    found = fit_error_risk(labelled(), COLUMNS, 7, QUICK)
    assert found is not None
    return found


def test_p_error_rises_with_every_tail_and_with_the_score() -> None:
    rows = labelled(400, seed=2)
    for name in ("tail_level", "tail_tax", "anomaly_score"):
        before = None
        for value in (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999):
            now = model().predict(rows.with_columns(pl.lit(value).alias(name))).to_numpy()
            assert before is None or bool((now >= before - 1e-12).all()), name
            before = now


def test_p_error_is_calibrated_on_other_drafts() -> None:
    rows = labelled(20_000, seed=3)
    bins = rows.select("is_error", said=model().predict(rows)).with_columns(
        bin=(pl.col("said") * 10).cast(pl.Int64)
    )
    gaps = bins.group_by("bin").agg(
        gap=(pl.col("said").mean() - pl.col("is_error").mean()).abs() * pl.len()
    )
    assert gaps["gap"].sum() / rows.height < 0.02


def test_rows_stand_for_as_many_as_they_weigh() -> None:
    heavy = pl.when("is_error").then(1.0).otherwise(10.0)
    weighted = fit_error_risk(labelled().with_columns(weight=heavy), COLUMNS, 7, QUICK)
    assert weighted is not None
    rows = labelled(20_000, seed=3)
    population = rows.select(heavy.alias("weight"))["weight"]
    share = rows["is_error"].sum() / population.sum()
    said = (weighted.predict(rows) * population).sum() / population.sum()
    assert 0.8 * share < said < 1.25 * share < 0.02


def test_a_kind_of_fault_that_no_label_has_shown_keeps_its_place() -> None:
    """No confirmed error has a tax tail; without prior errors the model unlearns that judge."""
    rows = pl.DataFrame(
        {
            "total_ratio": [0.0, 0.0],
            "tail_level": [0.5, 0.5],
            "tail_tax": [0.0, 0.9999],
            "tail_never_asked": pl.Series([None, None], dtype=pl.Float64),
            "anomaly_score": [0.5, 0.9999],
        }
    )
    plain, odd = model().predict(rows)
    deaf = fit_error_risk(labelled(), COLUMNS, 7, ErrorSpec(rounds=60, prior_share=1e-9))
    assert deaf is not None
    assert odd > 20 * plain
    assert odd > deaf.predict(rows)[1]


@pytest.mark.parametrize(
    ("rows", "spec"),
    [
        (labelled().filter(pl.col("is_error").cum_sum() < 200), QUICK),
        (labelled().with_columns(customer_id=pl.lit("one")), QUICK),
        (labelled().with_columns(is_error=pl.lit(value=True)), QUICK),
        (labelled().with_columns(anomaly_score=pl.lit(None, dtype=pl.Float64)), QUICK),
    ],
    ids=["few errors", "one customer", "nothing right", "no scores"],
)
def test_too_few_labels_make_no_model(rows: pl.DataFrame, spec: ErrorSpec) -> None:
    assert fit_error_risk(rows, COLUMNS, 7, spec) is None


def test_the_rung_follows_the_rows() -> None:
    assert model().rung is Rung.SMALL
    full = fit_error_risk(labelled(9_000), COLUMNS, 7, ErrorSpec(rounds=5))
    assert full is not None
    assert full.rung is Rung.FULL


def test_what_has_no_score_has_no_probability() -> None:
    rows = labelled(10).with_columns(
        anomaly_score=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("anomaly_score")
    )
    assert model().predict(rows).is_null().to_list() == [number == 3 for number in range(10)]


def test_rows_alone_and_together_are_told_the_same() -> None:
    rows = labelled(50, seed=5)
    alone = pl.concat([model().predict(rows[number]) for number in range(50)])
    assert alone.to_list() == model().predict(rows).to_list()


def test_equal_rows_give_equal_bytes_in_any_order() -> None:
    again = fit_error_risk(labelled().sample(fraction=1.0, shuffle=True, seed=1), COLUMNS, 7, QUICK)
    assert again is not None
    assert again.to_bytes() == model().to_bytes()


def test_files_are_read_back_and_altered_ones_refused() -> None:
    files = model().to_bytes()
    rows = labelled(50, seed=5)
    read = ErrorRisk.from_bytes(files)
    assert read.predict(rows).to_list() == model().predict(rows).to_list()
    assert read.digest == model().digest
    for broken in (
        {**files, TREES: files[TREES].replace(b"leaf_value=", b"leaf_value= ", 1)},
        {**files, HEAD: b"{}"},
        {HEAD: files[HEAD]},
    ):
        with pytest.raises(ModelError):
            ErrorRisk.from_bytes(broken)


def test_an_absent_column_is_named() -> None:
    with pytest.raises(ModelError, match="tail_tax"):
        model().predict(labelled(3).drop("tail_tax"))
