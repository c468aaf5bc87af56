"""What the signed contracts price to, beside what billing was told: the *expected* drafts.

The same functions price both. Where billing was told what was signed, which is nearly everywhere,
one is the other: only contracts that differ are metered and priced a second time.
"""

from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.invoicing import Billed, bill, windows
from prebill.core.calendar import Period

#: What a phase of a subscription and a term of a contract have in common, ids left out.
_TERMS: Final = (
    *("plan_id", "price_book_id", "quantity", "discount_percent", "discount_ends_on"),
    *("effective_from_on", "effective_to_on"),
)


def contract_inputs(inputs: BillingInputs, contract_terms: pl.DataFrame) -> BillingInputs:
    """Make inputs that bill what the signed contracts say instead of the subscriptions.

    Parameters
    ----------
    inputs : BillingInputs
        Inputs of the run.
    contract_terms : pl.DataFrame, CONTRACT_TERMS
        Lines of the contracts as the CRM holds them.

    Returns
    -------
    BillingInputs
        One subscription a contract, ``subscription_id`` = ``contract_id``, with the terms as its
        phases (``phase_id`` = ``term_id``). ``bill`` on it gives the *expected* lines.
    """
    subscriptions = inputs.contracts.select(
        "contract_id",
        "customer_id",
        "recorded_at",
        subscription_id="contract_id",
        started_on="starts_on",
        ended_on="ends_on",
    )
    phases = contract_terms.rename({"contract_id": "subscription_id", "term_id": "phase_id"})
    return replace(inputs, subscriptions=subscriptions, phases=phases)


@dataclass(frozen=True, slots=True)
class Agreed:
    """The contracts of a run by whether billing was told what was signed.

    ``same``: ``contract_id, subscription_id`` of contracts with one subscription of the same days
    and terms. ``others``: inputs that bill all the other contracts as signed.
    """

    same: pl.DataFrame
    others: BillingInputs

    def windows(self, period: Period) -> pl.DataFrame:
        """WINDOWS to meter beside those of the subscriptions."""
        return windows(self.others, period)

    def bill(self, billed: Billed, quantities: pl.DataFrame, period: Period) -> Billed:
        """Bill every contract as signed.

        Parameters
        ----------
        billed : Billed
            What was billed for the subscriptions.
        quantities : pl.DataFrame, QUANTITIES
            Of the windows above.
        period : Period
            A calendar month.

        Returns
        -------
        Billed
            As :func:`bill` gives it for :func:`contract_inputs`. The drafts and lines of the same
            contracts are the billed ones under the id of the contract; skips and findings of those
            are in ``billed`` already and are left out.
        """
        others = bill(self.others, quantities, period)
        same = billed.drafts.join(self.same, on=["contract_id", "subscription_id"])
        agreed_id = pl.format("{}:{}:{}", "entity_id", "period", "contract_id")
        names = same.select("draft_id", agreed_id=agreed_id, agreed_subscription="contract_id")
        drafts, lines = (
            frame.join(names, on="draft_id").with_columns(
                draft_id="agreed_id", subscription_id="agreed_subscription"
            )
            for frame in (same, billed.lines)
        )
        return Billed(
            drafts=pl.concat([drafts.select(others.drafts.columns), others.drafts]),
            lines=pl.concat([lines.select(others.lines.columns), others.lines]),
            skips=others.skips,
            findings=others.findings,
        )


def agreed(inputs: BillingInputs, contract_terms: pl.DataFrame, apart: pl.DataFrame) -> Agreed:
    """Find the contracts whose subscription says what was signed.

    Parameters
    ----------
    inputs : BillingInputs
        Inputs of the run.
    contract_terms : pl.DataFrame, CONTRACT_TERMS
        Lines of the contracts as the CRM holds them.
    apart : pl.DataFrame
        ``subscription_id`` of subscriptions that are not billed as metered, for example corrected.
    """
    whole = contract_inputs(inputs, contract_terms)
    contracts = inputs.contracts.select(
        "contract_id", "customer_id", started_on="starts_on", ended_on="ends_on"
    )
    alone = inputs.subscriptions.filter(~pl.col("contract_id").is_duplicated()).select(
        "contract_id", "subscription_id", "customer_id", "started_on", "ended_on"
    )
    known = alone.join(contracts, on=contracts.columns, how="semi", nulls_equal=True).join(
        apart, on="subscription_id", how="anti"
    )
    told = known.select("contract_id", "subscription_id").join(inputs.phases, on="subscription_id")
    signed = whole.phases.rename({"subscription_id": "contract_id"})
    key = ["contract_id", *_TERMS]
    # Equal if each row of one stands as often in the other, and they have as many rows.
    told_rows = told.group_by(key).agg(rows=pl.len())
    signed_rows = signed.group_by(key).agg(rows=pl.len())
    differ = told_rows.join(signed_rows, on=[*key, "rows"], how="anti", nulls_equal=True)
    counts = known.join(
        told.group_by("contract_id").agg(told=pl.len()), on="contract_id", how="left"
    ).join(signed.group_by("contract_id").agg(signed=pl.len()), on="contract_id", how="left")
    same = (
        counts.filter(pl.col("told").eq_missing(pl.col("signed")))
        .join(differ, on="contract_id", how="anti")
        .select("contract_id", "subscription_id")
    )
    others = replace(
        whole,
        contracts=whole.contracts.join(same, on="contract_id", how="anti"),
        subscriptions=whole.subscriptions.join(same, on="contract_id", how="anti"),
        phases=signed.join(same, on="contract_id", how="anti").rename(
            {"contract_id": "subscription_id"}
        ),
    )
    return Agreed(same, others)
