"""Terms in force: which phase of which subscription bills which days of a period.

Bounds are calendar dates of the contract's zone, [start, end). What can't be billed comes back as a
skip with its reason, or is billed with a finding.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.billing.inputs import BillingInputs
from prebill.core.calendar import Period
from prebill.core.schemas.internal import SKIPS

#: Stands in a skip for "every charge" where the charges can't be known.
EVERY_CHARGE: Final = "*"


@dataclass(frozen=True, slots=True)
class Terms:
    """Phases in force, one row each, cut to the period; and what is active but has none.

    ``phases`` has the identities, contract facts and ``in_force_from_on``, ``in_force_to_on``,
    ``does_overlap`` (another phase of the subscription claims some of the same days).
    """

    phases: pl.DataFrame
    skips: pl.DataFrame


def terms_in_force(inputs: BillingInputs, period: Period) -> Terms:
    """Cut the phases of active subscriptions to the period.

    A phase ends where a later phase of the same plan begins: the day of a change belongs to the new
    phase, and no day of a plan is billed twice. Phases of different plans stand side by side.
    """
    subscriptions = _subscriptions(inputs)
    starts = pl.max_horizontal(pl.lit(period.start_on), "starts_on", "started_on")
    ends = pl.min_horizontal(pl.lit(period.end_on), "ends_on", "ended_on")
    active = subscriptions.with_columns(active_from_on=starts, active_to_on=ends).filter(
        pl.col("active_from_on") < pl.col("active_to_on")
    )
    phases = _cut(active.filter(pl.col("reason").is_null()), inputs.phases)
    idle = active.join(phases, on="subscription_id", how="anti").select(
        "contract_id",
        "subscription_id",
        reason=pl.col("reason").fill_null("no_phase_in_force"),
    )
    skips = pl.concat([idle, _without_subscription(inputs, active, period)])
    return Terms(phases, every_charge(skips, period))


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
    )
    return (
        inputs.subscriptions.select(
            "subscription_id", "contract_id", "customer_id", "started_on", "ended_on"
        )
        .join(contracts, on="contract_id", how="left")
        .join(entities, on="entity_id", how="left")
        .join(customers, on="payer_id", how="left")
        .with_columns(reason=missing)
        .drop("has_contract", "is_known")
    )


def _cut(active: pl.DataFrame, phases: pl.DataFrame) -> pl.DataFrame:
    """Join phases to active subscriptions and cut them to the days on which they are in force."""
    same_plan = ["subscription_id", "plan_id"]
    joined = phases.drop("recorded_at").join(active, on="subscription_id", how="inner")
    is_alone = ~joined["subscription_id"].is_duplicated()
    alone = joined.filter(is_alone).with_columns(
        next_from_on=pl.lit(None, dtype=pl.Date), does_overlap=pl.lit(value=False)
    )
    several = joined.filter(~is_alone).sort("subscription_id", "effective_from_on", "phase_id")
    # Phases of one plan that begin on one day stay side by side and are reported below.
    following = (
        several.select(*same_plan, "effective_from_on")
        .unique()
        .sort(*same_plan, "effective_from_on")
        .with_columns(next_from_on=pl.col("effective_from_on").shift(-1).over(same_plan))
    )
    ended = several.join(following, on=[*same_plan, "effective_from_on"], how="left")
    far = pl.date(9999, 1, 1)
    end_of_earlier = (
        pl.col("effective_to_on").fill_null(far).cum_max().shift(1).over("subscription_id")
    )
    marked = ended.with_columns(
        does_overlap=(end_of_earlier > pl.col("effective_from_on")).fill_null(value=False)
    )
    starts = pl.max_horizontal("active_from_on", "effective_from_on")
    ends = pl.min_horizontal("active_to_on", "effective_to_on", "next_from_on")
    return (
        pl.concat([alone, marked.select(alone.columns)])
        .with_columns(in_force_from_on=starts, in_force_to_on=ends)
        .filter(pl.col("in_force_from_on") < pl.col("in_force_to_on"))
        .drop("next_from_on", "reason", "effective_from_on", "effective_to_on")
    )


def _without_subscription(
    inputs: BillingInputs, active: pl.DataFrame, period: Period
) -> pl.DataFrame:
    """List contracts in force in the period for which billing has no active subscription."""
    in_force = inputs.contracts.filter(
        pl.col("starts_on") < period.end_on,
        pl.col("ends_on").is_null() | (pl.col("ends_on") > period.start_on),
    )
    known = inputs.subscriptions.select("contract_id").unique()
    orphans = in_force.join(active, on="contract_id", how="anti").select("contract_id")
    has_some = orphans.join(known, on="contract_id", how="semi")
    has_none = orphans.join(known, on="contract_id", how="anti")
    return (
        pl.concat(
            [
                has_some.with_columns(reason=pl.lit("no_subscription_in_force")),
                has_none.with_columns(reason=pl.lit("no_subscription")),
            ]
        )
        .select("contract_id", "reason", subscription_id=pl.lit(""))
        .select("contract_id", "subscription_id", "reason")
    )
