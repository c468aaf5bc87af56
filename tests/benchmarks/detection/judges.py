"""Who judges: Prebill through its public interface, and two simple judges beside it.

The simple ones tell how hard a series is. Each returns one row a draft: ``invoice_id`` and
``score``, high = unusual.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.policy.model import Policy
from prebill.core.scoring.detectors import DETECTORS, Detector, Scene
from prebill.core.scoring.frames import ScoringInputs
from prebill.core.scoring.models import Models, fit_models
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import Scored, score_scene

#: Invoices on which the robust z rests, and the least that it needs.
LAST: Final = 8
LEAST: Final = 3
#: Log scatter below which nobody's invoices are taken to be: one percent.
LEAST_SCATTER: Final = 0.01


@dataclass(frozen=True)
class Prepared:
    """Drafts with their features, and models fitted on what was known at the first of them."""

    scene: Scene
    models: Models

    def judged(self, detectors: Sequence[Detector] = DETECTORS) -> Scored:
        """Score as the gate does, by all detectors or by some."""
        return score_scene(self.scene, self.models, Policy.default(), detectors=tuple(detectors))


def prepared(inputs: ScoringInputs, seed: int) -> Prepared:
    """Compute features and fit models, as the gate does."""
    scene = scene_of(inputs)
    return Prepared(scene, fit_models(scene.rows, scene.inputs, seed=seed).models)


def anomaly_scores(scored: Scored) -> pl.DataFrame:
    """The unsupervised score of each draft."""
    return scored.decisions.select("invoice_id", score="anomaly_score")


def robust_z(inputs: ScoringInputs) -> pl.DataFrame:
    """Deviation of the log total from the median of the customer's last eight, in its own MAD."""
    past, now = inputs.history.invoices, inputs.drafts.invoices
    rows = pl.concat(
        [
            past.with_columns(is_draft=pl.lit(value=False)),
            now.with_columns(is_draft=pl.lit(value=True)),
        ]
    ).sort("customer_id", "issued_on", "invoice_id")
    log_total = pl.col("total_minor").clip(1).log()
    last = [log_total.shift(lag).over("customer_id") for lag in range(1, LAST + 1)]
    rows = rows.with_columns(log_total=log_total, last=pl.concat_list(last).list.drop_nulls())
    rows = rows.with_columns(center=pl.col("last").list.median())
    off = (pl.col("log_total") - pl.col("center")).abs()
    spread = pl.col("last").list.eval((pl.element() - pl.element().median()).abs()).list.median()
    score = off / pl.max_horizontal(spread * 1.4826, pl.lit(LEAST_SCATTER))
    known = pl.col("last").list.len() >= LEAST
    return rows.filter("is_draft").select(
        "invoice_id", score=pl.when(known).then(score).otherwise(0.0)
    )


def raw_forest(inputs: ScoringInputs, seed: int) -> pl.DataFrame:
    """An isolation forest on amounts and quantities as they stand, fitted on the history."""
    from sklearn.ensemble import IsolationForest

    past, now = (_raw(books.invoices, books.lines) for books in (inputs.history, inputs.drafts))
    columns = past.columns[1:]
    forest = IsolationForest(n_estimators=200, random_state=seed)
    forest.fit(past.select(columns).to_numpy())
    return now.select("invoice_id", score=-forest.score_samples(now.select(columns).to_numpy()))


def _raw(invoices: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    own = lines.group_by("invoice_id").agg(
        lines=pl.len(),
        quantity=pl.col("quantity").cast(pl.Float64).sum(),
        largest=pl.col("amount_minor").max(),
    )
    return invoices.join(own, on="invoice_id", how="left", maintain_order="left").select(
        "invoice_id",
        *(
            pl.col(name).cast(pl.Float64).fill_null(0.0)
            for name in (
                "subtotal_minor",
                "tax_minor",
                "total_minor",
                "lines",
                "quantity",
                "largest",
            )
        ),
    )
