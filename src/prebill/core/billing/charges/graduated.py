"""Graduated: each tier's share of the quantity at that tier's own price.

Tiers are (from, up_to]. A tier is entered when the quantity is above its ``from``; its flat fee is
due then, so a quantity of zero enters no tier and costs nothing.
"""

import polars as pl

from prebill.core.billing.charges.base import ZERO, ChargeModel


def graduated(lines: pl.DataFrame, tiers: pl.DataFrame) -> pl.DataFrame:
    """Price each tier's part of the quantity and add the fees of the tiers entered.

    Examples
    --------
    >>> from prebill.core.money import DECIMAL
    >>> lines = pl.DataFrame({"row": [0], "charge_key": [1], "billable": ["12"]})
    >>> tiers = pl.DataFrame({"charge_key": [1, 1], "from_quantity": ["0", "10"],
    ...     "up_to_quantity": ["10", None], "unit_price": ["2", "1"], "flat_fee": ["0", "5"]})
    >>> done = graduated(lines.with_columns(pl.col("billable").cast(DECIMAL)),
    ...     tiers.with_columns(pl.exclude("charge_key").cast(DECIMAL)))
    >>> str(done["amount"][0]), done["is_priced"][0]
    ('27.000000000000', True)
    """
    entered = (
        lines.select("row", "charge_key", "billable")
        .join(tiers, on="charge_key", how="inner")
        .filter(pl.col("billable") > pl.col("from_quantity"))
    )
    reached = pl.min_horizontal("billable", "up_to_quantity")
    parts = entered.with_columns(part=pl.max_horizontal(reached - pl.col("from_quantity"), ZERO))
    sums = parts.group_by("row").agg(
        amount=(pl.col("part") * pl.col("unit_price") + pl.col("flat_fee")).sum(),
        covered=pl.col("part").sum(),
    )
    result = lines.select("row", "billable").join(sums, on="row", how="left")
    return result.select(
        "row",
        amount=pl.col("amount").fill_null(ZERO),
        is_priced=pl.col("covered").fill_null(ZERO) == pl.col("billable"),
    )


GRADUATED = ChargeModel("graduated", graduated, needs_tiers=True)
