"""What payment risk is measured against: the customer's own past, and LightGBM as it comes."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from prebill.core.scoring.features.payment import FEATURES, WEEKDAY_SHARES
from training.evaluate import LaterRows

_COLUMNS: Sequence[str] = (*FEATURES, *WEEKDAY_SHARES)


def own_past(tested: LaterRows) -> pl.DataFrame:
    """The customer's as-of late rate and the median of the last ten delays."""
    return tested.features.select(
        "invoice_id", p_late="late_rate", days_late_p50=pl.col("delay_median").fill_null(0.0)
    )


def lightgbm_default(rows: pl.DataFrame, tested: LaterRows, seed: int) -> pl.DataFrame:
    """LightGBM with default parameters on the same features and mature rows; days by L2."""
    import lightgbm

    common = {"seed": seed, "verbosity": -1, "num_threads": 1, "deterministic": True}
    mature = rows.filter(pl.col("due_on") < pl.col("observed_until")).unique(
        "invoice_id", keep="first", maintain_order=True
    )
    late = (mature["settled_on"] > mature["due_on"]).fill_null(value=True).cast(pl.Float64)
    chance = lightgbm.train(
        {**common, "objective": "binary"}, lightgbm.Dataset(_matrix(mature), late.to_numpy())
    )
    paid = mature.filter(pl.col("settled_on").is_not_null())
    delay = (paid["settled_on"] - paid["due_on"]).dt.total_days().cast(pl.Float64)
    days = lightgbm.train(
        {**common, "objective": "regression"}, lightgbm.Dataset(_matrix(paid), delay.to_numpy())
    )
    inputs = _matrix(tested.features)
    return tested.features.select("invoice_id").with_columns(
        p_late=pl.Series(np.asarray(chance.predict(inputs))),
        days_late_p50=pl.Series(np.asarray(days.predict(inputs))),
    )


def _matrix(rows: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return rows.select(pl.col(_COLUMNS).cast(pl.Float32)).to_numpy()
