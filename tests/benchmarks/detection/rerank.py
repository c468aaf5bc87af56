"""``python -m tests.benchmarks.detection.rerank``: what labels add to the unsupervised score.

The model of P(error) learns from simulated companies of other seeds and is tested on companies
that it has not seen, with every kind of fault known ("seen") and with one kind held out ("unseen").

--seeds N --first K    tested seeds K to K+N-1
--teachers N           companies 101 to 100+N to learn from
--series noisy|smooth
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.scoring.models.error_risk import ErrorRisk, fit_error_risk
from prebill.core.scoring.scene import FEATURE_ROW
from tests.benchmarks.detection import noisy, smooth
from tests.benchmarks.detection.faults import FAULTS
from tests.benchmarks.detection.injection import Injected, inject
from tests.benchmarks.detection.judges import prepared
from tests.benchmarks.detection.metrics import labelled, mean, mean_and_spread
from tests.benchmarks.detection.series import Series
from tests.benchmarks.markdown import table

COLUMNS: Final = (*FEATURE_ROW, "anomaly_score")
FIRST_TEACHER: Final = 101
#: Teachers have more faults than the tested companies: they are there to be learnt from.
TAUGHT_SHARE: Final = 0.1
SEED: Final = 1

Scores = Callable[[pl.DataFrame], pl.Series]


def judged(series: Series, seed: int, share: float | None = None) -> pl.DataFrame:
    """Feature rows and scores of a company's drafts, with what is wrong in them (``fault``)."""
    injected = inject(series, seed) if share is None else inject(series, seed, share)
    scored = prepared(injected.inputs(with_events=True), seed).judged()
    scores = scored.decisions.select("invoice_id", score="anomaly_score")
    truth = labelled(injected, scores).select("invoice_id", "fault")
    return (
        truth.join(scored.feature_rows, on="invoice_id", how="left", maintain_order="left")
        .join(scores.rename({"score": "anomaly_score"}), on="invoice_id", how="left")
        .join(_heads(injected, seed), on="invoice_id", how="left", maintain_order="left")
    )


def _heads(injected: Injected, seed: int) -> pl.DataFrame:
    """The customer under a name of its own in each company, and the day."""
    return injected.invoices.select(
        "invoice_id",
        customer_id=pl.format("{}-{}", pl.lit(seed), "customer_id"),
        day_on="issued_on",
    )


def taught(rows: pl.DataFrame, held_out: str | None = None) -> ErrorRisk:
    """Fit on teachers; of customers who had a fault of the held-out kind nothing is learnt.

    Their other invoices would tell: right ones look odd beside a wrong one in their past, and
    without that wrong one the model would learn that such an oddity is always harmless.
    """
    if held_out is not None:
        had = rows.filter(pl.col("fault") == held_out).select("customer_id").unique()
        rows = rows.join(had, on="customer_id", how="anti", maintain_order="left")
    labels = rows.with_columns(
        is_error=pl.col("fault").is_not_null(),
        weight=pl.lit(1.0),
        calibrates=pl.lit(value=True),
        # Calibrated on whole companies that were not learnt, not on their last months.
        day_on=pl.lit(date(2026, 1, 1)),
        invoice_id=pl.concat_str("customer_id", "invoice_id"),
    )
    model = fit_error_risk(labels, COLUMNS, SEED)
    if model is None:
        raise SystemExit("too few faults to learn from: give more --teachers")
    return model


def precision(rows: pl.DataFrame, scores: pl.Series, weights: npt.NDArray[np.float64]) -> float:
    from sklearn.metrics import average_precision_score

    wrong = rows["fault"].is_not_null().to_numpy()
    said = scores.fill_null(0.0).to_numpy()
    return float(average_precision_score(wrong, said, sample_weight=weights))


def of_kind(rows: pl.DataFrame, kind: str) -> tuple[pl.DataFrame, float]:
    """Right drafts and the faults of one kind, and the weight that makes these as many as all."""
    kept = rows.filter(pl.col("fault").is_null() | (pl.col("fault") == kind))
    return kept, rows["fault"].count() / max(kept["fault"].count(), 1)


def by_kind(companies: Sequence[pl.DataFrame], score: Scores, kind: str, *, evened: bool) -> float:
    """Average precision on one kind alone; ``evened``: its faults weighted to all faults' share."""
    found = []
    for company in companies:
        rows, times = of_kind(company, kind)
        wrong = rows["fault"].is_not_null().to_numpy()
        weights = np.where(wrong, times if evened else 1.0, 1.0)
        found.append(precision(rows, score(rows), weights))
    return mean(found)


def report(make: Callable[[int], Series], seeds: range, teachers: range) -> None:
    """Teach, judge and print."""
    lessons = [judged(make(seed), seed, TAUGHT_SHARE) for seed in teachers]
    rows = pl.concat(lessons)
    companies = [judged(make(seed), seed) for seed in seeds]
    print(f"{len(lessons)} teachers, {rows['fault'].count():,} faults; {seeds}", file=sys.stderr)
    model = taught(rows)
    everything = [
        ("anomaly score, unsupervised", [_whole(one, _unsupervised) for one in companies]),
        ("P(error), every kind seen", [_whole(one, model.predict) for one in companies]),
    ]
    print(
        table(
            ["all kinds together", "average precision (sd)"],
            ([name, mean_and_spread(values)] for name, values in everything),
        )
    )
    lines, totals = [], []
    for kind in FAULTS:
        without = taught(rows, kind)
        cells = [
            by_kind(companies, score, kind, evened=evened)
            for evened in (True, False)
            for score in (_unsupervised, without.predict, model.predict)
        ]
        totals.append(cells)
        lines.append([kind, *(f"{value:.3f}" for value in cells)])
        print(f"{kind}: {lines[-1]}", file=sys.stderr)
    means = [f"{mean(values):.3f}" for values in zip(*totals, strict=True)]
    names = ["unsupervised", "P(error), kind unseen", "kind seen"]
    header = ["one kind alone", *names, *(f"{name}, as rare as it is" for name in names)]
    print("\n" + table(header, [*lines, ["mean", *means]]))


def _whole(company: pl.DataFrame, score: Scores) -> float:
    return precision(company, score(company), np.ones(company.height))


def _unsupervised(rows: pl.DataFrame) -> pl.Series:
    return rows["anomaly_score"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.detection.rerank")
    parser.add_argument("--series", choices=["noisy", "smooth"], default="noisy")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=11)
    parser.add_argument("--teachers", type=int, default=24)
    given = parser.parse_args()
    make = {"noisy": noisy.make, "smooth": smooth.make}[given.series]
    report(
        make,
        range(given.first, given.first + given.seeds),
        range(FIRST_TEACHER, FIRST_TEACHER + given.teachers),
    )


if __name__ == "__main__":
    main()
