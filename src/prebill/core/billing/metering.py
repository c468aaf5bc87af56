"""Metering: deduplicated usage events become one quantity a charge window.

A window is the time in which one charge of one subscription is metered, with its instants in the
contract's zone. Windows that ask for the same events share one *span*, so that pricing contracts
beside subscriptions costs no second pass over the events.
"""

from dataclasses import dataclass

import polars as pl

from prebill.core.billing.aggregations import AGGREGATIONS
from prebill.core.billing.checks import without_floats
from prebill.core.billing.dedupe import Deduped, dedupe
from prebill.core.billing.usage_days import usage_days
from prebill.core.money import DECIMAL
from prebill.core.schemas.frame import Frame, day, instant, text
from prebill.core.schemas.inbound import USAGE_EVENTS
from prebill.core.schemas.internal import QUANTITIES

__all__ = ["WINDOWS", "Deduped", "Metered", "dedupe", "meter_usage", "usage_days"]

WINDOWS = Frame(
    "windows",
    "Time in which the usage of one charge is metered.",
    ("subscription_id", "charge_id", "meter", "window_start_on", "window_end_on"),
    (
        text("subscription_id", "subscription"),
        text("customer_id", "whose events"),
        text("charge_id", "charge"),
        text("meter", "meter"),
        day("window_start_on", "first day metered, in the contract's zone"),
        day("window_end_on", "first day after"),
        instant("window_start_at", "its first instant"),
        instant("window_end_at", "first instant after"),
    ),
)
_SPAN_KEY = ["customer_id", "meter", "window_start_at", "window_end_at"]


@dataclass(frozen=True, slots=True)
class Metered:
    """Quantities, and the events that entered none of them.

    ``unmatched`` has the columns of the events and ``reason``: ``unknown_meter``, ``no_charge``
    (nobody bills this meter to this customer now), ``before_window`` (late, or before the
    contract), ``after_window`` (a later period's, or after the contract), ``between_windows``.
    ``metered_events`` counts events, each once, that entered at least one quantity:
    ``metered_events + unmatched.height`` is the number of events given.
    """

    quantities: pl.DataFrame
    unmatched: pl.DataFrame
    metered_events: int


def meter_usage(events: pl.DataFrame, meters: pl.DataFrame, windows: pl.DataFrame) -> Metered:
    """Aggregate events by charge window.

    Parameters
    ----------
    events : pl.DataFrame, USAGE_EVENTS
        Deduplicated; order irrelevant.
    meters : pl.DataFrame, METERS
        Name and aggregation of each meter.
    windows : pl.DataFrame, WINDOWS
        From :func:`prebill.core.billing.invoicing.windows`; those of contracts and subscriptions
        may be concatenated.

    Returns
    -------
    Metered
        Every window has a row in ``quantities``, with 0 where nothing was used; only windows on an
        unknown meter have none.
    """
    known = windows.unique(list(WINDOWS.key), keep="any").join(
        meters.select("meter", "aggregation"), on="meter", how="inner"
    )
    spans = known.select(*_SPAN_KEY, "aggregation").unique().with_row_index("span")
    spans = spans.with_columns(spans_of_key=pl.len().over("customer_id", "meter"))
    columns = [name for name in USAGE_EVENTS.names if name in events.columns]
    placed = (
        events.select(columns)
        .with_row_index("event")
        .join(spans, on=["customer_id", "meter"], how="left", maintain_order="left")
    )
    starts, ends = pl.col("window_start_at"), pl.col("window_end_at")
    happened = pl.col("occurred_at")
    is_inside = ((happened >= starts) & (happened < ends)).fill_null(value=False)
    inside = placed.filter(is_inside)
    unmatched = _unmatched(placed.filter(~is_inside), inside, meters).select(*columns, "reason")
    by_span = _aggregate(inside)
    quantities = (
        known.join(spans.select("span", *_SPAN_KEY), on=_SPAN_KEY, how="left")
        .join(by_span, on="span", how="left")
        .with_columns(
            pl.col("quantity").fill_null(pl.lit(0, dtype=pl.Int64).cast(DECIMAL)),
            pl.col("events").fill_null(0),
        )
        .sort(QUANTITIES.key)
    )
    return Metered(
        quantities=without_floats(QUANTITIES.conform(quantities), "meter"),
        unmatched=unmatched,
        metered_events=events.height - unmatched.height,
    )


def _aggregate(inside: pl.DataFrame) -> pl.DataFrame:
    """Aggregate the placed events of each span by its meter's aggregation."""
    used = inside["aggregation"].unique().sort().to_list()
    parts = []
    for name in used:
        own = inside if len(used) == 1 else inside.filter(pl.col("aggregation") == name)
        parts.append(AGGREGATIONS[name].aggregate(own).select("span", "quantity", "events"))
    empty = pl.DataFrame(schema={"span": pl.UInt32, "quantity": DECIMAL, "events": pl.Int64})
    return pl.concat([empty, *parts])


def _unmatched(outside: pl.DataFrame, inside: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    """Keep events outside of every window of their customer and meter, each once, and say why."""
    placed_elsewhere = inside.filter(pl.col("spans_of_key") > 1).select("event").unique()
    left_over = outside.join(placed_elsewhere, on="event", how="anti")
    happened = pl.col("occurred_at")
    is_before = (happened < pl.col("window_start_at")).all()
    is_after = (happened >= pl.col("window_end_at")).all()
    whole = left_over.group_by("event").agg(
        is_before=is_before, is_after=is_after, no_span=pl.col("span").is_null().all()
    )
    known_meters = pl.col("meter").is_in(meters["meter"].implode())
    return (
        left_over.unique("event", keep="any")
        .join(whole, on="event")
        .sort("source", "id")
        .with_columns(
            reason=pl.when(~known_meters)
            .then(pl.lit("unknown_meter"))
            .when("no_span")
            .then(pl.lit("no_charge"))
            .when("is_before")
            .then(pl.lit("before_window"))
            .when("is_after")
            .then(pl.lit("after_window"))
            .otherwise(pl.lit("between_windows"))
        )
    )
