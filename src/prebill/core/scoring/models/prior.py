"""Payment figures where no model could be fitted: the portfolio's own rate, or a stated prior.

Payment figures are never null; this is what a cold company or a broken model falls back to.
"""

from typing import Final

import numpy as np
import polars as pl

#: Pseudo-invoices with which a short history is pulled to the stated prior.
PRIOR_WEIGHT: Final = 20.0
PRIOR_LATE: Final = 0.30
PRIOR_DAYS: Final = (-5.0, 0.0, 14.0)
#: An invoice still open this long after its due date has settled late whatever happens.
MATURE_DAYS: Final = 45


def predict_prior(drafts: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """Give every draft the portfolio's figures.

    Parameters
    ----------
    drafts : pl.DataFrame
        ``invoice_id``.
    settled : pl.DataFrame
        ``due_on``, ``settled_on`` (null: still open, so late) of mature invoices; may be empty.

    Returns
    -------
    pl.DataFrame, one row per draft
        ``invoice_id, p_late, days_late_p10, days_late_p50, days_late_p90``.
    """
    delays = (settled["settled_on"] - settled["due_on"]).dt.total_days().cast(pl.Float64)
    is_late = delays.is_null() | (delays > 0)
    late = float(is_late.sum())
    rate = (late + PRIOR_WEIGHT * PRIOR_LATE) / (settled.height + PRIOR_WEIGHT)
    known = delays.drop_nulls().to_numpy()
    days = PRIOR_DAYS if len(known) < PRIOR_WEIGHT else tuple(np.quantile(known, [0.1, 0.5, 0.9]))
    return drafts.select(
        "invoice_id",
        p_late=pl.lit(rate),
        days_late_p10=pl.lit(float(days[0])),
        days_late_p50=pl.lit(float(days[1])),
        days_late_p90=pl.lit(float(days[2])),
    )
