"""Measure a payment risk model on later invoices, and print tables as in docs/quality.md."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from prebill.core.scoring.features.payment import EDGES, features, profile, receivables
from prebill.core.scoring.models.payment_risk import (
    PaymentRisk,
    fit_payment_risk,
    training_rows,
)
from training.calibrate import Floats, calibration_error
from training.dataset import Dataset
from training.specification import Specification
from training.split import TimeSplit

#: Days after due by which nearly every delay is known; later ones would be missing from the mean.
DELAY_KNOWN_DAYS = 45
NEAR_DAYS = 3
EVALUATED_DAYS = 30
LATE5_STEP = EDGES.index(5)

COLUMNS = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "brier": "Brier",
    "log_loss": "log loss",
    "ece": "ECE",
    "auroc_late5": "AUROC late5",
    "mae_days": "MAE days",
    "within_3_days": "within 3 d",
    "cover_80": "80 % holds",
    "rows": "rows",
}


@dataclass(frozen=True, slots=True)
class LaterRows:
    """Later invoices: features as of their day, and what became of them.

    ``batched`` features see earlier invoices of the test period as drafts, as the gate does.
    """

    rows: pl.DataFrame
    features: pl.DataFrame
    batched: pl.DataFrame

    @property
    def is_late(self) -> Floats:
        """1 where settled after due, or open though the outcome is known."""
        late = (self.rows["settled_on"] > self.rows["due_on"]).fill_null(value=True)
        return late.cast(pl.Float64).to_numpy()

    def take(self, keep: pl.Series) -> "LaterRows":
        """Some of the rows."""
        return LaterRows(
            self.rows.filter(keep), self.features.filter(keep), self.batched.filter(keep)
        )


def later_rows(dataset: Dataset, split: TimeSplit) -> LaterRows:
    """Build the test rows of a split, singly as of each invoice's day and as one batch."""
    known = dataset.receivables()
    rows = split.test_rows(known).with_columns(
        delay=(pl.col("settled_on") - pl.col("due_on")).dt.total_days(),
        is_delay_known=pl.col("settled_on").is_not_null()
        & (pl.col("due_on") + timedelta(days=DELAY_KNOWN_DAYS) < split.known_until),
    )
    drafts = dataset.invoices.join(rows.select("invoice_id"), on="invoice_id", how="semi")
    batch = receivables(dataset.invoices, dataset.payments, dataset.credit_notes, drafts)
    return LaterRows(
        rows, features(rows, profile(known, rows)), features(rows, profile(batch, rows))
    )


def predicted(model: PaymentRisk, given: pl.DataFrame) -> pl.DataFrame:
    """The model's figures with P(more than five days late) beside them."""
    return model.predict(given).with_columns(
        p_late5=pl.Series(model.open_shares(given)[:, LATE5_STEP])
    )


def figures(predicted: pl.DataFrame, tested: LaterRows) -> dict[str, float]:
    """Figures of one set of predictions, by the keys of ``COLUMNS``.

    Parameters
    ----------
    predicted : pl.DataFrame
        ``p_late``; optional ``p_late5``, ``days_late_p10, p50, p90``. In the order of the rows.
    tested : LaterRows
        Days count only where due + 45 days was seen, else slow payers would be missing.
    """
    from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

    late, chance = tested.is_late, predicted["p_late"].to_numpy()
    found = {
        "auroc": float(roc_auc_score(late, chance)),
        "average_precision": float(average_precision_score(late, chance)),
        "brier": float(np.mean((chance - late) ** 2)),
        "log_loss": float(log_loss(late, np.clip(chance, 1e-6, 1 - 1e-6))),
        "ece": calibration_error(chance, late),
        "rows": float(len(late)),
    }
    late5 = (tested.rows["delay"].fill_null(999) > 5).to_numpy()
    if "p_late5" in predicted.columns and 0 < late5.sum() < len(late5):
        found["auroc_late5"] = float(roc_auc_score(late5, predicted["p_late5"].to_numpy()))
    known = tested.rows["is_delay_known"].to_numpy()
    if "days_late_p50" in predicted.columns and known.any():
        delay = tested.rows["delay"].fill_null(0).to_numpy()
        gap = np.abs(predicted["days_late_p50"].to_numpy() - delay)[known]
        found["mae_days"] = float(gap.mean())
        found["within_3_days"] = float((gap <= NEAR_DAYS).mean())
        if "days_late_p10" in predicted.columns:
            low = predicted["days_late_p10"].to_numpy() <= delay
            high = delay <= predicted["days_late_p90"].to_numpy()
            found["cover_80"] = float((low & high)[known].mean())
    return found


def measured(
    dataset: Dataset,
    spec: Specification,
    *,
    cuts: int,
    baselines: dict[str, Callable[[pl.DataFrame, LaterRows], pl.DataFrame]],
) -> dict[str, list[dict[str, float]]]:
    """Figures of each model on the invoices of the 30 days after each of the latest months' starts.

    Returns
    -------
    dict of list
        Model → one set of figures a cut. "as one batch": earlier drafts of the test period are not
        known to be paid or late, as `prebill score` sees them.
    """
    found: dict[str, list[dict[str, float]]] = {}
    known = dataset.receivables()
    for cut in month_cuts(dataset, cuts, EVALUATED_DAYS):
        end_on = cut + timedelta(days=EVALUATED_DAYS)
        later = later_rows(dataset, TimeSplit(cut, end_on, dataset.as_of_on))
        rows = training_rows(known, cut)
        for name, baseline in baselines.items():
            found.setdefault(name, []).append(figures(baseline(rows, later), later))
        model = fit_payment_risk(rows, spec.seed, spec.payment())
        for name, given in (("", later.features), (", as one batch", later.batched)):
            said = predicted(model, given)
            key = f"payment risk ({model.rung}){name}"
            found.setdefault(key, []).append(figures(said, later))
    return found


def month_cuts(dataset: Dataset, count: int, test_days: int) -> list[date]:
    """First days of the latest months whose invoices' delays are known by now."""
    known_until = dataset.as_of_on
    terms = dataset.invoices.select((pl.col("due_on") - pl.col("issued_on")).dt.total_days())
    usual = int(terms.to_series().quantile(0.95) or 0)
    latest = known_until - timedelta(days=test_days + usual)
    cuts = []
    for _ in range(count):
        cuts.append(latest.replace(day=1))
        latest = cuts[-1] - timedelta(days=1)
    return sorted(cuts)


def table(measured: dict[str, list[dict[str, float]]]) -> str:
    """Mean figures of each model as a Markdown table."""
    shown = [
        name for name in COLUMNS if any(name in one for all_ in measured.values() for one in all_)
    ]
    lines = [
        "| model | " + " | ".join(COLUMNS[name] for name in shown) + " |",
        "|---" * (len(shown) + 1) + "|",
    ]
    for model, cuts in measured.items():
        cells = []
        for name in shown:
            values = [one[name] for one in cuts if name in one]
            cells.append(_cell(name, values))
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(name: str, values: list[float]) -> str:
    if not values:
        return "–"
    if name == "rows":
        return f"{sum(values):,.0f}"
    mean = sum(values) / len(values)
    return f"{mean:.2f}" if name == "mae_days" else f"{mean:.4f}".lstrip("0")
