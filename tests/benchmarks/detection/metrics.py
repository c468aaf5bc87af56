"""Figures of one judge on one series and seed, and their mean over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from tests.benchmarks.detection.injection import Injected

FALSE_POSITIVES: Final = 0.01


@dataclass(frozen=True)
class Figures:
    """``recall`` at one percent false positives; ``alarms``: kind of clean invoice → alarm rate.

    An alarm is a score above what one percent of the clean invoices exceed. ``by_fault``: kind of
    fault → share that raises one.
    """

    average_precision: float
    top_precision: float
    recall: float
    by_fault: dict[str, float]
    alarms: dict[str, float]


def labelled(injected: Injected, scores: pl.DataFrame) -> pl.DataFrame:
    """Join scores with the truth: ``invoice_id, score, fault`` (null: right)."""
    drafts = injected.invoices.filter(pl.col("issued_on") >= injected.series.held_out_from)
    return (
        drafts.select("invoice_id")
        .join(scores.select("invoice_id", "score"), on="invoice_id", how="left")
        .join(injected.truth, on="invoice_id", how="left")
        .filter(~pl.col("invoice_id").is_in(injected.unjudged))
        # What a judge can't judge it doesn't point at.
        .with_columns(pl.col("score").fill_null(pl.col("score").min()))
        .sort("invoice_id")
    )


def figures(injected: Injected, scores: pl.DataFrame) -> Figures:
    """Measure one judge."""
    from sklearn.metrics import average_precision_score

    rows = labelled(injected, scores)
    is_fault = rows["fault"].is_not_null().to_numpy()
    score = rows["score"].to_numpy()
    limit = float(np.quantile(score[~is_fault], 1 - FALSE_POSITIVES))
    # Ties at the edge of the top percent are broken by the order of ids, which knows nothing.
    top = np.argsort(-score, kind="stable")[: max(len(score) // 100, 1)]
    raised = rows.with_columns(is_raised=pl.col("score") > limit)
    by_fault = (
        raised.filter(pl.col("fault").is_not_null())
        .group_by("fault")
        .agg(pl.col("is_raised").mean())
    )
    return Figures(
        average_precision=float(average_precision_score(is_fault, score)),
        top_precision=float(is_fault[top].mean()),
        recall=float((score[is_fault] > limit).mean()),
        by_fault=dict(by_fault.iter_rows()),
        alarms=_alarms(injected, raised.filter(pl.col("fault").is_null())),
    )


def _alarms(injected: Injected, clean: pl.DataFrame) -> dict[str, float]:
    """Alarm rate of each kind of odd but right invoice; "other" is not drifting."""
    kinds = injected.series.benign.join(clean, on="invoice_id").group_by("kind")
    rates = dict(kinds.agg(pl.col("is_raised").mean()).iter_rows())
    drifting = injected.series.benign.filter(pl.col("kind") == "drift").select("invoice_id")
    others = clean.join(drifting, on="invoice_id", how="anti")
    plain = clean.join(injected.series.benign, on="invoice_id", how="anti")
    return {
        **rates,
        "not drifting": float(others["is_raised"].mean() or 0.0),
        "nothing odd": float(plain["is_raised"].mean() or 0.0),
    }


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean, and the standard deviation of a seed."""
    spread = f"{np.std(values, ddof=1):.3f}" if len(values) > 1 else "–"
    return f"{mean(values):.3f} ({spread})"
