"""Pricing: pieces with quantities become lines with gross, discount and net amount.

The order is fixed: quantity, less included units, charge model, share of the period, rounding to
minor units (gross), percent discount (rounded), net. Each step is a column of the line.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.billing.charges import CHARGE_MODELS
from prebill.core.billing.checks import without_floats
from prebill.core.billing.discounts import discount_minor
from prebill.core.billing.proration import round_share
from prebill.core.billing.segments import Segments, named_skips
from prebill.core.calendar import Period
from prebill.core.money import DECIMAL, MAX_AMOUNT_MINOR, round_minor

_ZERO: Final = pl.lit(0, dtype=pl.Int64).cast(DECIMAL)
_ONE: Final = pl.lit(1, dtype=pl.Int64)
_BOOK: Final = ["price_book_id", "plan_id", "charge_id"]
#: What pricing must know of a charge.
_FACTS: Final = [
    "charge_key",
    "charge_model",
    "quantity_source",
    "factor",
    "unit_price",
    "package_size",
    "included_quantity",
]


@dataclass(frozen=True, slots=True)
class Priced:
    """Lines before tax, and pieces that could not become one."""

    lines: pl.DataFrame
    skips: pl.DataFrame


def price(cut: Segments, quantities: pl.DataFrame, tiers: pl.DataFrame, period: Period) -> Priced:
    """Price every piece.

    Parameters
    ----------
    cut : Segments
        From :func:`prebill.core.billing.segments.segments`.
    quantities : pl.DataFrame, QUANTITIES
        One row a metered piece; a piece without one is skipped as ``no_quantity``, never billed as
        if nothing had been used.
    tiers : pl.DataFrame, TIERS
        Tiers of graduated and volume charges.
    period : Period
        Billing period.

    Returns
    -------
    Priced
        ``lines`` adds ``quantity``, ``billable``, ``unit_price``, ``amount_unrounded``,
        ``gross_minor``, ``discount_minor``, ``amount_minor`` and ``is_priced`` to the pieces, and
        keeps their order.
    """
    facts = cut.charges.select(_FACTS)
    known = _with_quantity(cut, quantities).join(
        facts, on="charge_key", how="left", maintain_order="left"
    )
    is_fixed = pl.col("quantity_source") == "fixed"
    known = known.with_columns(
        quantity=pl.when(is_fixed).then(_ONE.cast(DECIMAL)).otherwise("quantity")
    )
    missing = known.filter(pl.col("quantity").is_null())
    counted = known.filter(pl.col("quantity").is_not_null()) if missing.height else known
    lines = counted.with_columns(billable=_billable()).with_row_index("row")
    amounts = _amounts(lines, _keyed_tiers(tiers, cut.charges))
    priced = lines.join(amounts, on="row", how="left", maintain_order="left")
    limit = pl.lit(MAX_AMOUNT_MINOR, dtype=pl.Int64).cast(DECIMAL)
    too_large = priced.filter((pl.col("amount") * pl.col("factor")).abs() >= limit)
    sound = priced.join(too_large, on="row", how="anti") if too_large.height else priced
    skips = pl.concat(
        [
            named_skips(rows, pl.lit(reason), cut.charges, cut.terms, period)
            for rows, reason in ((missing, "no_quantity"), (too_large, "amount_above_limit"))
        ]
    )
    return Priced(without_floats(_rounded(sound), "price"), skips)


def _with_quantity(cut: Segments, quantities: pl.DataFrame) -> pl.DataFrame:
    """Replace the quantity of metered pieces by the metered one, null where there is none."""
    window = ["sub_row", "charge_no", "service_start_on", "service_end_on"]
    subscriptions = cut.terms.subscriptions.select("sub_row", "subscription_id")
    numbers = cut.charges.select("charge_no", "charge_id").unique()
    metered = (
        quantities.select(
            "subscription_id",
            "charge_id",
            "quantity",
            service_start_on="window_start_on",
            service_end_on="window_end_on",
        )
        .join(subscriptions, on="subscription_id", how="inner")
        .join(numbers, on="charge_id", how="inner")
        .select(*window, metered="quantity")
    )
    # The same window asked for by two plans of one subscription has one quantity.
    once = metered.unique(window, keep="any")
    return (
        cut.pieces.join(once, on=window, how="left", maintain_order="left")
        .with_columns(quantity=pl.when("is_metered").then("metered").otherwise("quantity"))
        .drop("metered")
    )


def _billable() -> pl.Expr:
    """Units above the included ones; a metered part of a period includes its share of them.

    The share of included units is kept to 12 decimals, half away from zero.
    """
    included = pl.col("included_quantity")
    share = (
        included
        * pl.col("share_numerator").cast(DECIMAL)
        / pl.col("share_denominator").cast(DECIMAL)
    )
    free = pl.when(pl.col("is_metered")).then(share).otherwise(included)
    return pl.max_horizontal(pl.col("quantity") - free, _ZERO)


def _keyed_tiers(tiers: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """Refer tiers to the number of their charge."""
    return tiers.join(charges.select(*_BOOK, "charge_key"), on=_BOOK, how="inner").drop(_BOOK)


def _amounts(lines: pl.DataFrame, tiers: pl.DataFrame) -> pl.DataFrame:
    """Price each line by its model: ``row``, ``amount``, ``is_priced``."""
    narrow = lines.select(
        "row", "charge_key", "charge_model", "billable", "unit_price", "package_size"
    )
    schema = pl.Schema({"row": pl.UInt32(), "amount": DECIMAL, "is_priced": pl.Boolean()})
    parts = [pl.DataFrame(schema=schema)]
    for name in narrow["charge_model"].unique().sort():
        own = narrow.filter(pl.col("charge_model") == name)
        parts.append(CHARGE_MODELS[name].price(own, tiers).select(list(schema)))
    return pl.concat(parts)


def _rounded(lines: pl.DataFrame) -> pl.DataFrame:
    """Apply share and discount; round each once. Only amounts that are not metered are shared."""
    is_shared = ~pl.col("is_metered") & (pl.col("share_denominator") > 1)
    numerator, denominator = pl.col("share_numerator"), pl.col("share_denominator")
    tiered = [name for name, model in CHARGE_MODELS.items() if model.needs_tiers]
    average = pl.when(pl.col("billable") > _ZERO).then(pl.col("amount") / pl.col("billable"))
    is_tiered = pl.col("charge_model").is_in(tiered)
    in_full = lines.filter(~is_shared).with_columns(
        amount_unrounded=pl.col("amount"),
        gross_minor=round_minor(pl.col("amount") * pl.col("factor")),
    )
    in_part = lines.filter(is_shared).with_columns(
        amount_unrounded=pl.col("amount") * numerator.cast(DECIMAL) / denominator.cast(DECIMAL),
        gross_minor=round_share(pl.col("amount") * pl.col("factor"), numerator, denominator),
    )
    shared = pl.concat([in_full, in_part]).sort("row") if in_part.height else in_full
    return (
        shared.with_columns(
            unit_price=pl.when(is_tiered).then(average).otherwise("unit_price"),
            discount_minor=discount_minor(pl.col("gross_minor"), pl.col("discount_percent")),
        )
        .with_columns(amount_minor=pl.col("gross_minor") - pl.col("discount_minor"))
        .drop("row", "amount")
    )
