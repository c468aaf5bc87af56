"""What is ordinary in this company, learnt from settled past invoices and kept for later drafts.

A scene that holds past rows learns its norms from them; one that holds drafts alone (a shard of a
run, one invoice over HTTP) is given the norms that were learnt before.
"""

from dataclasses import dataclass, field
from typing import Final

import polars as pl

from prebill.core.scoring.features import variance
from prebill.core.scoring.features.payment_everyone import Everyone
from prebill.core.scoring.frames import DAY
from prebill.core.scoring.tails import Yardstick
from prebill.core.scoring.windows import PORTFOLIO_DAYS

#: Invoices of the last weeks that stand for the portfolio beside the drafts.
RECENT_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Norms:
    """What drafts are compared with beside their own customer's past.

    ``constancy``: :func:`invariants.constancy`; ``line_shares``: :func:`invariants.line_shares`;
    ``repeat_share``: share of lines that repeat the previous invoice; ``recent``: ``POOLED``
    columns of the latest invoices; ``moves``: :func:`season.portfolio_moves`; ``meters``:
    :func:`billed_usage.meters`; ``tails``: samples of every statistic; ``judges``: detectors that
    had tails on past rows (the others state theirs); ``payers``: everyone's payments, None where
    nobody is known to have paid.
    """

    constancy: pl.DataFrame
    line_shares: dict[str, float]
    repeat_share: float
    recent: pl.DataFrame
    moves: pl.DataFrame
    meters: pl.DataFrame
    tails: Yardstick = field(default_factory=Yardstick)
    judges: tuple[str, ...] = ()
    payers: Everyone | None = None


def recent_of(compared: pl.DataFrame) -> pl.DataFrame:
    """The latest rows of the portfolio, evenly chosen where there are many.

    Parameters
    ----------
    compared : pl.DataFrame
        From :func:`variance.compared`, of settled past invoices.
    """
    start = pl.col("issued_on").max() - PORTFOLIO_DAYS * DAY
    latest = compared.filter(pl.col("issued_on") > start)
    pooled = latest.select(variance.POOLED).sort("issued_on", maintain_order=True)
    return pooled.gather_every(max(1, -(-pooled.height // RECENT_ROWS)))


def repeat_share_of(rows: pl.DataFrame) -> float:
    """Share of the lines of past invoices that repeat the previous one, pulled to a tenth."""
    past = rows.filter(pl.col("repeat_lines").is_not_null())
    repeated, lines = past["repeat_lines"].sum(), past["line_count"].sum()
    return (float(repeated) + 1.0) / (float(lines) + 10.0)
