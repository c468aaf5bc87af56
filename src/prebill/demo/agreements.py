"""Contracts of the demo company and the subscriptions that fulfil them, with dated changes.

Everything here is right: what the contract says is what billing was told. Faults come later.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from prebill.core.calendar import add_months
from prebill.core.money import DECIMAL
from prebill.core.schemas.frame import Frame
from prebill.core.schemas.inbound import (
    CONTRACT_TERMS,
    CONTRACTS,
    ENTITLEMENTS,
    SUBSCRIPTION_PHASES,
    SUBSCRIPTIONS,
)
from prebill.demo.catalogue import (
    HISTORY_START_ON,
    PERIOD,
    PLANS,
    SERVICE_PLAN,
    VERSION_STARTS,
)
from prebill.demo.customers import is_active_throughout
from prebill.demo.randomness import stream

_MONTHS = 18
_SEAT_CHANGES_A_MONTH = 0.04
_UPGRADES_A_MONTH = 0.006
_SERVICES_A_MONTH = 0.004
#: Changes that certainly fall into the present month, so that every kind of fault has a chance.
_FORCED_SHARE = 0.04


@dataclass(frozen=True, slots=True)
class Agreements:
    """``spans``: one row per contract and stretch of unchanged terms; ``contracts``: one each."""

    contracts: pl.DataFrame
    spans: pl.DataFrame


def make_agreements(seed: int, traits: pl.DataFrame) -> Agreements:
    """Draw contracts, changes of seats and plan, renewals, discounts and one-off services."""
    changes = pl.concat([_starts(traits), _renewals(traits), _amendments(seed, traits)])
    active = pl.col("effective_from_on") < pl.coalesce("ends_on", pl.lit(PERIOD.end_on))
    merged = (
        changes.group_by("number", "effective_from_on")
        .agg(
            pl.col("factor").product(),
            pl.col("steps").sum(),
            pl.col("version").max(),
            pl.col("kind").sort().str.join("+"),
        )
        .join(traits.select("number", "customer_id", "ends_on", "plan", "seats"), on="number")
        .filter(active)
        .sort("number", "effective_from_on")
    )
    spans = merged.with_columns(
        plan=(pl.col("plan") + pl.col("steps").cum_sum().over("number")).clip(0, len(PLANS) - 1),
        quantity=(pl.col("seats") * pl.col("factor").cum_prod().over("number"))
        .round(0)
        .clip(1)
        .cast(pl.Int64),
        version=pl.col("version").cum_max().over("number"),
        span=pl.col("effective_from_on").cum_count().over("number"),
        effective_to_on=pl.coalesce(
            pl.col("effective_from_on").shift(-1).over("number"), "ends_on"
        ),
    ).join(_discounts(seed, traits), on="number")
    main = traits.select(
        *("number", "customer_id", "entity", "currency", "time_zone", "starts_on", "ends_on"),
        contract_id=pl.format("K{}", pl.col("customer_id").str.slice(1)),
        subscription_id=pl.format("S{}", pl.col("customer_id").str.slice(1)),
        terms_days=pl.when(pl.col("plan") == len(PLANS) - 1).then(30).otherwise(14),
    )
    spans = spans.join(main.select("number", "contract_id", "subscription_id"), on="number")
    spans = spans.select(
        *("number", "contract_id", "subscription_id", "span", "kind", "version", "quantity"),
        *("effective_from_on", "effective_to_on", "discount", "discount_ends_on"),
        plan_id=pl.lit(pl.Series(PLANS)).get(pl.col("plan")),
    )
    services, service_spans = _services(seed, main)
    return Agreements(
        pl.concat([main, services]), pl.concat([spans, service_spans.select(spans.columns)])
    )


def _starts(traits: pl.DataFrame) -> pl.DataFrame:
    return traits.select(
        "number",
        effective_from_on="starts_on",
        factor=pl.lit(1.0),
        steps=pl.lit(0, pl.Int64),
        version=_version_on("starts_on"),
        kind=pl.lit("start"),
    )


def _version_on(column: str) -> pl.Expr:
    """The price book version that new contracts and renewals get on a day."""
    later = [(pl.col(column) >= pl.lit(day)).cast(pl.Int64) for day in VERSION_STARTS[1:]]
    return pl.lit(1, pl.Int64) + pl.sum_horizontal(later)


def _renewals(traits: pl.DataFrame) -> pl.DataFrame:
    """At each anniversary the contract moves to the price book version then in force."""
    years = pl.DataFrame({"years": [1, 2, 3]})
    return (
        traits.join(years, how="cross")
        .with_columns(
            effective_from_on=pl.col("starts_on").dt.offset_by(pl.format("{}y", "years")),
        )
        .filter(pl.col("effective_from_on") < PERIOD.end_on)
        .with_columns(version=_version_on("effective_from_on"))
        .filter(
            pl.col("version") > _version_before(),
        )
        .select(
            *("number", "effective_from_on"),
            factor=pl.lit(1.0),
            steps=pl.lit(0, pl.Int64),
            version="version",
            kind=pl.lit("renewal"),
        )
    )


def _version_before() -> pl.Expr:
    """The version that the contract had in the year before this anniversary."""
    before = pl.col("effective_from_on").dt.offset_by("-1y")
    later = [(before >= pl.lit(day)).cast(pl.Int64) for day in VERSION_STARTS[1:]]
    return pl.lit(1, pl.Int64) + pl.sum_horizontal(later)


def _amendments(seed: int, traits: pl.DataFrame) -> pl.DataFrame:
    """Changes of seats (some down) and upgrades, most of them on the first of a month."""
    rng = stream(seed, "amendments")
    shape = (traits.height, _MONTHS)
    draw = rng.random(shape)
    upgrade = draw < _UPGRADES_A_MONTH
    change = draw < _UPGRADES_A_MONTH + _SEAT_CHANGES_A_MONTH
    settled = is_active_throughout(traits, add_months(PERIOD.start_on, -2)).to_numpy()
    forced = settled & (rng.random(traits.height) < _FORCED_SHARE)
    change[:, -1] |= forced
    starters = traits["plan"].to_numpy() == 0
    upgrade[:, -1] |= forced & (starters | (rng.random(traits.height) < 0.3))
    day = np.where(rng.random(shape) < 0.6, 1, rng.integers(5, 21, shape))
    grow = np.where(rng.random(shape) < 0.8, rng.uniform(1.15, 1.9, shape), 0.8)
    number, month = np.nonzero(change)
    chosen = (number, month)
    frame = pl.DataFrame(
        {
            "number": number,
            "month": month,
            "day": day[chosen],
            "factor": np.where(upgrade[chosen], 1.25, grow[chosen]),
            "steps": upgrade[chosen].astype(np.int64),
        }
    ).with_columns(
        effective_from_on=pl.lit(HISTORY_START_ON)
        .dt.offset_by(pl.format("{}mo", "month"))
        .dt.offset_by(pl.format("{}d", pl.col("day") - 1))
    )
    # The smallest plan has no seats to change.
    kept = frame.join(traits.select("number", "starts_on", "plan"), on="number").filter(
        (pl.col("effective_from_on") > pl.col("starts_on").dt.offset_by("27d"))
        & ((pl.col("steps") > 0) | (pl.col("plan") > 0))
    )
    return kept.select(
        *("number", "effective_from_on", "factor", "steps"),
        version=pl.lit(1, pl.Int64),
        kind=pl.when(pl.col("steps") > 0).then(pl.lit("upgrade")).otherwise(pl.lit("seats")),
    )


def _discounts(seed: int, traits: pl.DataFrame) -> pl.DataFrame:
    """A third has a discount, most for 6, 12 or 18 months; some of them end this month."""
    rng = stream(seed, "discounts")
    count = traits.height
    percent = rng.choice([5, 10, 15, 20, 25], count)
    has = rng.random(count) < 0.30
    months = rng.choice([6, 12, 18, 0], count, p=(0.25, 0.35, 0.2, 0.2))
    settled = is_active_throughout(traits, add_months(PERIOD.start_on, -2)).to_numpy()
    ends_now = settled & (rng.random(count) < _FORCED_SHARE)
    return traits.select(
        "number",
        discount=pl.Series(np.where(has | ends_now, np.maximum(percent, 10 * ends_now), 0)),
        discount_ends_on=pl.when(pl.Series(ends_now))
        .then(pl.lit(PERIOD.start_on))
        .when(pl.Series(has & (months > 0)))
        .then(
            pl.col("starts_on").dt.month_start().dt.offset_by(pl.format("{}mo", pl.Series(months)))
        ),
    )


def _services(seed: int, main: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One-off onboarding days: a second, short contract of a customer, billed once."""
    rng = stream(seed, "services")
    hit = rng.random((main.height, _MONTHS)) < _SERVICES_A_MONTH
    hit[:, -1] |= rng.random(main.height) < _SERVICES_A_MONTH
    number, month = np.nonzero(hit)
    frame = pl.DataFrame(
        {
            "number": number,
            "month": month,
            "day": rng.integers(2, 20, len(number)),
            "quantity": rng.integers(1, 5, len(number)),
        }
    ).with_columns(first_on=pl.lit(HISTORY_START_ON).dt.offset_by(pl.format("{}mo", "month")))
    bought = (
        frame.join(main, on="number")
        .with_columns(bought_on=pl.col("first_on").dt.offset_by(pl.format("{}d", "day")))
        .filter(
            (pl.col("starts_on") < pl.col("first_on"))
            & (pl.col("ends_on").is_null() | (pl.col("ends_on") > pl.col("first_on")))
        )
        .with_columns(
            contract_id=pl.format("{}-{}", "contract_id", pl.col("first_on").dt.strftime("%Y%m")),
            subscription_id=pl.format(
                "{}-{}", "subscription_id", pl.col("first_on").dt.strftime("%Y%m")
            ),
            starts_on=pl.col("bought_on"),
            ends_on=pl.col("first_on").dt.offset_by("1mo"),
        )
        .sort("contract_id")
    )
    spans = bought.with_columns(
        span=pl.lit(1, pl.UInt32),
        kind=pl.lit("service"),
        version=_version_on("bought_on"),
        effective_from_on="starts_on",
        effective_to_on="ends_on",
        discount=pl.lit(0, pl.Int64),
        discount_ends_on=pl.lit(None, pl.Date),
        plan_id=pl.lit(SERVICE_PLAN),
    )
    return bought.select(main.columns), spans


def agreement_frames(agreements: Agreements) -> dict[str, pl.DataFrame]:
    """Return contracts, terms, subscriptions, phases and entitlements in canonical form."""
    contracts = agreements.contracts.with_columns(
        entity_id="entity",
        payment_terms_days=pl.col("terms_days").cast(pl.Int64),
        proration_policy=pl.lit("day_actual"),
        started_on="starts_on",
    )
    spans = agreements.spans.join(
        agreements.contracts.select("contract_id", "currency"), on="contract_id"
    ).with_columns(
        quantity=pl.col("quantity").cast(DECIMAL),
        discount_percent=pl.col("discount").cast(DECIMAL),
        term_id=pl.format("{}-T{}", "contract_id", "span"),
        phase_id=pl.format("{}-P{}", "subscription_id", "span"),
        price_book_id=pl.format(
            "standard-{}-v{}", pl.col("currency").str.to_lowercase(), "version"
        ),
        from_on="effective_from_on",
        to_on="effective_to_on",
    )
    return {
        "contracts": _versions(CONTRACTS, contracts, "starts_on", "ends_on"),
        "contract_terms": _versions(CONTRACT_TERMS, spans, "effective_from_on", "effective_to_on"),
        "subscriptions": _versions(
            SUBSCRIPTIONS,
            contracts.with_columns(ended_on="ends_on"),
            "started_on",
            "ended_on",
        ),
        "subscription_phases": _versions(
            SUBSCRIPTION_PHASES, spans, "effective_from_on", "effective_to_on"
        ),
        "entitlements": _entitlements(spans),
    }


def _versions(frame: Frame, rows: pl.DataFrame, start: str, end: str) -> pl.DataFrame:
    """Record each row when it began, and once more, with its end, when that became known."""
    began = rows.with_columns(
        pl.lit(None, pl.Date).alias(end),
        recorded_at=_noon(pl.col(start).dt.offset_by("-10d")),
    )
    # A term of one month, such as a service, is known with its end from the first day.
    is_short = pl.col(end) <= pl.col(start).dt.offset_by("31d")
    known = _noon(
        pl.when(is_short)
        .then(pl.col(start).dt.offset_by("-9d"))
        .otherwise(pl.col(end).dt.offset_by("-5d"))
    )
    ended = rows.filter(pl.col(end).is_not_null()).with_columns(recorded_at=known)
    return frame.conform(pl.concat([began, ended]).select(frame.names)).sort(frame.key)


def _noon(day: pl.Expr) -> pl.Expr:
    return day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(hours=12)


def _entitlements(spans: pl.DataFrame) -> pl.DataFrame:
    """What the product grants follows the contract: seats, and the service days bought."""
    return ENTITLEMENTS.conform(
        spans.filter(pl.col("plan_id") != PLANS[0]).select(
            "contract_id",
            *("effective_from_on", "effective_to_on"),
            entitlement_id=pl.format("{}-seats", "term_id"),
            feature=pl.when(pl.col("plan_id") == SERVICE_PLAN)
            .then(pl.lit("onboarding"))
            .otherwise(pl.lit("seats")),
            granted_quantity="quantity",
        )
    )
