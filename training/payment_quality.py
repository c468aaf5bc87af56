"""The tables of docs/quality.md, section Payment risk: cuts, comparisons, calibration, slices.

``python -m training evaluate``. Each cut is trained on what was known that morning and tested on
the invoices of the next 30 days.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from prebill.core.scoring.models.payment_risk import (
    PaymentRisk,
    Rung,
    fit_payment_risk,
    training_rows,
)
from training.baselines import catboost_default, lightgbm_default, own_past
from training.calibrate import Floats, calibration_error, error_if_perfect
from training.dataset import Dataset
from training.evaluate import LaterRows, figures, later_rows, month_cuts, predicted, table
from training.paired import Interval, Judged, paired_intervals
from training.slices import slices_of
from training.specification import Specification
from training.split import TimeSplit

EVALUATED_DAYS: Final = 30
OURS: Final = "payment risk"
BATCHED: Final = "payment risk, as one batch"
LIGHTGBM: Final = "LightGBM default, same features"
CATBOOST: Final = "CatBoost default, same features"
OWN_PAST: Final = "own past rate, last-10 median"
OWN_HABITS: Final = "own hazards of what resembles it, no model"
HAZARD: Final = "its hazard model alone"
BINARY: Final = "scaled to its binary model alone"

_TERMS: Final = (10, 15, 35)
_WARM: Final = (0, 9)


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut: its day, test rows, their slices, and what each model says of them."""

    day: date
    rung: str
    later: LaterRows
    slices: pl.DataFrame
    said: Mapping[str, pl.DataFrame]


def report(dataset: Dataset, spec: Specification, cuts: int, say: Callable[[str], None]) -> None:
    """Measure and print all tables.

    Parameters
    ----------
    dataset : Dataset
        Everything known.
    spec : Specification
        Of payment risk.
    cuts : int
        Months tested, the latest whose outcomes are known.
    say : callable
        Takes each table as text.
    """
    measured = [_cut(dataset, spec, day) for day in month_cuts(dataset, cuts, EVALUATED_DAYS)]
    days = ", ".join(f"{cut.day} ({cut.rung}, {cut.later.rows.height:,} rows)" for cut in measured)
    say(f"cuts: {days}; known until {dataset.as_of_on}\n")
    say(table({name: [_figures(cut, name, spec) for cut in measured] for name in measured[0].said}))
    say("\n" + table({str(cut.day): [_figures(cut, OURS, spec)] for cut in measured}, "cut"))
    say("\n" + _comparisons(measured, spec))
    say("\n" + _slices(measured, spec))


def _cut(dataset: Dataset, spec: Specification, day: date) -> Cut:
    known = dataset.receivables()
    end_on = day + timedelta(days=EVALUATED_DAYS)
    later = later_rows(dataset, TimeSplit(day, end_on, dataset.as_of_on))
    rows = training_rows(known, day)
    model = fit_payment_risk(rows, spec.seed, spec.payment())
    said = {
        OWN_PAST: own_past(known, later),
        OWN_HABITS: predicted(PaymentRisk(Rung.PRIOR, 0.0), later.features, later),
        LIGHTGBM: lightgbm_default(rows, later, spec.seed),
        CATBOOST: catboost_default(rows, later, spec.seed),
        HAZARD: _predicted(model, later, weight=0.0),
        BINARY: _predicted(model, later, weight=1.0),
        OURS: predicted(model, later.features, later),
        BATCHED: predicted(model, later.batched, later),
    }
    return Cut(day, model.rung.value, later, _sliced(dataset, later), said)


def _predicted(model: PaymentRisk, later: LaterRows, *, weight: float) -> pl.DataFrame:
    """One part of the model alone."""
    return predicted(replace(model, binary_weight=weight), later.features, later)


def _figures(cut: Cut, name: str, spec: Specification) -> dict[str, float]:
    """Figures; for our own with the calibration error that chance alone would give."""
    found = figures(cut.said[name], cut.later)
    if name == OURS:
        cluster = pl.concat_str("customer_id", pl.col("due_on").cast(pl.String))
        found["ece_if_perfect"] = error_if_perfect(
            cut.said[name]["p_late"].to_numpy(),
            cut.later.is_late,
            cut.later.rows.select(cluster.alias("cluster"))["cluster"],
            seed=spec.seed,
        )
    return found


def _comparisons(cuts: list[Cut], spec: Specification) -> str:
    """Ours less each other model: difference and 95 % interval, customers drawn."""
    judged = [_judged(cut) for cut in cuts]
    lines = ["| payment risk less | AUROC | Brier | MAE days |", "|---|---|---|---|"]
    for other in (OWN_PAST, OWN_HABITS, LIGHTGBM, CATBOOST, HAZARD, BINARY):
        found = paired_intervals(judged, OURS, other, seed=spec.seed)
        cells = " | ".join(_shown(found.get(name)) for name in ("auroc", "brier", "mae_days"))
        lines.append(f"| {other} | {cells} |")
    return "\n".join(lines)


def _judged(cut: Cut) -> Judged:
    delay = cut.later.delay if cut.later.counts_days else np.full(cut.later.rows.height, np.nan)
    return Judged(
        customer=cut.later.rows["customer_id"],
        late=cut.later.is_late,
        delay=delay,
        chance={name: said["p_late"].to_numpy() for name, said in cut.said.items()},
        days={name: said["days_late_p50"].to_numpy() for name, said in cut.said.items()},
    )


def _shown(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    return f"{interval.difference:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def _sliced(dataset: Dataset, later: LaterRows) -> pl.DataFrame:
    """Slices of promotion, and by terms and by how much is known of the customer."""
    known = later.features.select(pl.col("known_count").fill_null(0)).to_series().to_numpy()
    terms = later.features["terms_days"].to_numpy()
    warmth = np.array(["cold (no outcome)", "1 to 9 outcomes", "10 outcomes or more"])
    spans = np.array(["0 to 10 days", "11 to 15 days", "16 to 35 days", "over 35 days"])
    return slices_of(dataset, later.rows).with_columns(
        terms=pl.Series(spans[np.searchsorted(_TERMS, terms)]),
        customer=pl.Series(warmth[np.searchsorted(_WARM, known)]),
    )


def _slices(cuts: list[Cut], spec: Specification) -> str:
    """Calibration of each slice over all cuts."""
    rows = pl.concat(
        [
            cut.slices.with_columns(
                cut.later.rows["customer_id"],
                cluster=cut.later.rows.select(
                    pl.concat_str("customer_id", pl.col("due_on").cast(pl.String))
                ).to_series(),
                chance=cut.said[OURS]["p_late"],
                late=pl.Series(cut.later.is_late),
            )
            for cut in cuts
        ]
    )
    lines = [
        "| slice | rows | late | P(late) | Brier | ECE | ECE if perfect |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("size", "currency", "entity", "tenure", "terms", "customer"):
        for (value,), part in sorted(rows.partition_by(name, as_dict=True).items()):
            chance, late = part["chance"].to_numpy(), part["late"].to_numpy()
            perfect = error_if_perfect(chance, late, part["cluster"], seed=spec.seed)
            found = _of_slice(chance, late, perfect)
            lines.append(f"| {name}: {value} | {part.height:,} | {found} |")
    return "\n".join(lines)


def _of_slice(chance: Floats, late: Floats, perfect: float) -> str:
    """Observed and said share, Brier score, calibration error and what chance explains of it."""
    cells = (
        *(late.mean(), chance.mean(), np.mean((chance - late) ** 2)),
        *(calibration_error(chance, late), perfect),
    )
    return " | ".join(f"{value:.3f}".lstrip("0") for value in cells)
