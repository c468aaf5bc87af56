"""Segments: each charge of the terms in force, cut into the pieces that become lines.

* prorated charges: one piece a phase, cut again where its discount ends;
* charges that are not prorated: once a period, in full, on the terms of the first phase;
* metered charges: one window for as long as price and discount stay the same, so that a change of
  seats does not start the tiers again. Their included units are shared by days if ``is_prorated``.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.billing.charges import CHARGE_MODELS
from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.metering import WINDOWS
from prebill.core.billing.proration import DAY_ACTUAL, PRORATION_POLICIES
from prebill.core.billing.terms import Terms, every_charge, terms_in_force
from prebill.core.calendar import Period, start_of_day_at
from prebill.core.money import minor_factor
from prebill.core.schemas.internal import SKIPS

_INSTANT: Final = pl.Datetime("us", "UTC")
_BOOK: Final = ["price_book_id", "plan_id"]


@dataclass(frozen=True, slots=True)
class Segments:
    """Pieces to price, one row a line to be, in the order of the documents.

    ``pieces`` refers to ``terms`` by ``sub_row`` and ``phase_row`` and to ``charges`` by
    ``charge_key``. It has ``service_start_on``, ``service_end_on``, ``quantity`` of the phase,
    ``discount_percent`` in force, and the share of the period, stated but not applied.
    """

    pieces: pl.DataFrame
    charges: pl.DataFrame
    terms: Terms
    skips: pl.DataFrame


def segments(inputs: BillingInputs, period: Period) -> Segments:
    """Cut every charge in force into pieces; a function of reference data only, not of usage."""
    terms = terms_in_force(inputs, period)
    charges = priceable_charges(inputs)
    plans = charges.select(*_BOOK, "plan_key").unique()
    phases = terms.phases.join(plans, on=_BOOK, how="left").drop("phase_id", *_BOOK)
    keys = charges.select(
        "plan_key", "charge_key", "charge_no", "is_metered", "is_prorated", "reason"
    )
    joined = phases.join(keys, on="plan_key", how="inner").drop("plan_key")
    good = joined.filter(pl.col("reason").is_null()).drop("reason")
    pieces = pl.concat(
        [
            _by_phase(good.filter(~pl.col("is_metered") & pl.col("is_prorated"))),
            _once(good.filter(~pl.col("is_metered") & ~pl.col("is_prorated"))),
            _by_window(good.filter("is_metered")),
        ]
    ).sort("sub_row", "charge_no", "service_start_on", "charge_key", "phase_row")
    lost = phases.filter(pl.col("plan_key").is_null())
    refused = joined.filter(pl.col("reason").is_not_null())
    skips = pl.concat(
        [
            terms.skips,
            _unknown_plans(lost.select("phase_row"), terms, inputs, period),
            _refused(refused, charges, terms, period),
        ]
    )
    shared = _with_share(pieces, terms.subscriptions, period)
    return Segments(shared, charges, terms, skips)


def priceable_charges(inputs: BillingInputs) -> pl.DataFrame:
    """Number the charges by charge id, and say which can't be billed at all (``reason``)."""
    books = inputs.price_books.select("price_book_id", "currency")
    names = inputs.plans.select(_BOOK)
    charges = (
        inputs.charges.join(names, on=_BOOK, how="semi")
        .join(books, on="price_book_id", how="inner")
        .sort("charge_id", "plan_id", "price_book_id")
        .with_row_index("charge_key")
        .with_columns(
            charge_no=pl.col("charge_id").rank("dense").cast(pl.UInt32),
            plan_key=pl.struct(_BOOK).rank("dense").cast(pl.UInt32),
            is_metered=pl.col("quantity_source") == "metered",
            factor=minor_factor(pl.col("currency")),
        )
    )
    is_unknown_meter = ~pl.col("meter").is_in(inputs.meters["meter"].implode())
    reason = (
        pl.when(pl.col("factor").is_null())
        .then(pl.lit("unknown_currency"))
        .when(~pl.col("charge_model").is_in(list(CHARGE_MODELS)))
        .then(pl.lit("unknown_charge_model"))
        .when(~pl.col("quantity_source").is_in(["fixed", "subscribed", "metered"]))
        .then(pl.lit("unknown_quantity_source"))
        .when(pl.col("is_metered") & is_unknown_meter.fill_null(value=True))
        .then(pl.lit("unknown_meter"))
    )
    return charges.with_columns(reason=reason)


def windows_of(cut: Segments) -> pl.DataFrame:
    """Return the WINDOWS of the metered pieces, with their instants in the contract's zone."""
    subscriptions = cut.terms.subscriptions.select(
        "sub_row", "subscription_id", "customer_id", "time_zone"
    )
    rows = (
        cut.pieces.filter("is_metered")
        .select(
            "sub_row",
            "charge_key",
            window_start_on="service_start_on",
            window_end_on="service_end_on",
        )
        .join(subscriptions, on="sub_row", how="left", maintain_order="left")
        .join(
            cut.charges.select("charge_key", "charge_id", "meter"),
            on="charge_key",
            how="left",
            maintain_order="left",
        )
    )
    bounds = rows.select("window_start_on", "window_end_on", "time_zone").unique()
    instants = bounds.with_columns(
        pl.Series(
            name.replace("_on", "_at"),
            [start_of_day_at(day, zone) for day, zone in bounds.select(name, "time_zone").rows()],
            dtype=_INSTANT,
        )
        for name in ("window_start_on", "window_end_on")
    )
    zoned = rows.join(instants, on=bounds.columns, how="left", maintain_order="left")
    return WINDOWS.conform(zoned)


def _by_phase(rows: pl.DataFrame) -> pl.DataFrame:
    """One piece a phase, two where the discount ends inside of it."""
    ends_on = pl.col("discount_ends_on")
    is_cut = (ends_on > pl.col("in_force_from_on")) & (ends_on < pl.col("in_force_to_on"))
    marked = rows.with_columns(is_cut=is_cut.fill_null(value=False))
    cut = marked.filter("is_cut")
    parts = pl.concat(
        [
            marked.filter(~pl.col("is_cut")),
            cut.with_columns(in_force_to_on="discount_ends_on"),
            cut.with_columns(in_force_from_on="discount_ends_on"),
        ]
    )
    return _served(parts.drop("is_cut"))


def _once(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the first phase of each charge; it serves until the charge is last in force."""
    key = ["sub_row", "charge_no"]
    alone, several = rows.filter("is_alone"), rows.filter(~pl.col("is_alone"))
    if several.is_empty():
        return _served(alone)
    first = several.filter(pl.col("in_force_from_on") == pl.col("in_force_from_on").min().over(key))
    ends = several.group_by(key).agg(last_on=pl.col("in_force_to_on").max())
    lengthened = first.join(ends, on=key).with_columns(in_force_to_on="last_on")
    return _served(pl.concat([alone, lengthened.select(alone.columns)]))


def _by_window(rows: pl.DataFrame) -> pl.DataFrame:
    """Join neighbouring phases of one charge at one price and discount to one window."""
    same = ["sub_row", "charge_key", "discount_percent", "discount_ends_on"]
    alone, several = rows.filter("is_alone"), rows.filter(~pl.col("is_alone"))
    if several.is_empty():
        return _served(alone)
    ordered = several.sort(*same, "in_force_from_on", "phase_row", nulls_last=True)
    follows = pl.col("in_force_from_on") == pl.col("in_force_to_on").shift(1).over(same)
    run = (~follows.fill_null(value=False)).cast(pl.Int64).cum_sum().over(same)
    runs = ordered.with_columns(run=run)
    ends = runs.group_by(*same, "run").agg(last_on=pl.col("in_force_to_on").max())
    first = runs.filter(pl.struct(*same, "run").is_first_distinct())
    merged = first.join(ends, on=[*same, "run"], how="left", nulls_equal=True)
    lengthened = merged.with_columns(in_force_to_on="last_on").select(rows.columns)
    return _served(pl.concat([alone, lengthened]))


def _served(rows: pl.DataFrame) -> pl.DataFrame:
    """Name the service days and put the discount in force on their first day on the piece."""
    is_over = pl.col("discount_ends_on") <= pl.col("in_force_from_on")
    none = pl.lit(0, dtype=pl.Int64).cast(rows.schema["discount_percent"])
    in_force = pl.when(is_over.fill_null(value=False)).then(none).otherwise("discount_percent")
    return (
        rows.with_columns(discount_percent=in_force)
        .rename({"in_force_from_on": "service_start_on", "in_force_to_on": "service_end_on"})
        .drop("discount_ends_on", "is_alone")
    )


def _with_share(pieces: pl.DataFrame, subscriptions: pl.DataFrame, period: Period) -> pl.DataFrame:
    """State the share of the period that each piece serves, under the contract's policy.

    A policy that is not known is replaced by ``day_actual`` and reported later.
    """
    policy = pl.col("proration_policy")
    names = list(PRORATION_POLICIES)
    rules = subscriptions.select(
        "sub_row", rule=pl.when(policy.is_in(names)).then(policy).otherwise(pl.lit(DAY_ACTUAL.name))
    )
    ruled = pieces.join(rules, on="sub_row", how="left", maintain_order="left")
    days = (pl.col("service_end_on") - pl.col("service_start_on")).dt.total_days()
    is_part = pl.col("is_prorated") & (days < period.days)
    numerator, denominator = pl.lit(1, dtype=pl.Int64), pl.lit(1, dtype=pl.Int64)
    for name, known in PRORATION_POLICIES.items():
        is_own = is_part & (pl.col("rule") == name)
        share = known.numerator(days, period)
        numerator = pl.when(is_own).then(share).otherwise(numerator)
        denominator = pl.when(is_own).then(known.denominator(period)).otherwise(denominator)
    return ruled.with_columns(
        share_numerator=numerator.cast(pl.Int64),
        share_denominator=denominator.cast(pl.Int64),
        proration_rule=pl.when(is_part).then("rule"),
    ).drop("rule", "is_prorated")


def _unknown_plans(
    lost: pl.DataFrame, terms: Terms, inputs: BillingInputs, period: Period
) -> pl.DataFrame:
    """Skip phases whose price book or plan does not exist, or has no charges."""
    if lost.is_empty():
        return SKIPS.empty()
    plans = inputs.plans.select(*_BOOK, has_plan=pl.lit(value=True))
    named = (
        lost.join(terms.phases.select("phase_row", "sub_row", *_BOOK), on="phase_row")
        .join(terms.subscriptions.select("sub_row", "contract_id", "subscription_id"), on="sub_row")
        .join(plans, on=_BOOK, how="left")
    )
    reason = (
        pl.when(~pl.col("price_book_id").is_in(inputs.price_books["price_book_id"].implode()))
        .then(pl.lit("unknown_price_book"))
        .when(pl.col("has_plan").is_null())
        .then(pl.lit("unknown_plan"))
        .otherwise(pl.lit("no_charges"))
    )
    reasoned = named.select("contract_id", "subscription_id", reason=reason)
    one_each = reasoned.sort("subscription_id", "reason").unique(
        ["contract_id", "subscription_id"], keep="first"
    )
    return every_charge(one_each, period)


def _refused(
    rows: pl.DataFrame, charges: pl.DataFrame, terms: Terms, period: Period
) -> pl.DataFrame:
    """Skip charges that can't be billed, each with its reason."""
    return named_skips(rows, pl.col("reason"), charges, terms, period)


def named_skips(
    rows: pl.DataFrame, reason: pl.Expr, charges: pl.DataFrame, terms: Terms, period: Period
) -> pl.DataFrame:
    """Turn pieces (``sub_row``, ``charge_key``) into SKIPS."""
    if rows.is_empty():
        return SKIPS.empty()
    subscriptions = terms.subscriptions.select("sub_row", "contract_id", "subscription_id")
    named = (
        rows.select("sub_row", "charge_key", reason=reason)
        .join(subscriptions, on="sub_row")
        .join(charges.select("charge_key", "charge_id"), on="charge_key")
        .with_columns(period=pl.lit(period.name))
    )
    return SKIPS.conform(named).sort(*SKIPS.key, "reason").unique(list(SKIPS.key), keep="first")
