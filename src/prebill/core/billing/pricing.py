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
from prebill.core.billing.segments import Segments
from prebill.core.calendar import Period
from prebill.core.money import DECIMAL, MAX_AMOUNT_MINOR
from prebill.core.schemas.internal import SKIPS

_ZERO: Final = pl.lit(0, dtype=pl.Int64).cast(DECIMAL)
_BOOK: Final = ["price_book_id", "plan_id", "charge_id"]


@dataclass(frozen=True, slots=True)
class Priced:
    """Lines before tax, and pieces that could not become one."""

    lines: pl.DataFrame
    skips: pl.DataFrame


def price(
    pieces: Segments, quantities: pl.DataFrame, tiers: pl.DataFrame, period: Period
) -> Priced:
    """Price every piece.

    Parameters
    ----------
    pieces : Segments
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
        ``gross_minor``, ``discount_minor``, ``amount_minor`` and ``is_priced`` to the pieces.
    """
    quantified = _with_quantity(pieces, quantities)
    missing = quantified.filter(pl.col("quantity").is_null())
    lines = quantified.filter(pl.col("quantity").is_not_null()).with_row_index("row")
    lines = lines.with_columns(billable=_billable())
    amounts = _amounts(lines, _keyed_tiers(tiers, pieces.charges))
    whole = lines.join(amounts, on="row", how="left", maintain_order="left")
    is_above = (pl.col("amount") * pl.col("factor")).abs() >= pl.lit(MAX_AMOUNT_MINOR).cast(DECIMAL)
    too_large = whole.filter(is_above)
    sound = whole if too_large.is_empty() else whole.filter(~is_above)
    skips = pl.concat(
        [
            _skipped(missing, "no_quantity", period),
            _skipped(too_large, "amount_above_limit", period),
        ]
    )
    return Priced(without_floats(_rounded(sound), "price"), skips)


def _with_quantity(pieces: Segments, quantities: pl.DataFrame) -> pl.DataFrame:
    """Add the facts of the charge and the quantity: 1, the phase's, or the metered one."""
    facts = pieces.charges.select(
        "charge_key",
        "currency",
        "factor",
        "charge_model",
        "timing",
        "meter",
        "unit_price",
        "package_size",
        "included_quantity",
        "tax_category",
        charge_name="name",
    )
    window = ["subscription_id", "charge_id", "service_start_on", "service_end_on"]
    metered_quantities = quantities.select(
        "subscription_id",
        "charge_id",
        service_start_on="window_start_on",
        service_end_on="window_end_on",
        metered_quantity="quantity",
    ).unique(window, keep="any")
    is_metered = pl.col("quantity_source") == "metered"
    fixed = pieces.pieces.filter(~is_metered).with_columns(
        quantity=pl.when(pl.col("quantity_source") == "subscribed")
        .then("quantity")
        .otherwise(pl.lit(1, dtype=pl.Int64).cast(DECIMAL))
    )
    metered = (
        pieces.pieces.filter(is_metered)
        .join(metered_quantities, on=window, how="left")
        .with_columns(quantity="metered_quantity")
        .select(fixed.columns)
    )
    return pl.concat([fixed, metered]).join(facts, on="charge_key", how="left")


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
    is_shared = (pl.col("quantity_source") == "metered") & (pl.col("share_denominator") > 1)
    free = pl.when(is_shared).then(share).otherwise(included)
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
    """Apply share and discount; round each once."""
    is_metered = pl.col("quantity_source") == "metered"
    one = pl.lit(1, dtype=pl.Int64)
    numerator = pl.when(is_metered).then(one).otherwise("share_numerator")
    denominator = pl.when(is_metered).then(one).otherwise("share_denominator")
    tiered = [name for name, model in CHARGE_MODELS.items() if model.needs_tiers]
    average = pl.when(pl.col("billable") > _ZERO).then(pl.col("amount") / pl.col("billable"))
    shared = lines.with_columns(
        amount_unrounded=pl.col("amount") * numerator.cast(DECIMAL) / denominator.cast(DECIMAL),
        gross_minor=round_share(pl.col("amount") * pl.col("factor"), numerator, denominator),
        unit_price=pl.when(pl.col("charge_model").is_in(tiered))
        .then(average)
        .otherwise("unit_price"),
    )
    discounted = shared.with_columns(
        discount_minor=discount_minor(pl.col("gross_minor"), pl.col("discount_percent"))
    )
    return discounted.with_columns(amount_minor=pl.col("gross_minor") - pl.col("discount_minor"))


def _skipped(rows: pl.DataFrame, reason: str, period: Period) -> pl.DataFrame:
    named = rows.with_columns(reason=pl.lit(reason), period=pl.lit(period.name))
    return SKIPS.conform(named).unique(list(SKIPS.key))
