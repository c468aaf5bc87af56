"""Billing of a period: windows to meter, then lines, tax, totals, drafts, skips and findings.

Pure and columnar: one contract is billed by the same expressions as a million.

A run for period P bills charges in arrears *and* in advance for P itself; ``timing`` on the line
tells accounting whether revenue is deferred. Service days stand on every line, so that billing a
later period in advance would change no consumer. Billing is monthly, by calendar month in the
contract's zone; a contract that starts or ends inside of the month is billed for its days.
"""

from dataclasses import dataclass

import polars as pl

from prebill.core.billing.checks import without_floats
from prebill.core.billing.drafts import document_lines, drafts_of, one_currency_a_draft
from prebill.core.billing.findings import billing_findings
from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.pricing import price
from prebill.core.billing.segments import named_skips, segments, windows_of
from prebill.core.billing.tax import taxed
from prebill.core.billing.terms import EVERY_CHARGE
from prebill.core.calendar import Period
from prebill.core.schemas.internal import DRAFT_LINES, DRAFTS, SKIPS


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
    cut = segments(inputs, period)
    priced = price(cut, quantities, inputs.tiers, period)
    split = one_currency_a_draft(priced.lines, cut.charges)
    with_tax = without_floats(taxed(split.lines, cut, inputs.tax_rates), "tax")
    lines = document_lines(with_tax, cut)
    left_out = named_skips(split.others, pl.lit("second_currency"), cut.charges, cut.terms, period)
    skips = pl.concat([cut.skips, priced.skips, left_out])
    return Billed(
        drafts=without_floats(DRAFTS.conform(drafts_of(lines, cut, period)), "drafts"),
        lines=without_floats(DRAFT_LINES.conform(lines), "lines"),
        skips=skips.unique(list(SKIPS.key), keep="first", maintain_order=True).sort(SKIPS.key),
        findings=billing_findings(lines, split.others, cut),
    )


def unbilled_terms(expected: Billed, billed: Billed) -> pl.DataFrame:
    """List charges that a contract expects and that billing neither drafted nor skipped by name.

    Parameters
    ----------
    expected : Billed
        What the contracts price to; see ``contracts.py``.
    billed : Billed
        From :func:`bill` on the subscriptions.

    Returns
    -------
    pl.DataFrame, SKIPS
        One row a contract and charge. The reason is that of the contract's skip of every charge
        (``no_subscription``, ``unknown_plan``, …) where there is one, else
        ``not_in_subscription``.
    """
    named = ["contract_id", "charge_id"]
    contracts = expected.drafts.select("draft_id", "contract_id", "period")
    due = contracts.join(expected.lines.select("draft_id", "charge_id"), on="draft_id")
    drafts = billed.drafts.select("draft_id", "contract_id")
    drafted = drafts.join(billed.lines.select("draft_id", "charge_id"), on="draft_id")
    done = pl.concat([drafted.select(named), billed.skips.select(named)])
    reasons = (
        billed.skips.filter(pl.col("charge_id") == EVERY_CHARGE)
        .select("contract_id", "subscription_id", "reason")
        .unique("contract_id", keep="first", maintain_order=True)
    )
    absent = due.unique(named).join(done, on=named, how="anti")
    reasoned = absent.join(reasons, on="contract_id", how="left").with_columns(
        pl.col("reason").fill_null("not_in_subscription"),
        pl.col("subscription_id").fill_null(""),
    )
    return SKIPS.conform(reasoned).sort(SKIPS.key)
