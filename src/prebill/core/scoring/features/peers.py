"""The invoice against those of customers like this one: what a new customer is judged by.

Peers have the same currency and the same products; where they are too few, the same currency;
where those are too few, everybody. Amounts enter as logarithms.
"""

from typing import Final

import polars as pl

from prebill.core.schemas.frame import collected
from prebill.core.scoring.features.declaration import AGREED, CORRECTED, LINES, TOTALS, alike
from prebill.core.scoring.windows import PORTFOLIO_DAYS, PORTFOLIO_ROWS

#: What makes peers, the narrowest first; customers in it stand for a customer without a past.
KINDS: Final = ("products", "currency", "everybody")
#: Columns that :func:`groups` adds.
GROUPS: Final = ("peers_products", "peers_currency")
#: Distances below this are rounding noise (1 %).
LEAST_SPREAD: Final = 0.01

FEATURES: Final = alike(
    {
        "total_peers": "log total less the middle of its peers' (same products, else currency), "
        "in their middle distances from it"
    },
    *TOTALS,
    *LINES,
    *CORRECTED,
    *AGREED,
    null=f"fewer than {PORTFOLIO_ROWS} invoices of the last weeks to compare with",
)


def groups(invoices: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Say which invoices are alike.

    Parameters
    ----------
    invoices : pl.DataFrame
        ``invoice_id, currency``.
    lines : pl.DataFrame
        ``invoice_id, product`` of these invoices.

    Returns
    -------
    pl.DataFrame, one row per invoice
        ``invoice_id`` and the columns ``GROUPS``: the currency, and with it the products (null
        without lines).
    """
    sold = (
        lines.lazy()
        .select("invoice_id", "product")
        .unique()
        .sort("product")
        .group_by("invoice_id")
        .agg(pl.col("product").str.join("\x1f"))
    )
    joined = invoices.lazy().join(sold, on="invoice_id", how="left", maintain_order="left")
    return collected(
        joined.select(
            "invoice_id",
            peers_products=pl.concat_str("currency", "product", separator="\x1f"),
            peers_currency="currency",
        )
    )


def features(frame: pl.DataFrame, recent: pl.DataFrame | None) -> pl.DataFrame:
    """Set the totals of invoices beside their peers'.

    Parameters
    ----------
    frame : pl.DataFrame
        ``issued_on, total`` (log) and ``GROUPS``.
    recent : pl.DataFrame or None
        The same columns of the company's latest invoices: a shard's customers may all be small or
        large. None: each row of ``frame`` is compared with the rows of its last weeks.

    Returns
    -------
    pl.DataFrame, in the order of ``frame``
        ``total_peers``, ``peers_center`` (log), ``peers_known`` (how many), ``peers_kind`` (of
        ``KINDS``); null where nobody is there to compare with.
    """
    rows = frame.select("issued_on", "total", *GROUPS).with_columns(everybody=pl.lit(""))
    found = _trailing(rows) if recent is None else _latest(rows, recent)
    kind = pl.coalesce(
        pl.when(pl.col(f"{name}_center").is_not_null()).then(pl.lit(name)) for name in KINDS
    )
    of_kind = {
        part: pl.coalesce(f"{name}_{part}" for name in KINDS)
        for part in ("center", "spread", "known")
    }
    distance = (pl.col("total") - of_kind["center"]) / of_kind["spread"].clip(LEAST_SPREAD)
    return found.select(
        total_peers=distance,
        peers_center=of_kind["center"],
        peers_known=of_kind["known"],
        peers_kind=kind,
    )


def _columns() -> dict[str, str]:
    return dict(zip(KINDS, (*GROUPS, "everybody"), strict=True))


def _trailing(rows: pl.DataFrame) -> pl.DataFrame:
    """Middle, distance and number of each row's groups over its own last weeks."""
    for kind, group in _columns().items():
        counted = pl.col("total").is_not_null().cast(pl.Float64)
        known = counted.rolling_sum_by("issued_on", _WINDOW).over(group)
        center = _rolling_middle(pl.col("total")).over(group)
        is_in = pl.col(group).is_not_null() & (known >= PORTFOLIO_ROWS)
        rows = rows.with_columns(pl.when(is_in).then(center).alias(f"{kind}_center")).with_columns(
            _rolling_middle((pl.col("total") - pl.col(f"{kind}_center")).abs())
            .over(group)
            .alias(f"{kind}_spread"),
            pl.when(is_in).then(known).alias(f"{kind}_known"),
        )
    return rows


def _latest(rows: pl.DataFrame, recent: pl.DataFrame) -> pl.DataFrame:
    """Middle, distance and number of each row's groups in the latest invoices of the company."""
    known = recent.filter(pl.col("total").is_not_null()).with_columns(everybody=pl.lit(""))
    plan = rows.lazy()
    for kind, group in _columns().items():
        total = pl.col("total")
        own = (
            known.lazy()
            .filter(pl.len().over(group) >= PORTFOLIO_ROWS, pl.col(group).is_not_null())
            .with_columns(center=_middle(total).over(group))
            .group_by(group)
            .agg(
                pl.col("center").first().alias(f"{kind}_center"),
                _middle((total - pl.col("center")).abs()).alias(f"{kind}_spread"),
                pl.len().cast(pl.Float64).alias(f"{kind}_known"),
            )
        )
        plan = plan.join(own, on=group, how="left", maintain_order="left")
    return collected(plan)


_WINDOW: Final = f"{PORTFOLIO_DAYS}d"
#: Quantiles and their weights: Tukey's trimean, which neither follows a wrong total nor jumps
#: between two modes as a median does.
_TRIMEAN: Final = {0.25: 0.25, 0.5: 0.5, 0.75: 0.25}


def _middle(value: pl.Expr) -> pl.Expr:
    parts = [weight * value.quantile(quantile, "linear") for quantile, weight in _TRIMEAN.items()]
    return parts[0] + parts[1] + parts[2]


def _rolling_middle(value: pl.Expr) -> pl.Expr:
    parts = [
        weight
        * value.rolling_quantile_by(
            "issued_on", _WINDOW, quantile=quantile, interpolation="linear", min_samples=1
        )
        for quantile, weight in _TRIMEAN.items()
    ]
    return parts[0] + parts[1] + parts[2]
