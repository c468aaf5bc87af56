"""What payment risk is measured against: the own past, LightGBM and CatBoost as they come.

Both learn from the same features of the same mature invoices with their default parameters; days
are learnt by absolute error, which is what they are measured by.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.scoring.features.payment import FEATURES, WEEKDAY_SHARES, profile
from prebill.core.scoring.features.payment_history import OPEN
from training.evaluate import LaterRows

Matrix = npt.NDArray[np.float32]

_COLUMNS: Final[Sequence[str]] = (*FEATURES, *WEEKDAY_SHARES)
_LAST: Final = 10
_THREADS: Final = 1


def own_past(known: pl.DataFrame, tested: LaterRows) -> pl.DataFrame:
    """The customer's as-of late rate, and the median delay of the last ten invoices paid.

    Parameters
    ----------
    known : pl.DataFrame
        From :func:`prebill.core.scoring.features.payment.receivables`.
    tested : LaterRows
        Rows to answer for.
    """
    on = ["customer_id", "issued_on"]
    seen = profile(known, tested.rows)
    keys = seen.keys.select(on)[np.repeat(np.arange(seen.keys.height), seen.past.count)]
    delay = pl.Series(seen.past.settled - seen.past.due)
    paid = keys.with_columns(delay=delay).filter(pl.Series(seen.past.settled < OPEN))
    median = paid.group_by(on, maintain_order=True).agg(pl.col("delay").head(_LAST).median())
    days = tested.rows.select(on).join(median, on=on, how="left", maintain_order="left")["delay"]
    return tested.features.select(
        "invoice_id", p_late="late_rate", days_late_p50=days.fill_null(0.0)
    )


def lightgbm_default(rows: pl.DataFrame, tested: LaterRows, seed: int) -> pl.DataFrame:
    """LightGBM with default parameters."""
    import lightgbm

    common = {"seed": seed, "verbosity": -1, "num_threads": _THREADS, "deterministic": True}

    def learnt(given: pl.DataFrame, target: pl.Series, objective: str) -> npt.NDArray[np.float64]:
        data = lightgbm.Dataset(_matrix(given), target.to_numpy())
        booster = lightgbm.train({**common, "objective": objective}, data)
        return np.asarray(booster.predict(_matrix(tested.features)))

    mature, paid = _mature(rows), _paid(rows)
    return _said(
        tested,
        learnt(mature, mature["late"], "binary"),
        learnt(paid, paid["delay"], "regression_l1"),
    )


def catboost_default(rows: pl.DataFrame, tested: LaterRows, seed: int) -> pl.DataFrame:
    """CatBoost with default parameters; for benchmarks only, the product never loads it."""
    from catboost import (  # type: ignore[import-untyped]
        CatBoostClassifier,
        CatBoostRegressor,
    )

    common = {
        "random_seed": seed,
        "thread_count": _THREADS,
        "verbose": False,
        "allow_writing_files": False,
    }
    mature, paid = _mature(rows), _paid(rows)
    inputs = _matrix(tested.features)
    chance = CatBoostClassifier(**common).fit(_matrix(mature), mature["late"].to_numpy())
    days = CatBoostRegressor(loss_function="MAE", **common).fit(
        _matrix(paid), paid["delay"].to_numpy()
    )
    return _said(tested, chance.predict_proba(inputs)[:, 1], days.predict(inputs))


def _mature(rows: pl.DataFrame) -> pl.DataFrame:
    """Each invoice once, as of its own day, whose outcome is known whatever it is."""
    late = (pl.col("settled_on") > pl.col("due_on")).fill_null(value=True)
    return (
        _singly(rows)
        .filter(pl.col("due_on") < pl.col("observed_until"))
        .with_columns(late=late.cast(pl.Float64))
    )


def _paid(rows: pl.DataFrame) -> pl.DataFrame:
    delay = (pl.col("settled_on") - pl.col("due_on")).dt.total_days().cast(pl.Float64)
    return _singly(rows).filter(pl.col("settled_on").is_not_null()).with_columns(delay=delay)


def _singly(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.unique("invoice_id", keep="first", maintain_order=True)


def _said(
    tested: LaterRows, chance: npt.NDArray[np.float64], days: npt.NDArray[np.float64]
) -> pl.DataFrame:
    return tested.features.select("invoice_id").with_columns(
        p_late=pl.Series(chance), days_late_p50=pl.Series(days)
    )


def _matrix(rows: pl.DataFrame) -> Matrix:
    return rows.select(pl.col(_COLUMNS).cast(pl.Float32)).to_numpy()
