"""Fit one model on what was known at the split, and measure it on what came after.

What is registered is what was measured: there is no second fit on the tested rows, so that the
figures of a champion are its own and two models can be compared on rows that neither has seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl

from prebill.core.errors import InputError
from prebill.core.money import DECIMAL, round_minor
from prebill.core.scoring.detectors.base import Scene
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import FOREST_COLUMNS, fit_level
from prebill.core.scoring.models.forest import LEAST_ROWS, Forest
from prebill.core.scoring.models.payment_risk import (
    PaymentRisk,
    PaymentSpec,
    fit_payment_risk,
    training_rows,
)
from prebill.core.scoring.scene import scene_of
from prebill.registry import Bundle
from training import split as splits
from training.calibrate import error_if_perfect, reliability
from training.dataset import Dataset
from training.evaluate import LaterRows, figures, later_rows, predicted
from training.specification import Specification
from training.split import TimeSplit


@dataclass(frozen=True, slots=True)
class Tested:
    """A model's figures and its loss on each tested row: ``invoice_id, customer_id, loss``."""

    figures: Mapping[str, float]
    losses: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted model as a bundle, its measurement, and how to measure another on the same rows."""

    bundle: Bundle
    split: TimeSplit
    tested: Tested
    #: What a model must beat where there is no champion yet.
    simple: Tested
    rows: "PaymentLater | PlantedLater"
    documents: Mapping[str, str]


# ── Payment risk ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PaymentLater:
    """Later invoices for payment risk."""

    later: LaterRows
    seed: int

    def measure(self, bundle: Bundle) -> Tested:
        """Measure a registered model."""
        return self.measure_model(PaymentRisk.from_bytes(dict(bundle.files)))

    def measure_model(self, model: PaymentRisk) -> Tested:
        """Figures, calibration beside what chance explains, and the Brier loss of each row."""
        said = predicted(model, self.later.features)
        found = figures(said, self.later)
        cluster = pl.concat_str("customer_id", pl.col("due_on").cast(pl.String))
        found["ece_if_perfect"] = error_if_perfect(
            said["p_late"].to_numpy(),
            self.later.rows.select(cluster.alias("cluster"))["cluster"],
            seed=self.seed,
        )
        loss = (said["p_late"].to_numpy() - self.later.is_late) ** 2
        rows = self.later.rows.select("invoice_id", "customer_id")
        return Tested(found, rows.with_columns(loss=pl.Series(loss)))

    def after(self, day: date) -> "PaymentLater":
        """Only rows issued on that day or later."""
        keep = self.later.rows.select(pl.col("issued_on") >= day).to_series()
        return PaymentLater(self.later.take(keep), self.seed)

    @property
    def height(self) -> int:
        """Tested rows."""
        return self.later.rows.height


def train_payment_risk(dataset: Dataset, spec: Specification) -> Trained:
    """Fit and measure payment risk.

    Raises
    ------
    InputError
        Nothing was ever paid, or the history is too short to leave a period to test on.
    """
    known = dataset.receivables()
    if known["settled_on"].null_count() == known.height:
        message = "no invoice was ever paid: import payments to learn payment risk from"
        raise InputError(message, source=dataset.source)
    split = splits.latest(known, dataset.as_of_on, spec.test_days)
    rows = training_rows(known, split.train_before)
    model = fit_payment_risk(rows, spec.seed, spec.payment())
    later = PaymentLater(later_rows(dataset, split), spec.seed)
    tested = later.measure_model(model)
    simple = fit_payment_risk(rows.head(0), spec.seed, PaymentSpec())
    bins = reliability(
        model.predict(later.later.features)["p_late"].to_numpy(), later.later.is_late
    )
    facts = _facts(dataset, spec, split, tested) | {"rung": model.rung.value}
    return Trained(
        bundle=Bundle("payment_risk", model.to_bytes(), facts),
        split=split,
        tested=tested,
        simple=later.measure_model(simple),
        rows=later,
        documents={"calibration.csv": bins.write_csv()},
    )


# ── Forest ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PlantedLater:
    """Later invoices of which a known few were made wrong: features and ``is_planted``."""

    rows: pl.DataFrame

    def measure(self, bundle: Bundle) -> Tested:
        """Measure a registered forest."""
        import hashlib

        content = bundle.files["forest.npz"]
        forest = Forest.from_npz(content, sha256=hashlib.sha256(content).hexdigest())
        return self.measure_scores(forest.score(self.rows))

    def measure_scores(self, scores: pl.Series) -> Tested:
        """Average precision and AUROC of finding the planted ones."""
        from sklearn.metrics import average_precision_score, roc_auc_score

        planted = self.rows["is_planted"].cast(pl.Int8).to_numpy()
        found = {"rows": float(self.rows.height), "planted": float(planted.sum())}
        if 0 < planted.sum() < planted.size:
            found["average_precision"] = float(average_precision_score(planted, scores.to_numpy()))
            found["auroc"] = float(roc_auc_score(planted, scores.to_numpy()))
        # A row's loss is its rank, or for a planted one what its rank lacks to the top; both
        # kinds weigh the same in the mean, which is then about 1 - AUROC.
        rank = scores.rank().to_numpy() / max(self.rows.height, 1)
        share = max(planted.mean(), 1.0 / planted.size) if planted.size else 1.0
        loss = np.where(planted == 1, (1.0 - rank) / share, rank / (1.0 - share)) / 2.0
        own = self.rows.select("invoice_id", "customer_id")
        return Tested(found, own.with_columns(loss=pl.Series(loss)))

    def after(self, day: date) -> "PlantedLater":
        """Only rows issued on that day or later."""
        return PlantedLater(self.rows.filter(pl.col("issued_on") >= day))

    @property
    def height(self) -> int:
        """Tested rows."""
        return self.rows.height


def train_forest(dataset: Dataset, spec: Specification) -> Trained:
    """Fit the level forest on settled past invoices and measure it on planted faults.

    Planted faults are one kind only (everything times a factor): they show that a new forest is no
    worse than the old one, not how good detection is (docs/quality.md has that).

    Raises
    ------
    InputError
        Too few invoices have history of their own.
    """
    split = splits.latest(dataset.receivables(), dataset.as_of_on, spec.test_days)
    inputs = _planted(dataset.judged(split.train_before, split.test_end_on), spec)
    scene = scene_of(inputs)
    forest = fit_level(scene.rows.filter(pl.col("issued_on") < split.train_before), spec.seed)
    if forest is None:
        message = (
            f"fewer than {LEAST_ROWS} invoices have earlier ones to compare with: the forest "
            "needs more history; robust deviations judge meanwhile"
        )
        raise InputError(message, rows=scene.rows.height)
    later = PlantedLater(_later_rows(scene, spec))
    tested = later.measure_scores(forest.score(later.rows))
    # Without a forest the level is judged by the robust deviation alone.
    plain = later.rows.select(pl.max_horizontal(pl.col(FOREST_COLUMNS).abs()).fill_null(0.0))
    return Trained(
        bundle=Bundle(
            "forest", {"forest.npz": forest.to_npz()}, _facts(dataset, spec, split, tested)
        ),
        split=split,
        tested=tested,
        simple=later.measure_scores(plain.to_series()),
        rows=later,
        documents={},
    )


def _is_planted(spec: Specification) -> pl.Expr:
    share = int(spec.fit["planted_share"] * 10_000)
    return pl.col("invoice_id").hash(spec.seed) % 10_000 < share


def _planted(inputs: ScoringInputs, spec: Specification) -> ScoringInputs:
    """The same inputs with some drafts, header and lines, multiplied."""
    factor = pl.lit(Decimal(str(spec.fit["planted_factor"]))).cast(DECIMAL)

    def times(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
        return frame.with_columns(
            pl.when(_is_planted(spec))
            .then(round_minor(pl.col(name).cast(DECIMAL) * factor))
            .otherwise(pl.col(name))
            .alias(name)
            for name in names
        )

    drafts = Books(
        times(inputs.drafts.invoices, ["subtotal_minor", "tax_minor", "total_minor"]),
        times(inputs.drafts.lines, ["amount_minor", "tax_minor"]),
    )
    return ScoringInputs(
        history=inputs.history,
        drafts=drafts,
        payments=inputs.payments,
        credit_notes=inputs.credit_notes,
    )


def _later_rows(scene: Scene, spec: Specification) -> pl.DataFrame:
    return scene.rows.filter("is_draft", pl.col("known") > 0).select(
        "invoice_id", "customer_id", "issued_on", *FOREST_COLUMNS, is_planted=_is_planted(spec)
    )


def _facts(
    dataset: Dataset, spec: Specification, split: TimeSplit, tested: Tested
) -> dict[str, object]:
    """What a manifest says: enough to fit the same model again."""
    return {
        "seed": spec.seed,
        "specification": dict(spec.fit),
        "train_before": split.train_before.isoformat(),
        "test_end_on": split.test_end_on.isoformat(),
        "source": dataset.source,
        "data": dataset.fingerprint,
        "invoices": dataset.invoices.height,
        "figures": {name: round(value, 6) for name, value in tested.figures.items()},
    }


FITTERS = {"forest": train_forest, "payment_risk": train_payment_risk}
