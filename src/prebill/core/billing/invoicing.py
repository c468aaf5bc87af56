"""Billing of a period: windows to meter, then lines, tax, totals, drafts, skips and findings.

Pure and columnar: one contract is billed by the same expressions as a million.

A run for period P bills charges in arrears *and* in advance for P itself; ``timing`` on the line
tells accounting whether revenue is deferred. Service days stand on every line, so that billing a
later period in advance would change no consumer. Billing is monthly, by calendar month in the
contract's zone; a contract that starts or ends inside of the month is billed for its days.
"""

from dataclasses import dataclass

import polars as pl

from prebill.core.billing import drafts as drafting
from prebill.core.billing.checks import without_floats
from prebill.core.billing.findings import billing_findings
from prebill.core.billing.inputs import BillingInputs, contract_inputs
from prebill.core.billing.pricing import price
from prebill.core.billing.segments import segments, windows_of
from prebill.core.billing.tax import rates, tax_minor, treatments
from prebill.core.calendar import Period
from prebill.core.schemas.internal import DRAFT_LINES, DRAFTS, SKIPS

__all__ = ["Billed", "BillingInputs", "bill", "contract_inputs", "unbilled_terms", "windows"]

_PARTIES = ["seller_country", "country", "region", "tax_id", "is_business"]


@dataclass(frozen=True, slots=True)
class Billed:
    """What a run of billing gives: DRAFTS, DRAFT_LINES, SKIPS and FINDINGS."""

    drafts: pl.DataFrame
    lines: pl.DataFrame
    skips: pl.DataFrame
    findings: pl.DataFrame


def windows(inputs: BillingInputs, period: Period) -> pl.DataFrame:
    """Return the WINDOWS of the period in which usage is to be metered.

    Parameters
    ----------
    inputs : BillingInputs
        Reference frames of the run.
    period : Period
        A calendar month.

    Returns
    -------
    pl.DataFrame, WINDOWS
        One row a metered charge and segment, with its instants in the contract's zone.
    """
    return windows_of(segments(inputs, period))


def bill(inputs: BillingInputs, quantities: pl.DataFrame, period: Period) -> Billed:
    """Bill every subscription in force in the period.

    Parameters
    ----------
    inputs : BillingInputs
        Reference frames of the run.
    quantities : pl.DataFrame, QUANTITIES
        One row a window of :func:`windows`.
    period : Period
        A calendar month.

    Returns
    -------
    Billed
        A draft for each subscription with a line; each active (contract, subscription, charge)
        without a line is in ``skips`` with its reason.
    """
    pieces = segments(inputs, period)
    priced = price(pieces, quantities, inputs.tiers, period)
    one_currency = drafting.one_currency_a_draft(priced.lines)
    second_currency = drafting.skipped(one_currency.others, "second_currency", period)
    taxed = without_floats(_taxed(one_currency.lines, inputs.tax_rates), "tax")
    numbered = drafting.numbered(taxed, period)
    drafts = drafting.drafts(numbered, period)
    findings = billing_findings(numbered, one_currency.others)
    skips = pl.concat([pieces.skips, priced.skips, second_currency]).sort(SKIPS.key)
    return Billed(
        drafts=without_floats(DRAFTS.conform(drafts), "draft"),
        lines=without_floats(DRAFT_LINES.conform(numbered), "lines"),
        skips=skips,
        findings=findings,
    )


def unbilled_terms(expected: Billed, billed: Billed) -> pl.DataFrame:
    """List charges that a contract expects and that billing neither drafted nor skipped by name.

    Parameters
    ----------
    expected : Billed
        From :func:`bill` on :func:`contract_inputs`.
    billed : Billed
        From :func:`bill` on the subscriptions.

    Returns
    -------
    pl.DataFrame, SKIPS
        Reason ``no_subscription`` where the contract has no draft at all, else
        ``not_in_subscription``.
    """
    named = ["contract_id", "charge_id"]
    due = expected.drafts.select("draft_id", "contract_id", "period").join(
        expected.lines.select("draft_id", "charge_id"), on="draft_id"
    )
    have = billed.drafts.select("draft_id", "contract_id")
    done = have.join(billed.lines.select("draft_id", "charge_id"), on="draft_id").select(named)
    absent = due.join(pl.concat([done, billed.skips.select(named)]), on=named, how="anti")
    drafted = have.select("contract_id", has_draft=pl.lit(value=True)).unique()
    reason = (
        pl.when(pl.col("has_draft").is_null())
        .then(pl.lit("no_subscription"))
        .otherwise(pl.lit("not_in_subscription"))
    )
    reasoned = absent.join(drafted, on="contract_id", how="left").with_columns(
        reason=reason, subscription_id=pl.lit("")
    )
    return SKIPS.conform(reasoned.unique(named)).sort(SKIPS.key)


def _taxed(lines: pl.DataFrame, tax_rates: pl.DataFrame) -> pl.DataFrame:
    """Add tax point, treatment, code, rate and tax to the lines."""
    parties = lines.select("subscription_id", *_PARTIES).unique("subscription_id", keep="any")
    last_day = pl.col("service_end_on").max() - pl.duration(days=1)
    points = lines.group_by("subscription_id").agg(tax_point_on=last_day)
    decided = treatments(parties).drop(_PARTIES).join(points, on="subscription_id", how="left")
    placed = lines.drop(_PARTIES).join(decided, on="subscription_id", how="left")
    key = ["treatment", "jurisdiction", "tax_category", "tax_point_on"]
    found = rates(placed.select(key).unique(), tax_rates)
    taxed = placed.join(found, on=key, how="left", nulls_equal=True)
    return taxed.with_columns(tax_minor=tax_minor(pl.col("amount_minor"), pl.col("tax_percent")))
