"""What is served answers as what was fitted: on 100,000 rows, to the action of the policy.

Served models come from their safe files (arrays, LightGBM's text); fitted ones are scikit-learn's
and LightGBM's own objects in memory.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from sklearn.ensemble import IsolationForest

from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import CREDIT_NOTES, PAYMENTS
from prebill.core.scoring.detectors import Scene
from prebill.core.scoring.detectors.level import LEVEL
from prebill.core.scoring.features.payment import features, profile, receivables
from prebill.core.scoring.frames import Books
from prebill.core.scoring.models import FOREST_COLUMNS, Models, level_rows
from prebill.core.scoring.models.error_risk import ErrorRisk, ErrorSpec, fit_error_risk
from prebill.core.scoring.models.forest import SAMPLE, TREES, Forest, forest_of, matrix_of
from prebill.core.scoring.models.payment_risk import (
    PaymentRisk,
    PaymentSpec,
    fit_payment_risk,
    training_rows,
)
from prebill.core.scoring.models.payment_steps import STEP_COLUMNS, StepInputs
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import learn, score_scene
from tests.core.scoring.company import company
from tests.core.scoring.payers import TODAY, payers
from tests.training.labels import labelled

ROWS = 100_000
FOREST_EXACT, BOOSTER_EXACT = 1e-12, 1e-9


@dataclass(frozen=True)
class FittedForest:
    """scikit-learn's own object, asked like a :class:`Forest`."""

    model: IsolationForest

    def score(self, rows: pl.DataFrame) -> pl.Series:
        return pl.Series("score", -self.model.score_samples(matrix_of(rows, FOREST_COLUMNS)))


@pytest.fixture(scope="module")
def scene(served: Forest) -> Scene:
    """Drafts of a small company drawn again until there are enough, each a little different."""
    inputs = replace(company(customers=60, months=14), payments=PAYMENTS.empty())
    made = scene_of(inputs)
    norms = learn(inputs, served)
    rng = np.random.default_rng(4)
    known = made.rows.filter(pl.col("known") > 0)
    drawn = known[rng.integers(0, known.height, ROWS)]
    noise = rng.standard_t(2, ROWS) * rng.choice([0.01, 1.0], ROWS, p=[0.9, 0.1])
    varied = [(pl.col(name) + pl.Series(noise) * (n % 5)) for n, name in enumerate(FOREST_COLUMNS)]
    rows = drawn.with_columns(
        *varied,
        invoice_id=pl.format("D{}", pl.int_range(ROWS)),
        is_draft=pl.lit(value=True),
    )
    drafts = Books(rows.select(made.inputs.drafts.invoices.columns))
    inputs = replace(made.inputs, drafts=drafts, history=Books(), credit_notes=CREDIT_NOTES.empty())
    return replace(made, inputs=inputs, rows=rows, norms=norms, tails=norms.tails)


@pytest.fixture(scope="module")
def fitted() -> FittedForest:
    known = level_rows(scene_of(company(customers=60, months=14)).rows)
    model = IsolationForest(n_estimators=TREES, max_samples=SAMPLE, random_state=3, n_jobs=1)
    return FittedForest(model.fit(matrix_of(known, FOREST_COLUMNS)))


@pytest.fixture(scope="module")
def served(fitted: FittedForest) -> Forest:
    content = forest_of(fitted.model, FOREST_COLUMNS).to_npz()
    return Forest.from_npz(content, sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture(scope="module")
def learnt() -> ErrorRisk:
    rows = labelled(4_000, error_share=0.2).with_columns(calibrates=pl.lit(value=True))
    model = fit_error_risk(rows, ("anomaly_score", "tail_level", "total_ratio"), 1, ErrorSpec())
    assert model is not None
    return model


def apart(expected: pl.Series, actual: pl.Series) -> float:
    """The largest difference of scores that are of different rows, and not of one value."""
    assert ROWS == len(expected) == len(actual)
    assert expected.n_unique() > 100
    assert (expected.is_null() == actual.is_null()).all()
    return float((expected - actual).abs().max())


def test_forest_is_scikit_learns(scene: Scene, fitted: FittedForest, served: Forest) -> None:
    assert apart(fitted.score(scene.rows), served.score(scene.rows)) < FOREST_EXACT


def test_error_risk_from_its_files_is_the_fitted_one(scene: Scene, learnt: ErrorRisk) -> None:
    rng = np.random.default_rng(5)
    tails = pl.Series(1.0 - rng.random(ROWS) ** 3)
    rows = scene.rows.with_columns(tail_level=tails, anomaly_score=tails)
    again = ErrorRisk.from_bytes(learnt.to_bytes())
    assert apart(learnt.predict(rows), again.predict(rows)) < BOOSTER_EXACT


def test_payment_risk_from_its_files_is_the_fitted_one() -> None:
    given = payers(customers=70)
    known = receivables(given.invoices, given.payments, given.credit_notes)
    spec = PaymentSpec(hazard_rounds=60, binary_rounds=60)
    risk = fit_payment_risk(training_rows(known, TODAY), 1, spec)
    again = PaymentRisk.from_bytes(risk.to_bytes())
    inputs = StepInputs(features(given.invoices, profile(known, given.invoices)))
    rng = np.random.default_rng(6)
    row = rng.integers(0, given.invoices.height, ROWS)
    step = rng.integers(0, len(inputs.own[0]), ROWS)
    steps, invoices = inputs.matrix(row, step), inputs.figures[row]
    assert len(STEP_COLUMNS) == steps.shape[1]
    for mine, loaded, matrix in (
        (risk.hazard, again.hazard, steps),
        (risk.binary, again.binary, invoices + rng.normal(0, 0.1, invoices.shape)),
    ):
        assert apart(asked(mine, matrix), asked(loaded, matrix)) < BOOSTER_EXACT
    few = features(given.invoices, profile(known, given.invoices)).head(2_000)
    told = risk.predict(few).drop("invoice_id"), again.predict(few).drop("invoice_id")
    assert (told[0] - told[1]).max().max_horizontal().item() < BOOSTER_EXACT


def asked(booster: object, matrix: npt.NDArray[np.float32]) -> pl.Series:
    return pl.Series(booster.predict(matrix))  # type: ignore[attr-defined]


def test_policy_takes_the_same_action_on_every_row(
    scene: Scene, fitted: FittedForest, served: Forest, learnt: ErrorRisk
) -> None:
    in_memory = Models(forest=fitted, error_risk=learnt)  # type: ignore[arg-type]
    from_files = Models(forest=served, error_risk=ErrorRisk.from_bytes(learnt.to_bytes()))
    expected, actual = (
        score_scene(scene, models, Policy.default(), (LEVEL,)).decisions
        for models in (in_memory, from_files)
    )
    counts = expected["action"].value_counts()
    assert {"release", "review", "hold"} == {*counts["action"]}
    assert counts["count"].min() > 100
    assert expected["action"].equals(actual["action"])
    assert apart(expected["anomaly_score"], actual["anomaly_score"]) < BOOSTER_EXACT
    assert apart(expected["p_error"], actual["p_error"]) < BOOSTER_EXACT
