"""Terms in force: which phase of which subscription bills which days of a period.

Bounds are calendar dates of the contract's zone, [start, end). What can't be billed comes back as a
skip with its reason, or is billed with a finding. Rows are numbered here (``sub_row``,
``phase_row``): later stages carry the numbers and look texts up at the end.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.billing.inputs import BillingInputs
from prebill.core.calendar import Period, zone
from prebill.core.errors import InputError
from prebill.core.schemas.internal import SKIPS

#: Stands in a skip for "every charge" where the charges can't be known.
EVERY_CHARGE: Final = "*"


@dataclass(frozen=True, slots=True)
class Terms:
    """Subscriptions and phases in force, cut to the period; and what is active but has none.

    ``subscriptions`` is in the order of the draft ids; ``sub_row`` is that order. ``phases`` has
    ``in_force_from_on``, ``in_force_to_on``, ``is_alone`` (the subscription has no other phase in
    the period) and ``does_overlap`` (an earlier phase claims some of the same days).
    """

    subscriptions: pl.DataFrame
    phases: pl.DataFrame
    skips: pl.DataFrame


def terms_in_force(inputs: BillingInputs, period: Period) -> Terms:
    """Cut the phases of active subscriptions to the period.

    A phase ends where a later phase of the same plan begins: the day of a change belongs to the new
    phase, and no day of a plan is billed twice. Phases of different plans stand side by side.
    """
    starts = pl.max_horizontal(pl.lit(period.start_on), "starts_on", "started_on")
    ends = pl.min_horizontal(pl.lit(period.end_on), "ends_on", "ended_on")
    active = (
        _subscriptions(inputs)
        .with_columns(active_from_on=starts, active_to_on=ends)
        .filter(pl.col("active_from_on") < pl.col("active_to_on"))
        .with_columns(
            draft_id=pl.format("{}:{}:{}", "entity_id", pl.lit(period.name), "subscription_id")
        )
        .sort("draft_id", "subscription_id")
        .with_row_index("sub_row")
    )
    sound = active.filter(pl.col("reason").is_null())
    phases = _cut(sound, inputs.phases)
    idle = active.join(phases.select("sub_row").unique(), on="sub_row", how="anti").select(
        "contract_id", "subscription_id", reason=pl.col("reason").fill_null("no_phase_in_force")
    )
    skips = pl.concat([idle, _without_subscription(inputs, active, period)])
    return Terms(sound.drop("reason"), phases, every_charge(skips, period))


def every_charge(skips: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Give skips of whole subscriptions the columns of SKIPS."""
    whole = skips.with_columns(charge_id=pl.lit(EVERY_CHARGE), period=pl.lit(period.name))
    return SKIPS.conform(whole)


def _subscriptions(inputs: BillingInputs) -> pl.DataFrame:
    """Join subscriptions to contract, entity and customer; ``reason`` says what is missing."""
    contracts = inputs.contracts.select(
        "contract_id",
        "entity_id",
        "starts_on",
        "ends_on",
        "time_zone",
        "payment_terms_days",
        "proration_policy",
        payer_id="customer_id",
        contract_currency="currency",
        has_contract=pl.lit(value=True),
    )
    entities = inputs.entities.select("entity_id", seller_country=pl.col("country"))
    customers = inputs.customers.select(
        "country", "region", "tax_id", "is_business", payer_id="customer_id", is_known=pl.lit(1)
    )
    missing = (
        pl.when(pl.col("has_contract").is_null())
        .then(pl.lit("unknown_contract"))
        .when(pl.col("seller_country").is_null())
        .then(pl.lit("unknown_entity"))
        .when(pl.col("is_known").is_null())
        .then(pl.lit("unknown_customer"))
        .when(pl.col("time_zone").is_in(_unknown_zones(inputs.contracts)))
        .then(pl.lit("unknown_time_zone"))
    )
    return (
        inputs.subscriptions.select(
            "subscription_id", "contract_id", "customer_id", "started_on", "ended_on"
        )
        .join(contracts, on="contract_id", how="left")
        .join(entities, on="entity_id", how="left")
        .join(customers, on="payer_id", how="left")
        .with_columns(pl.col("entity_id").fill_null(""), reason=missing)
        .drop("has_contract", "is_known")
    )


def _unknown_zones(contracts: pl.DataFrame) -> list[str]:
    """Name the time zones that are not in the IANA database."""
    unknown = []
    for name in contracts["time_zone"].unique():
        try:
            zone(name)
        except InputError:
            unknown.append(name)
    return unknown


def _cut(active: pl.DataFrame, phases: pl.DataFrame) -> pl.DataFrame:
    """Join phases to active subscriptions and cut them to the days on which they are in force."""
    bounds = active.select("subscription_id", "sub_row", "active_from_on", "active_to_on")
    starts = pl.max_horizontal("active_from_on", "effective_from_on")
    ends = pl.min_horizontal("active_to_on", "effective_to_on")
    joined = (
        phases.drop("recorded_at")
        .join(bounds, on="subscription_id", how="inner")
        .drop("subscription_id")
        .with_columns(in_force_from_on=starts, in_force_to_on=ends)
        .filter(pl.col("in_force_from_on") < pl.col("in_force_to_on"))
    )
    is_alone = ~joined["sub_row"].is_duplicated()
    alone = joined.filter(is_alone).with_columns(does_overlap=pl.lit(value=False))
    succeeding = _succeeding(joined.filter(~is_alone))
    return (
        pl.concat([alone, succeeding.select(alone.columns)])
        .with_columns(is_alone=~pl.col("sub_row").is_duplicated())
        .drop("active_from_on", "active_to_on", "effective_from_on", "effective_to_on")
        .with_row_index("phase_row")
    )


def _succeeding(several: pl.DataFrame) -> pl.DataFrame:
    """End each phase where the next one of its plan begins; mark phases that overlap."""
    same_plan = ["sub_row", "plan_id"]
    # Phases of one plan that begin on one day stay side by side and are reported.
    following = (
        several.select(*same_plan, "effective_from_on")
        .unique()
        .sort(*same_plan, "effective_from_on")
        .with_columns(next_from_on=pl.col("effective_from_on").shift(-1).over(same_plan))
    )
    end_of_earlier = pl.col("in_force_to_on").cum_max().shift(1).over("sub_row")
    marked = several.sort(
        "sub_row", "in_force_from_on", "effective_from_on", "phase_id"
    ).with_columns(
        does_overlap=(end_of_earlier > pl.col("in_force_from_on")).fill_null(value=False)
    )
    return (
        marked.join(
            following, on=[*same_plan, "effective_from_on"], how="left", maintain_order="left"
        )
        .with_columns(in_force_to_on=pl.min_horizontal("in_force_to_on", "next_from_on"))
        .filter(pl.col("in_force_from_on") < pl.col("in_force_to_on"))
    )


def _without_subscription(
    inputs: BillingInputs, active: pl.DataFrame, period: Period
) -> pl.DataFrame:
    """List contracts in force in the period for which billing has no active subscription."""
    in_force = inputs.contracts.filter(
        pl.col("starts_on") < period.end_on,
        pl.col("ends_on").is_null() | (pl.col("ends_on") > period.start_on),
    )
    orphans = in_force.join(active, on="contract_id", how="anti").select("contract_id")
    known = inputs.subscriptions.select("contract_id").unique()
    has_some = orphans.join(known, on="contract_id", how="semi")
    has_none = orphans.join(known, on="contract_id", how="anti")
    reasoned = pl.concat(
        [
            has_some.with_columns(reason=pl.lit("no_subscription_in_force")),
            has_none.with_columns(reason=pl.lit("no_subscription")),
        ]
    )
    return reasoned.select("contract_id", pl.lit("").alias("subscription_id"), "reason")
