"""Volume: all units at the price of the tier that the quantity reaches, plus its flat fee.

Tiers are (from, up_to]; zero is in no tier and costs nothing.
"""

import polars as pl

from prebill.core.billing.charges.base import ZERO, ChargeModel


def volume(lines: pl.DataFrame, tiers: pl.DataFrame) -> pl.DataFrame:
    """Price all units at the reached tier.

    Examples
    --------
    >>> from prebill.core.money import DECIMAL
    >>> lines = pl.DataFrame({"row": [0, 1], "charge_key": [1, 1], "billable": ["10", "12"]})
    >>> tiers = pl.DataFrame({"charge_key": [1, 1], "from_quantity": ["0", "10"],
    ...     "up_to_quantity": ["10", None], "unit_price": ["2", "1"], "flat_fee": ["0", "5"]})
    >>> done = volume(lines.with_columns(pl.col("billable").cast(DECIMAL)),
    ...     tiers.with_columns(pl.exclude("charge_key").cast(DECIMAL)))
    >>> [str(amount) for amount in done.sort("row")["amount"]]
    ['20.000000000000', '17.000000000000']
    """
    up_to = pl.col("up_to_quantity")
    reached = (
        lines.select("row", "charge_key", "billable")
        .join(tiers, on="charge_key", how="inner")
        .filter(pl.col("billable") > pl.col("from_quantity"))
        .filter(up_to.is_null() | (pl.col("billable") <= up_to))
        # Overlapping tiers are a fault of the price book: the highest one counts, and is reported.
        .sort("row", "from_quantity")
        .group_by("row", maintain_order=True)
        .agg(
            amount=(pl.col("billable") * pl.col("unit_price") + pl.col("flat_fee")).last(),
            matches=pl.len(),
        )
    )
    result = lines.select("row", "billable").join(reached, on="row", how="left")
    matches = pl.col("matches").fill_null(0)
    return result.select(
        "row",
        amount=pl.col("amount").fill_null(ZERO),
        is_priced=(matches == 1) | ((pl.col("billable") == ZERO) & (matches == 0)),
    )


VOLUME = ChargeModel("volume", volume, needs_tiers=True)
