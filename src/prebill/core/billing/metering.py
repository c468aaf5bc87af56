"""Metering: deduplicated usage events become one quantity a charge window.

A window is the time in which one charge of one subscription is metered, with its instants in the
contract's zone. Windows that ask for the same events share one *span*, so that pricing contracts
beside subscriptions costs no second pass over the events.
"""

from dataclasses import dataclass
from typing import Final

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
_KEY: Final = ["customer_id", "meter"]
_SPAN_KEY: Final = [*_KEY, "window_start_at", "window_end_at"]


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
    known = windows.unique(list(WINDOWS.key), keep="any", maintain_order=True).join(
        meters.select("meter", "aggregation"), on="meter", how="inner", maintain_order="left"
    )
    spans = known.select(*_SPAN_KEY, "aggregation").unique().with_row_index("span")
    placed = _placed(events, spans)
    by_span = _aggregate(events, placed, spans)
    numbered = known.join(
        spans.select("span", *_SPAN_KEY), on=_SPAN_KEY, how="left", maintain_order="left"
    )
    quantities = numbered.join(by_span, on="span", how="left", maintain_order="left").with_columns(
        pl.col("quantity").fill_null(pl.lit(0, dtype=pl.Int64).cast(DECIMAL)),
        pl.col("events").fill_null(0),
    )
    unmatched = _unmatched(events, placed, spans, meters)
    return Metered(
        quantities=without_floats(QUANTITIES.conform(quantities), "meter"),
        unmatched=unmatched,
        metered_events=events.height - unmatched.height,
    )


def _placed(events: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Return (``event`` row, ``span``) of every event inside a span.

    Almost every customer has one span a meter: those events are placed by one join that keeps their
    order. Only the others, of a customer whose terms changed, may be in several spans.
    """
    spans_of_key = spans.select(pl.len().over(_KEY)).to_series()
    alone, several = spans.filter(spans_of_key == 1), spans.filter(spans_of_key > 1)
    narrow = events.select(*_KEY, "occurred_at").with_row_index("event")
    parts = [
        narrow.join(some.drop("aggregation"), on=_KEY, how="inner", maintain_order="left")
        for some in (alone, several)
        if some.height or some is alone
    ]
    happened = pl.col("occurred_at")
    is_inside = (happened >= pl.col("window_start_at")) & (happened < pl.col("window_end_at"))
    return pl.concat([part.filter(is_inside).select("event", "span") for part in parts])


def _aggregate(events: pl.DataFrame, placed: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Aggregate the placed events of each span by its meter's aggregation."""
    kinds = spans.select("span", kind=pl.col("aggregation").cast(pl.Categorical))
    used = spans["aggregation"].unique().sort().to_list()
    kind = placed.join(kinds, on="span", how="left", maintain_order="left")["kind"]
    empty = pl.DataFrame(schema={"span": pl.UInt32, "quantity": DECIMAL, "events": pl.Int64})
    parts = [empty]
    for name in used:
        own = placed.filter(kind == name) if len(used) > 1 else placed
        aggregation = AGGREGATIONS[name]
        facts = (events[column].gather(own["event"]) for column in aggregation.columns)
        content = own.select("span", *facts)
        parts.append(aggregation.aggregate(content).select(empty.columns))
    return pl.concat(parts)


def _unmatched(
    events: pl.DataFrame, placed: pl.DataFrame, spans: pl.DataFrame, meters: pl.DataFrame
) -> pl.DataFrame:
    """Return events that are in no span of their customer and meter, and say why."""
    columns = [name for name in USAGE_EVENTS.names if name in events.columns]
    is_placed = (
        pl.Series("is_placed", [False])
        .new_from_index(0, events.height)
        .scatter(placed["event"], values=True)
    )
    left_over = events.select(columns).filter(~is_placed)
    reach = spans.group_by(_KEY).agg(pl.col("window_start_at").min(), pl.col("window_end_at").max())
    happened = pl.col("occurred_at")
    reason = (
        pl.when(~pl.col("meter").is_in(meters["meter"].implode()))
        .then(pl.lit("unknown_meter"))
        .when(pl.col("window_start_at").is_null())
        .then(pl.lit("no_charge"))
        .when(happened < pl.col("window_start_at"))
        .then(pl.lit("before_window"))
        .when(happened >= pl.col("window_end_at"))
        .then(pl.lit("after_window"))
        .otherwise(pl.lit("between_windows"))
    )
    reasoned = left_over.join(reach, on=_KEY, how="left").with_columns(reason=reason)
    return reasoned.select(*columns, "reason").sort("source", "id")
