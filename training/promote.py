"""Promote only what is better: paired with the present champion on rows that neither has learnt."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from prebill.registry import Bundle
from training.fit import Tested, Trained
from training.specification import Specification

DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean loss saved a row, with its 95 % interval by customer, and the verdict in words."""

    is_better: bool
    gain: float
    low: float
    high: float
    reason: str


def compare(trained: Trained, champion: Bundle | None, spec: Specification) -> Comparison:
    """Compare a new model with the champion, or with the simple rule where there is none.

    Parameters
    ----------
    trained : Trained
        The new model and its later rows.
    champion : Bundle or None
        The verified local copy in use.
    spec : Specification
        ``promote``: ``min_gain``, ``min_rows`` and, for probabilities, ``max_ece_excess``.

    Returns
    -------
    Comparison
        Better only if the gain is above ``min_gain`` and calibration is no worse than chance
        explains.
    """
    rows, new, old, against = trained.rows, trained.tested, trained.simple, "the simple rule"
    if champion is not None:
        against = "the champion"
        day = date.fromisoformat(champion.facts["train_before"])
        if day > trained.split.train_before:
            rows = rows.after(day)
        if rows.height < spec.promote["min_rows"]:
            reason = f"only {rows.height} outcomes are newer than what the champion learnt from"
            return _refused(reason)
        new, old = rows.measure(trained.bundle), rows.measure(champion)
    gain, low, high = _paired(old.losses, new.losses, seed=spec.seed)
    shown = f"loss {_mean(new):.4f} against {_mean(old):.4f} of {against}, {rows.height:,} rows"
    excess = new.figures.get("ece", 0.0) - new.figures.get("ece_if_perfect", 0.0)
    is_calibrated = excess <= spec.promote.get("max_ece_excess", 1.0)
    is_better = gain > spec.promote["min_gain"]
    verdict = ("better" if is_better else "no better") if is_calibrated else "not calibrated"
    return Comparison(
        is_better=is_better and is_calibrated,
        gain=gain,
        low=low,
        high=high,
        reason=f"{verdict}: {shown}",
    )


def _refused(reason: str) -> Comparison:
    return Comparison(is_better=False, gain=0.0, low=0.0, high=0.0, reason=reason)


def _mean(tested: Tested) -> float:
    return float(tested.losses["loss"].to_numpy().mean())


def _paired(old: pl.DataFrame, new: pl.DataFrame, seed: int) -> tuple[float, float, float]:
    """Mean loss saved and its interval; customers are drawn, not rows: theirs go together."""
    by_customer = (
        old.join(new, on="invoice_id", suffix="_new")
        .group_by("customer_id", maintain_order=True)
        .agg(saved=(pl.col("loss") - pl.col("loss_new")).sum(), rows=pl.len())
    )
    saved = by_customer["saved"].to_numpy()
    rows = by_customer["rows"].to_numpy().astype(np.float64)
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(saved), size=(DRAWS, len(saved)))
    means = saved[drawn].sum(axis=1) / rows[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(saved.sum() / rows.sum()), float(low), float(high)
