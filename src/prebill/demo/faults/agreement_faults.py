"""Faults between what was signed and what billing was told: price, quantity, discount, party."""

from datetime import timedelta
from typing import Final

import polars as pl

from prebill.core.schemas.inbound import SUBSCRIPTION_PHASES, SUBSCRIPTIONS
from prebill.demo.catalogue import ENTITIES, PERIOD, noon_at
from prebill.demo.customers import is_active_throughout
from prebill.demo.faults.family import Company, Family, Fault, Frames, Victims

#: When somebody keyed the wrong thing: shortly before the month began.
_KEYED_AT: Final = noon_at(PERIOD.start_on - timedelta(days=6))


def _settled(company: Company) -> pl.Series:
    since_on = PERIOD.start_on - timedelta(days=60)
    return company.traits.filter(is_active_throughout(company.traits, since_on))["number"]


def _changed_now(company: Company, kinds: list[str]) -> pl.Series:
    """Customers of the whole month whose terms changed in it for exactly one of the reasons."""
    spans = company.agreements.spans.filter(
        (pl.col("effective_from_on") >= PERIOD.start_on) & pl.col("kind").is_in(kinds)
    )
    settled = _settled(company)
    once = spans.group_by("number").len().filter(pl.col("len") == 1)["number"]
    return settled.filter(settled.is_in(once.implode()))


def _renewed_now(company: Company) -> pl.Series:
    return _changed_now(company, ["renewal"])


def _amended_now(company: Company) -> pl.Series:
    return _changed_now(company, ["seats", "upgrade"])


def _discount_ended_now(company: Company) -> pl.Series:
    spans = company.agreements.spans.filter(
        (pl.col("discount_ends_on") == PERIOD.start_on) & (pl.col("discount") > 0)
    )
    settled = _settled(company)
    return settled.filter(settled.is_in(spans["number"].implode()))


def _unchanged_now(company: Company) -> pl.Series:
    changed = company.agreements.spans.filter(pl.col("effective_from_on") >= PERIOD.start_on)
    settled = _settled(company)
    return settled.filter(~settled.is_in(changed["number"].implode()))


def _never_keyed(company: Company) -> pl.Series:
    """Anybody settled, and those who signed just in time for the present month."""
    new = company.traits.filter(
        pl.col("starts_on").is_between(PERIOD.start_on, PERIOD.start_on + timedelta(days=9))
    )["number"]
    return pl.concat([_unchanged_now(company), new]).unique().sort()


def _own(victims: Victims) -> pl.Expr:
    """The rows of the victims' main subscriptions."""
    return pl.col("subscription_id").is_in(victims.rows["subscription_id"].implode())


def _last_span(column: str = "effective_from_on") -> pl.Expr:
    return pl.col(column) == pl.col(column).max().over("subscription_id")


def _plant_stale_price(frames: Frames, victims: Victims) -> Frames:
    """Pin the phase that began with the renewal to the price book version before it."""
    phases = frames["subscription_phases"]
    before = (
        phases.filter(_own(victims) & ~_last_span())
        .sort("effective_from_on")
        .group_by("subscription_id", maintain_order=True)
        .agg(old_book=pl.col("price_book_id").last())
    )
    stale = phases.join(before, on="subscription_id", how="left", maintain_order="left")
    is_pinned = _last_span() & pl.col("old_book").is_not_null()
    book = pl.when(is_pinned).then("old_book").otherwise("price_book_id")
    return {
        "subscription_phases": SUBSCRIPTION_PHASES.conform(stale.with_columns(price_book_id=book))
    }


def _plant_missed_amendment(frames: Frames, victims: Victims) -> Frames:
    """Leave out the phase that the amendment asks for; the one before it stays open."""
    phases = frames["subscription_phases"]
    present = phases.filter(_own(victims))
    kept = present.filter(~_last_span())
    reopened = kept.with_columns(
        effective_to_on=pl.when(_last_span())
        .then(pl.lit(None, pl.Date))
        .otherwise("effective_to_on")
    ).unique(["subscription_id", "phase_id", "effective_to_on"], keep="first", maintain_order=True)
    others = phases.filter(~_own(victims))
    return {"subscription_phases": pl.concat([others, reopened]).sort(SUBSCRIPTION_PHASES.key)}


def _plant_eternal_discount(frames: Frames, victims: Victims) -> Frames:
    """Forget the discount's end on the billing side."""
    end = pl.when(_own(victims)).then(pl.lit(None, pl.Date)).otherwise("discount_ends_on")
    return {"subscription_phases": frames["subscription_phases"].with_columns(discount_ends_on=end)}


def _plant_wrong_tax(frames: Frames, victims: Victims) -> Frames:
    """Mangle the tax status: id lost, country of another branch, or state of another office."""
    chosen = victims.rows.select("customer_id").with_columns(
        drawn=pl.Series(victims.draws[:, 0]), is_hit=pl.lit(value=True)
    )
    rows = frames["customers"].join(chosen, on="customer_id", how="left", maintain_order="left")
    is_hit = pl.col("is_hit").fill_null(value=False)
    home = pl.col("country")
    loses_id = is_hit & home.is_in(["AT", "BE", "FR", "IT", "NL"]) & (pl.col("drawn") < 0.7)
    elsewhere = (
        pl.when(home == "US")
        .then(pl.lit("US"))
        .when(home == "GB")
        .then(pl.lit("IE"))
        .when(home == "DE")
        .then(pl.lit("CH"))
        .otherwise(pl.lit("DE"))
    )
    state = pl.when(pl.col("region") == "CA").then(pl.lit("NY")).otherwise(pl.lit("CA"))
    return {
        "customers": rows.with_columns(
            tax_id=pl.when(loses_id).then(pl.lit(None, pl.String)).otherwise("tax_id"),
            country=pl.when(is_hit & ~loses_id).then(elsewhere).otherwise(home),
            region=pl.when(is_hit & (home == "US")).then(state).otherwise("region"),
        ).drop("drawn", "is_hit")
    }


def _plant_second_subscription(frames: Frames, victims: Victims) -> Frames:
    """Key the same contract once more: a second subscription from some day of this month on."""
    days = (PERIOD.end_on - PERIOD.start_on).days
    _, length = victims.stretch(days)
    starts = victims.rows.select("subscription_id", late=days - length).select(
        "subscription_id", start_on=pl.lit(PERIOD.start_on) + pl.duration(days="late")
    )
    phases = (
        frames["subscription_phases"]
        .filter(_own(victims) & _last_span())
        .join(starts, on="subscription_id", maintain_order="left")
    )
    second = pl.format("{}B", "subscription_id")
    copied_phases = phases.with_columns(
        subscription_id=second,
        phase_id=pl.format("{}B-P1", "subscription_id"),
        effective_from_on=pl.col("start_on"),
        recorded_at=pl.lit(_KEYED_AT).cast(phases.schema["recorded_at"]),
    )
    subscriptions = frames["subscriptions"]
    own = subscriptions.filter(_own(victims)).join(
        starts, on="subscription_id", maintain_order="left"
    )
    copied = own.with_columns(
        subscription_id=second,
        started_on=pl.col("start_on"),
        recorded_at=pl.lit(_KEYED_AT).cast(subscriptions.schema["recorded_at"]),
    )
    return {
        "subscriptions": pl.concat([subscriptions, copied.drop("start_on")]),
        "subscription_phases": pl.concat(
            [frames["subscription_phases"], copied_phases.drop("start_on")]
        ),
    }


def _plant_no_subscription(frames: Frames, victims: Victims) -> Frames:
    """End the subscription though the contract goes on; one of a new contract was never keyed."""
    subscriptions, phases = frames["subscriptions"], frames["subscription_phases"]
    is_new = pl.col("started_on") >= PERIOD.start_on
    unkeyed = subscriptions.filter(_own(victims) & is_new)["subscription_id"].implode()
    ended = subscriptions.filter(_own(victims) & ~is_new).with_columns(
        ended_on=pl.lit(PERIOD.start_on),
        recorded_at=pl.lit(_KEYED_AT).cast(subscriptions.schema["recorded_at"]),
    )
    is_unkeyed = pl.col("subscription_id").is_in(unkeyed)
    return {
        "subscriptions": pl.concat([subscriptions.filter(~is_unkeyed), ended]).sort(
            SUBSCRIPTIONS.key
        ),
        "subscription_phases": phases.filter(~is_unkeyed),
    }


def _plant_other_currency(frames: Frames, victims: Victims) -> Frames:
    """Start a phase this month that is the old one in a price book of another currency."""
    phases = frames["subscription_phases"]
    present = phases.filter(_own(victims) & _last_span())
    end = present.with_columns(
        effective_to_on=pl.lit(PERIOD.start_on),
        recorded_at=pl.lit(_KEYED_AT).cast(phases.schema["recorded_at"]),
    )
    others = {e.currency.lower(): ENTITIES[i - 1].currency.lower() for i, e in enumerate(ENTITIES)}
    own = pl.col("price_book_id").str.split("-").list.get(1)
    foreign = pl.format(
        "standard-{}-{}",
        own.replace_strict(others),
        pl.col("price_book_id").str.split("-").list.get(2),
    )
    begin = present.with_columns(
        phase_id=pl.format("{}X", "phase_id"),
        price_book_id=foreign,
        effective_from_on=pl.lit(PERIOD.start_on),
        recorded_at=pl.lit(_KEYED_AT).cast(phases.schema["recorded_at"]),
    )
    return {"subscription_phases": pl.concat([phases, end, begin]).sort(SUBSCRIPTION_PHASES.key)}


AGREEMENT_FAULTS: Final = (
    Fault(Family.STALE_PRICE, _renewed_now, _plant_stale_price),
    Fault(Family.AMENDMENT_NOT_CAPTURED, _amended_now, _plant_missed_amendment),
    Fault(Family.DISCOUNT_PAST_END, _discount_ended_now, _plant_eternal_discount),
    Fault(Family.WRONG_TAX, _settled, _plant_wrong_tax),
    Fault(Family.DOUBLE_INVOICE, _unchanged_now, _plant_second_subscription),
    Fault(Family.NEVER_DRAFTED, _never_keyed, _plant_no_subscription),
    Fault(Family.CURRENCY_MIXUP, _unchanged_now, _plant_other_currency),
)
