"""Segments: each charge of the terms in force, cut into the pieces that become lines.

* prorated charges: one piece a phase, cut again where its discount ends;
* charges that are not prorated: once a period, in full, on the terms of the first phase;
* metered charges: one window for as long as price and discount stay the same, so that a change of
  seats does not start the tiers again. Their included units are shared by days if ``is_prorated``.
"""

from dataclasses import dataclass

import polars as pl

from prebill.core.billing.charges import CHARGE_MODELS
from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.metering import WINDOWS
from prebill.core.billing.proration import DAY_ACTUAL, PRORATION_POLICIES
from prebill.core.billing.terms import every_charge, terms_in_force
from prebill.core.calendar import Period, start_of_day_at
from prebill.core.money import minor_factor
from prebill.core.schemas.internal import SKIPS

_INSTANT = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Segments:
    """Pieces to price, one row a line to be; the charges they refer to; skips.

    ``pieces`` has ``charge_key`` (row of ``charges``), ``service_start_on``, ``service_end_on``,
    share columns, ``discount_percent`` in force, and the terms. Fractions of a period are stated,
    not applied.
    """

    pieces: pl.DataFrame
    charges: pl.DataFrame
    skips: pl.DataFrame


def segments(inputs: BillingInputs, period: Period) -> Segments:
    """Cut every charge in force into pieces; a function of reference data only, not of usage."""
    terms = terms_in_force(inputs, period)
    charges = priceable_charges(inputs)
    book = ["price_book_id", "plan_id"]
    plans = charges.select(book).unique()
    known = terms.phases.join(plans, on=book, how="semi")
    lost = terms.phases.join(plans, on=book, how="anti")
    keys = charges.select(
        *book, "charge_key", "quantity_source", "is_prorated", "reason", "charge_id"
    )
    joined = known.join(keys, on=book, how="inner")
    good = joined.filter(pl.col("reason").is_null()).drop("reason")
    is_metered = pl.col("quantity_source") == "metered"
    pieces = pl.concat(
        [
            _by_phase(good.filter(~is_metered & pl.col("is_prorated"))),
            _once(good.filter(~is_metered & ~pl.col("is_prorated"))),
            _by_window(good.filter(is_metered)),
        ]
    )
    skips = pl.concat(
        [
            terms.skips,
            every_charge(_unknown_plans(lost, inputs), period),
            _charge_skips(joined.filter(pl.col("reason").is_not_null()), period),
        ]
    )
    return Segments(_with_share(pieces, period), charges, skips)


def priceable_charges(inputs: BillingInputs) -> pl.DataFrame:
    """Number the charges and say which can't be billed at all (``reason``)."""
    books = inputs.price_books.select("price_book_id", "currency")
    names = inputs.plans.select("price_book_id", "plan_id")
    charges = (
        inputs.charges.join(names, on=["price_book_id", "plan_id"], how="semi")
        .join(books, on="price_book_id", how="inner")
        .sort("charge_id", "plan_id", "price_book_id")
        .with_row_index("charge_key")
    )
    is_metered = pl.col("quantity_source") == "metered"
    is_unknown_meter = ~pl.col("meter").is_in(inputs.meters["meter"].implode())
    reason = (
        pl.when(pl.col("factor").is_null())
        .then(pl.lit("unknown_currency"))
        .when(~pl.col("charge_model").is_in(list(CHARGE_MODELS)))
        .then(pl.lit("unknown_charge_model"))
        .when(~pl.col("quantity_source").is_in(["fixed", "subscribed", "metered"]))
        .then(pl.lit("unknown_quantity_source"))
        .when(is_metered & is_unknown_meter.fill_null(value=True))
        .then(pl.lit("unknown_meter"))
    )
    return charges.with_columns(factor=minor_factor(pl.col("currency"))).with_columns(reason=reason)


def windows_of(pieces: Segments) -> pl.DataFrame:
    """Return the WINDOWS of the metered pieces, with their instants in the contract's zone."""
    meters = pieces.charges.select("charge_key", "meter")
    rows = (
        pieces.pieces.filter(pl.col("quantity_source") == "metered")
        .join(meters, on="charge_key", how="left")
        .with_columns(window_start_on="service_start_on", window_end_on="service_end_on")
    )
    starts = instants_of(rows, "window_start_on", "window_start_at")
    ends = instants_of(rows, "window_end_on", "window_end_at")
    zoned = rows.join(starts, on=["window_start_on", "time_zone"], how="left").join(
        ends, on=["window_end_on", "time_zone"], how="left"
    )
    return WINDOWS.conform(zoned.unique(list(WINDOWS.key))).sort(WINDOWS.key)


def instants_of(rows: pl.DataFrame, date_column: str, name: str) -> pl.DataFrame:
    """Map each different (date, zone) to the instant at which the day begins there."""
    pairs = rows.select(date_column, "time_zone").unique()
    instants = [start_of_day_at(day, name) for day, name in pairs.iter_rows()]
    return pairs.with_columns(pl.Series(name, instants, dtype=_INSTANT))


def _by_phase(rows: pl.DataFrame) -> pl.DataFrame:
    """One piece a phase, two where the discount ends inside of it."""
    ends_on = pl.col("discount_ends_on")
    is_cut = (ends_on > pl.col("in_force_from_on")) & (ends_on < pl.col("in_force_to_on"))
    marked = rows.with_columns(is_cut=is_cut.fill_null(value=False))
    cut = marked.filter("is_cut")
    whole = marked.filter(~pl.col("is_cut"))
    parts = pl.concat(
        [
            whole,
            cut.with_columns(in_force_to_on="discount_ends_on"),
            cut.with_columns(in_force_from_on="discount_ends_on"),
        ]
    )
    return _served(parts.drop("is_cut"))


def _once(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the first phase of each charge; it serves until the charge is last in force."""
    key = ["subscription_id", "charge_id"]
    is_alone = ~rows.select(pl.struct(key).is_duplicated()).to_series()
    alone, several = rows.filter(is_alone), rows.filter(~is_alone)
    first = several.filter(pl.col("in_force_from_on") == pl.col("in_force_from_on").min().over(key))
    ends = several.group_by(key).agg(last_on=pl.col("in_force_to_on").max())
    lengthened = first.join(ends, on=key).with_columns(in_force_to_on="last_on").drop("last_on")
    return _served(pl.concat([alone, lengthened.select(alone.columns)]))


def _by_window(rows: pl.DataFrame) -> pl.DataFrame:
    """Join neighbouring phases of one charge at one price and discount to one window."""
    same = ["subscription_id", "charge_key", "discount_percent", "discount_ends_on"]
    pair = ["subscription_id", "charge_key"]
    is_alone = ~rows.select(pl.struct(pair).is_duplicated()).to_series()
    alone, several = rows.filter(is_alone), rows.filter(~is_alone)
    ordered = several.sort(*same, "in_force_from_on", "phase_id", nulls_last=True)
    follows = pl.col("in_force_from_on") == pl.col("in_force_to_on").shift(1).over(same)
    runs = ordered.with_columns(
        run=(~follows.fill_null(value=False)).cast(pl.Int64).cum_sum().over(same)
    )
    ends = runs.group_by(*same, "run").agg(last_on=pl.col("in_force_to_on").max())
    first = runs.filter(pl.struct(*same, "run").is_first_distinct())
    merged = (
        first.join(ends, on=[*same, "run"], how="left", nulls_equal=True)
        .with_columns(in_force_to_on="last_on")
        .select(rows.columns)
    )
    return _served(pl.concat([alone, merged]))


def _served(rows: pl.DataFrame) -> pl.DataFrame:
    """Name the service days and put the discount in force on their first day on the piece."""
    is_over = pl.col("discount_ends_on") <= pl.col("in_force_from_on")
    none = pl.lit(0, dtype=pl.Int64).cast(rows.schema["discount_percent"])
    in_force = pl.when(is_over.fill_null(value=False)).then(none).otherwise("discount_percent")
    return rows.with_columns(discount_percent=in_force).rename(
        {"in_force_from_on": "service_start_on", "in_force_to_on": "service_end_on"}
    )


def _with_share(pieces: pl.DataFrame, period: Period) -> pl.DataFrame:
    """State the share of the period that each piece serves, under the contract's policy.

    A policy that is not known is replaced by ``day_actual`` and reported later.
    """
    days = (pl.col("service_end_on") - pl.col("service_start_on")).dt.total_days()
    is_part = pl.col("is_prorated") & (days < period.days)
    policy = pl.col("proration_policy")
    names = list(PRORATION_POLICIES)
    rule = pl.when(policy.is_in(names)).then(policy).otherwise(pl.lit(DAY_ACTUAL.name))
    numerator, denominator = pl.lit(1, dtype=pl.Int64), pl.lit(1, dtype=pl.Int64)
    for name, known in PRORATION_POLICIES.items():
        is_own = is_part & (rule == name)
        share = known.numerator(days, period)
        numerator = pl.when(is_own).then(share).otherwise(numerator)
        denominator = pl.when(is_own).then(known.denominator(period)).otherwise(denominator)
    return pieces.with_columns(
        share_numerator=numerator.cast(pl.Int64),
        share_denominator=denominator.cast(pl.Int64),
        proration_rule=pl.when(is_part).then(rule),
        is_policy_known=policy.is_in(names),
    )


def _unknown_plans(lost: pl.DataFrame, inputs: BillingInputs) -> pl.DataFrame:
    has_book = pl.col("price_book_id").is_in(inputs.price_books["price_book_id"].implode())
    plans = inputs.plans.select("price_book_id", "plan_id", has_plan=pl.lit(value=True))
    named = lost.join(plans, on=["price_book_id", "plan_id"], how="left")
    reason = (
        pl.when(~has_book)
        .then(pl.lit("unknown_price_book"))
        .when(pl.col("has_plan").is_null())
        .then(pl.lit("unknown_plan"))
        .otherwise(pl.lit("no_charges"))
    )
    return named.select("contract_id", "subscription_id", reason=reason).unique(
        ["contract_id", "subscription_id"]
    )


def _charge_skips(rows: pl.DataFrame, period: Period) -> pl.DataFrame:
    skips = SKIPS.conform(rows.with_columns(period=pl.lit(period.name)))
    return skips.unique(list(SKIPS.key))
