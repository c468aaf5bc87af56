"""How long cases wait for reviewers who work so many hours a day, one case after the other. Pure.

Cases of a day come in the morning, holds first; nobody picks. Exact for that order (Lindley's
recursion), a bound for the order by money: there the few that matter wait less.
"""

from typing import Final

import numpy as np
import polars as pl

_DAY: Final = 24.0


def breaching_share(cases: pl.DataFrame, *, hours_per_day: float) -> float | None:
    """The share of cases that are answered after their deadline.

    Parameters
    ----------
    cases : pl.DataFrame, one row per case
        ``day`` (date), ``action`` (review or hold), ``minutes`` of a reviewer, ``allowed_hours`` by
        the clock from the day's beginning until the case is due.
    hours_per_day : float
        Of all reviewers together, above zero, spread evenly over the day.

    Returns
    -------
    float or None
        None: there is no case.

    Examples
    --------
    Ten cases of one morning, half an hour each, and one reviewer hour a day: two a day are done, so
    that only the first keeps a deadline of 12 hours.

    >>> from datetime import date
    >>> morning = {"day": [date(2026, 11, 2)] * 10, "action": "review", "minutes": 30.0}
    >>> breaching_share(pl.DataFrame(morning | {"allowed_hours": 12.0}), hours_per_day=1)
    0.9
    """
    if cases.is_empty():
        return None
    queue = cases.sort("day", pl.col("action") != "hold", maintain_order=True)
    arrived = queue["day"].cast(pl.Int32).to_numpy().astype(float) * _DAY
    work = queue["minutes"].to_numpy() / 60.0 * _DAY / hours_per_day
    done_before = np.cumsum(work) - work
    # Done at max over earlier cases of (arrival + all work from it on): nobody waits while idle.
    ended = np.maximum.accumulate(arrived - done_before) + done_before + work
    # A case that ends at its deadline kept it, whatever the last bit of the sum says.
    late = ended - arrived > queue["allowed_hours"].to_numpy() + 1e-6
    return float(late.mean())
