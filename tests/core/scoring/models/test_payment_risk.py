"""Payment risk: coherent, calibrated, deterministic, refused when altered."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.errors import ModelError
from prebill.core.scoring.features.payment import features, profile, receivables
from prebill.core.scoring.models.payment_risk import (
    PaymentRisk,
    PaymentSpec,
    Rung,
    fit_payment_risk,
    training_rows,
)
from tests.core.scoring.payers import DAYS, FIRST, TODAY, books, invoice, payers

CUT = FIRST + timedelta(days=DAYS - 70)


@pytest.fixture(scope="module")
def known() -> pl.DataFrame:
    given = payers(customers=70)
    return receivables(given.invoices, given.payments, given.credit_notes)


@pytest.fixture(scope="module")
def model(known: pl.DataFrame) -> PaymentRisk:
    return fit_payment_risk(training_rows(known, CUT), seed=1)


@pytest.fixture(scope="module")
def later(known: pl.DataFrame) -> pl.DataFrame:
    rows = known.filter(pl.col("issued_on") >= CUT, pl.col("due_on") < TODAY - timedelta(days=1))
    return rows.join(features(rows, profile(known, rows)), on="invoice_id", maintain_order="left")


def test_figures_cannot_contradict_each_other(model: PaymentRisk, later: pl.DataFrame) -> None:
    found = model.predict(later)
    assert found.null_count().sum_horizontal().item() == 0
    assert found["p_late"].is_between(0, 1).all()
    assert (found["days_late_p10"] <= found["days_late_p50"]).all()
    assert (found["days_late_p50"] <= found["days_late_p90"]).all()
    assert ((found["days_late_p50"] > 0) == (found["p_late"] > 0.5)).all()
    assert ((found["days_late_p90"] > 0) == (found["p_late"] > 0.1)).all()


def test_probabilities_mean_what_they_say(model: PaymentRisk, later: pl.DataFrame) -> None:
    found = model.predict(later)["p_late"].to_numpy()
    late = (later["settled_on"] > later["due_on"]).fill_null(value=True).to_numpy()
    assert abs(found.mean() - late.mean()) < 0.04
    base = late.mean() * (1 - late.mean())
    assert np.mean((found - late) ** 2) < 0.75 * base


def test_equal_rows_and_seed_give_equal_bytes(known: pl.DataFrame, model: PaymentRisk) -> None:
    again = fit_payment_risk(
        training_rows(known.sample(fraction=1.0, seed=5, shuffle=True), CUT), 1
    )
    assert again.to_bytes() == model.to_bytes()
    other = fit_payment_risk(training_rows(known, CUT), seed=2)
    assert other.digest != model.digest


def test_nothing_after_the_cut_off_is_learnt(known: pl.DataFrame, model: PaymentRisk) -> None:
    seen = pl.when(pl.col("settled_on") < CUT).then("settled_on")
    cut = known.filter(pl.col("issued_on") < CUT).with_columns(settled_on=seen)
    assert fit_payment_risk(training_rows(cut, CUT), seed=1).digest == model.digest


def test_one_row_is_predicted_like_the_same_row_among_many(
    model: PaymentRisk, later: pl.DataFrame
) -> None:
    many = model.predict(later)
    for index in (0, later.height // 2, later.height - 1):
        assert_frame_equal(model.predict(later.slice(index, 1)), many.slice(index, 1), abs_tol=1e-9)


def test_files_give_the_same_model_back(
    model: PaymentRisk, later: pl.DataFrame, tmp_path: Path
) -> None:
    model.to_files(tmp_path)
    read = PaymentRisk.from_files(tmp_path)
    assert read.digest == model.digest
    assert_frame_equal(read.predict(later), model.predict(later))


@pytest.mark.parametrize("name", ["hazard.txt", "binary.txt"])
def test_altered_or_missing_file_is_refused(model: PaymentRisk, tmp_path: Path, name: str) -> None:
    model.to_files(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="does not match"):
        PaymentRisk.from_files(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match="is missing"):
        PaymentRisk.from_files(tmp_path)


def test_empty_folder_and_other_features_are_refused(model: PaymentRisk, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no readable"):
        PaymentRisk.from_files(tmp_path)
    files = model.to_bytes()
    head = files["payment_risk.json"].replace(b'"terms_days"', b'"other_days"')
    with pytest.raises(ModelError, match="other features"):
        PaymentRisk.from_bytes({**files, "payment_risk.json": head})


def test_absent_feature_is_named(model: PaymentRisk, later: pl.DataFrame) -> None:
    with pytest.raises(ModelError, match="late_rate_fast"):
        model.predict(later.drop("late_rate_fast"))


def test_ladder_by_what_the_company_has(known: pl.DataFrame, model: PaymentRisk) -> None:
    assert model.rung is Rung.SMALL
    few = known.filter(pl.col("customer_id") < "C020")
    assert fit_payment_risk(training_rows(few, CUT), seed=1).rung is Rung.PRIOR
    assert PaymentSpec().rung(8_000, 50) is Rung.FULL
    assert PaymentSpec().rung(7_999, 50) is Rung.SMALL
    assert PaymentSpec().rung(299, 500) is Rung.PRIOR
    assert PaymentSpec().rung(20_000, 49) is Rung.PRIOR


def test_cold_customer_of_a_new_company_is_never_null() -> None:
    draft = books([invoice("NEW", "NOBODY", FIRST, due_on=FIRST + timedelta(days=60))])
    rows = receivables(draft.invoices, draft.payments, draft.credit_notes)
    found = PaymentRisk(Rung.PRIOR, 0.0).predict(
        features(draft.invoices, profile(rows, draft.invoices))
    )
    assert found["p_late"].item() == pytest.approx(0.3, abs=0.02)
    assert found["days_late_p10"].item() < 0 < found["days_late_p90"].item()


def test_slow_payer_is_told_from_a_prompt_one(model: PaymentRisk, later: pl.DataFrame) -> None:
    found = model.predict(later).with_columns(later["customer_id"], later["delay_mean"])
    slow = found.filter(pl.col("customer_id") == "C000")
    assert slow["days_late_p50"].min() > 5
    prompt = found.filter(pl.col("delay_mean") < -5)
    assert prompt["p_late"].mean() < 0.2


def test_no_rows_give_no_rows(model: PaymentRisk, later: pl.DataFrame) -> None:
    assert model.predict(later.head(0)).height == 0
