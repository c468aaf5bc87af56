"""Payment figures where no model answers: a stated prior. Payment figures are never null."""

from typing import Final

import polars as pl

PRIOR_LATE: Final = 0.30
PRIOR_DAYS: Final = (-5.0, 0.0, 14.0)
PRIOR_NEVER: Final = 0.003


def predict_prior(drafts: pl.DataFrame) -> pl.DataFrame:
    """Give every draft the stated prior.

    Returns
    -------
    pl.DataFrame, one row per draft
        ``invoice_id, p_late, days_late_p10, days_late_p50, days_late_p90, p_never``.
    """
    early, middle, late = PRIOR_DAYS
    return drafts.select(
        "invoice_id",
        p_late=pl.lit(PRIOR_LATE),
        days_late_p10=pl.lit(early),
        days_late_p50=pl.lit(middle),
        days_late_p90=pl.lit(late),
        p_never=pl.lit(PRIOR_NEVER),
    )
