"""Faults on the way of usage: sent twice, lost, in the wrong unit, or frozen.

How many days are hit is log-uniform, so that faults are small as often as large.
"""

from datetime import timedelta
from typing import Final

import polars as pl

from prebill.core.money import DECIMAL
from prebill.demo.catalogue import PERIOD
from prebill.demo.customers import is_active_throughout
from prebill.demo.faults.family import Company, Family, Fault, Frames, Victims

_COUNTED: Final = ["api_calls", "documents"]
_DAYS: Final = (PERIOD.end_on - PERIOD.start_on).days
#: What a unit may be taken for, as multiplier and divisor: thousands for units, or the reverse.
_UNITS: Final = ((10, 1), (100, 1), (1000, 1), (1, 10), (1, 1000))


def settled(company: Company) -> pl.Series:
    """Customers of the whole month who were there in the month before as well."""
    since_on = PERIOD.start_on - timedelta(days=30)
    return company.traits.filter(is_active_throughout(company.traits, since_on))["number"]


def within(
    events: pl.DataFrame, victims: Victims, first: pl.Series, length: pl.Series
) -> pl.Series:
    """Tell which events are a victim's and fall into its stretch of days of the month."""
    start = pl.lit(PERIOD.start_on)
    stretches = (
        victims.rows.select("customer_id")
        .with_columns(first=first, length=length)
        .select(
            "customer_id",
            from_on=start + pl.duration(days="first"),
            to_on=start + pl.duration(days=pl.col("first") + pl.col("length")),
        )
    )
    day = pl.col("occurred_at").dt.date()
    joined = events.select("customer_id", "occurred_at").join(
        stretches, on="customer_id", how="left", maintain_order="left"
    )
    inside = (day >= pl.col("from_on")) & (day < pl.col("to_on"))
    return joined.select(inside.fill_null(value=False)).to_series()


def _plant_duplicates(frames: Frames, victims: Victims) -> Frames:
    """Send the batches of some days again a few days later: same content, new ids."""
    events = frames["usage_events"]
    hit = within(events, victims, *victims.stretch(_DAYS))
    again = events.filter(hit & events["meter"].is_in(_COUNTED)).with_columns(
        id=pl.format(
            "b{}-{}",
            (pl.col("occurred_at") + pl.duration(days=2)).dt.strftime("%Y%m%d"),
            pl.col("id").str.slice(1),
        )
    )
    return {"usage_events": pl.concat([events, again])}


def _plant_gap(frames: Frames, victims: Victims) -> Frames:
    """Lose everything that the gateway and the signing service sent on some days."""
    events = frames["usage_events"]
    hit = within(events, victims, *victims.stretch(_DAYS))
    return {"usage_events": events.filter(~(hit & events["meter"].is_in(_COUNTED)))}


def _plant_unit_error(frames: Frames, victims: Victims) -> Frames:
    """Report in another unit on some days, in a quarter of the cases of storage."""
    events = frames["usage_events"]
    hit = within(events, victims, *victims.stretch(_DAYS))
    unit = pl.DataFrame(_UNITS, schema=["times", "over"], orient="row").cast(DECIMAL)
    chosen = victims.rows.select("customer_id").with_columns(
        unit[victims.whole(3, 0, len(_UNITS)).to_list()].get_columns()
    )
    on_storage = victims.rows.filter(pl.Series(victims.draws[:, 2] < 0.25))["customer_id"]
    meter = pl.when(pl.col("customer_id").is_in(on_storage.implode()))
    wrong = pl.Series(hit) & (
        pl.col("meter") == meter.then(pl.lit("storage_gb")).otherwise(pl.lit("api_calls"))
    )
    joined = events.join(chosen, on="customer_id", how="left", maintain_order="left")
    mistaken = pl.col("quantity") * pl.col("times") / pl.col("over")
    return {
        "usage_events": joined.with_columns(
            quantity=pl.when(wrong).then(mistaken.cast(DECIMAL)).otherwise("quantity")
        ).drop("times", "over")
    }


def _plant_stuck_meter(frames: Frames, victims: Victims) -> Frames:
    """Repeat one day's reading until the month's end."""
    events = frames["usage_events"].with_row_index("row")
    _, length = victims.stretch(_DAYS)
    hit = within(events, victims, _DAYS - length, length) & (events["meter"] == "api_calls")
    frozen = (
        events.filter(hit)
        .sort("occurred_at")
        .with_columns(pl.col("quantity").first().over("customer_id").alias("frozen"))
        .select("row", "frozen")
    )
    stuck = events.join(frozen, on="row", how="left", maintain_order="left")
    return {
        "usage_events": stuck.with_columns(quantity=pl.coalesce("frozen", "quantity")).drop(
            "row", "frozen"
        )
    }


USAGE_FAULTS: Final = (
    Fault(Family.DUPLICATED_USAGE_BATCH, settled, _plant_duplicates),
    Fault(Family.MISSING_DAYS, settled, _plant_gap),
    Fault(Family.UNIT_ERROR, settled, _plant_unit_error),
    Fault(Family.STUCK_METER, settled, _plant_stuck_meter),
)
