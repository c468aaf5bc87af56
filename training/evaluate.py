"""Figures of a payment risk model on later invoices, by the columns of docs/quality.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from prebill.core.scoring.features.payment import features, profile, receivables
from prebill.core.scoring.models.payment_distribution import PaymentDistribution
from prebill.core.scoring.models.payment_risk import PaymentRisk
from training.calibrate import Floats, calibration_error, randomised_pit
from training.dataset import Dataset
from training.split import TimeSplit

#: Days after due by which nearly every delay is known; later ones would be missing from the mean.
DELAY_KNOWN_DAYS: Final = 45
#: Days are measured on a cut only if so much of it is old enough.
DELAY_KNOWN_SHARE: Final = 0.95
NEAR_DAYS: Final = 3
LATE_DAYS: Final = 5
_PIT_SEED: Final = 20260101

COLUMNS: Final[Mapping[str, str]] = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "brier": "Brier",
    "log_loss": "log loss",
    "ece": "ECE",
    "ece_if_perfect": "ECE if perfect",
    "auroc_late5": "AUROC late5",
    "mae_days": "MAE days",
    "within_3_days": "within 3 d",
    "cover_80": "80 % holds",
    "pit_80": "PIT in 80 %",
    "rows": "rows",
}


@dataclass(frozen=True, slots=True)
class LaterRows:
    """Later invoices: features as of their day, and what became of them.

    ``batched`` features see earlier invoices of the test period as drafts, as the gate does.
    ``known_until`` is the first day that was not seen.
    """

    rows: pl.DataFrame
    features: pl.DataFrame
    batched: pl.DataFrame
    known_until: date

    @property
    def is_late(self) -> Floats:
        """1 where settled after due, or open though the outcome is known."""
        late = (self.rows["settled_on"] > self.rows["due_on"]).fill_null(value=True)
        return late.cast(pl.Float64).to_numpy()

    @property
    def counts_days(self) -> bool:
        """Whether nearly all rows are old enough for their delay to be known."""
        share = self.rows["is_delay_seen"].mean()
        return isinstance(share, float) and share >= DELAY_KNOWN_SHARE

    @property
    def delay(self) -> Floats:
        """Days after due; NaN where the delay is not counted."""
        counted = pl.when("is_delay_seen").then("delay").cast(pl.Float64).fill_null(np.nan)
        return self.rows.select(counted).to_series().to_numpy()

    def take(self, keep: pl.Series) -> "LaterRows":
        """Some of the rows."""
        return LaterRows(
            self.rows.filter(keep),
            self.features.filter(keep),
            self.batched.filter(keep),
            self.known_until,
        )


def later_rows(dataset: Dataset, split: TimeSplit) -> LaterRows:
    """Build the test rows of a split, singly as of each invoice's day and as one batch."""
    known = dataset.receivables()
    rows = split.test_rows(known).with_columns(
        delay=(pl.col("settled_on") - pl.col("due_on")).dt.total_days(),
        is_delay_seen=pl.col("due_on") + timedelta(days=DELAY_KNOWN_DAYS) < split.known_until,
    )
    drafts = dataset.invoices.join(rows.select("invoice_id"), on="invoice_id", how="semi")
    batch = receivables(dataset.invoices, dataset.payments, dataset.credit_notes, drafts)
    return LaterRows(
        rows,
        features(rows, profile(known, rows)),
        features(rows, profile(batch, rows)),
        split.known_until,
    )


def predicted(model: PaymentRisk, given: pl.DataFrame, tested: LaterRows) -> pl.DataFrame:
    """The model's figures beside P(more than five days late) and the randomised PIT."""
    told = model.distribution(given)
    return model.predict(given).with_columns(
        p_late5=pl.Series(told.later_than(float(LATE_DAYS))), pit=pl.Series(pit(told, tested))
    )


def pit(told: PaymentDistribution, tested: LaterRows) -> Floats:
    """Where each outcome fell in its distribution; NaN where its delay is not counted."""
    age = (pl.lit(tested.known_until) - pl.col("due_on")).dt.total_days()
    day = tested.rows.select(pl.col("delay").fill_null(age)).to_series()
    is_open = tested.rows["settled_on"].is_null().to_numpy()
    at = day.cast(pl.Float64).to_numpy()
    until = np.where(is_open, 1.0, 1.0 - told.later_than(at))
    found = randomised_pit(1.0 - told.later_than(at - 1.0), until, seed=_PIT_SEED)
    return np.where(tested.rows["is_delay_seen"].to_numpy(), found, np.nan)


def figures(predicted: pl.DataFrame, tested: LaterRows) -> dict[str, float]:
    """Figures of one set of predictions, by the keys of ``COLUMNS``.

    Parameters
    ----------
    predicted : pl.DataFrame
        ``p_late``; optional ``p_late5, days_late_p10, p50, p90, pit``. In the order of the rows.
    tested : LaterRows
        Days count only where due + 45 days was seen of nearly all, else slow payers would be
        missing.
    """
    from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

    late, chance = tested.is_late, predicted["p_late"].to_numpy()
    found = {
        "brier": float(np.mean((chance - late) ** 2)),
        "log_loss": float(log_loss(late, np.clip(chance, 1e-6, 1 - 1e-6), labels=[0.0, 1.0])),
        "ece": calibration_error(chance, late),
        "rows": float(len(late)),
    }
    if 0 < late.sum() < len(late):
        found["auroc"] = float(roc_auc_score(late, chance))
        found["average_precision"] = float(average_precision_score(late, chance))
    late5 = (tested.rows["delay"].fill_null(999) > LATE_DAYS).to_numpy()
    if "p_late5" in predicted.columns and 0 < late5.sum() < len(late5):
        found["auroc_late5"] = float(roc_auc_score(late5, predicted["p_late5"].to_numpy()))
    if tested.counts_days and "days_late_p50" in predicted.columns:
        found |= _days(predicted, tested.delay)
    return found


def _days(predicted: pl.DataFrame, delay: Floats) -> dict[str, float]:
    known = np.isfinite(delay)
    gap = np.abs(predicted["days_late_p50"].to_numpy() - delay)[known]
    found = {"mae_days": float(gap.mean()), "within_3_days": float((gap <= NEAR_DAYS).mean())}
    if "days_late_p10" in predicted.columns:
        low = predicted["days_late_p10"].to_numpy() <= delay
        high = delay <= predicted["days_late_p90"].to_numpy()
        found["cover_80"] = float((low & high)[known].mean())
    if "pit" in predicted.columns:
        place = predicted["pit"].to_numpy()
        place = place[np.isfinite(place)]
        found["pit_80"] = float(((place >= 0.1) & (place <= 0.9)).mean())
    return found


def month_cuts(dataset: Dataset, count: int, test_days: int) -> list[date]:
    """First days of the latest months whose invoices' outcomes are known by now."""
    known_until = dataset.as_of_on
    terms = dataset.invoices.select((pl.col("due_on") - pl.col("issued_on")).dt.total_days())
    usual = int(terms.to_series().quantile(0.95) or 0)
    latest = known_until - timedelta(days=test_days + usual)
    cuts = []
    for _ in range(count):
        cuts.append(latest.replace(day=1))
        latest = cuts[-1] - timedelta(days=1)
    return sorted(cuts)


def table(measured: Mapping[str, Sequence[Mapping[str, float]]], title: str = "model") -> str:
    """Mean figures of each model as a Markdown table."""
    shown = [
        name for name in COLUMNS if any(name in one for all_ in measured.values() for one in all_)
    ]
    lines = [
        f"| {title} | " + " | ".join(COLUMNS[name] for name in shown) + " |",
        "|---" * (len(shown) + 1) + "|",
    ]
    for model, cuts in measured.items():
        cells = [_cell(name, [one[name] for one in cuts if name in one]) for name in shown]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(name: str, values: Sequence[float]) -> str:
    if not values:
        return "–"
    if name == "rows":
        return f"{sum(values):,.0f}"
    mean = sum(values) / len(values)
    return f"{mean:.2f}" if name == "mae_days" else f"{mean:.4f}".lstrip("0")
