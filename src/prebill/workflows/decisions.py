"""What is added to the judges' decisions. An action only ever goes up here.

Facts that billing and the ledger report, and the answer when judging itself failed.
"""

from datetime import date
from typing import TYPE_CHECKING, Final

import polars as pl

from prebill.core.billing.finality import LATE_USAGE
from prebill.core.billing.findings import DETECTOR as BILLING
from prebill.core.schemas.internal import DECISIONS, FINDINGS, GAPS
from prebill.core.scoring.combine import reasons_json
from prebill.core.scoring.scorer import Scored

if TYPE_CHECKING:
    from prebill.core.policy.model import Policy

ACTIONS: Final = ("release", "review", "hold")
READINESS: Final = "readiness"
#: Stands for the judge where judging itself failed.
FAILED: Final = "scoring"


def escalate(decisions: pl.DataFrame, findings: pl.DataFrame, *, action: str) -> pl.DataFrame:
    """Raise the drafts that have findings to at least ``action`` and put the reasons first."""
    if findings.is_empty():
        return decisions
    extra = reasons_json(findings).rename({"reasons": "extra"})
    joined = decisions.join(extra, on="invoice_id", how="left", maintain_order="left")
    is_raised = pl.col("extra").is_not_null()
    rank = pl.col("action").replace_strict(
        {name: index for index, name in enumerate(ACTIONS)}, return_dtype=pl.Int64
    )
    raised = pl.when(is_raised & (rank < ACTIONS.index(action))).then(pl.lit(action))
    merged = pl.concat_str(
        pl.col("extra").str.slice(0, pl.col("extra").str.len_chars() - 1),
        pl.when(pl.col("reasons") == "[]").then(pl.lit("")).otherwise(pl.lit(",")),
        pl.col("reasons").str.slice(1),
    )
    return joined.with_columns(
        action=raised.otherwise(pl.col("action")),
        reasons=pl.when(is_raised).then(merged).otherwise(pl.col("reasons")),
    ).drop("extra")


def with_billing_findings(
    decisions: pl.DataFrame, drafts: pl.DataFrame, findings: pl.DataFrame, policy: "Policy"
) -> pl.DataFrame:
    """Let the policy decide on what billing itself reports; at least a person looks."""
    if findings.is_empty():
        return decisions
    totals = drafts.select("total_minor", invoice_id="draft_id")
    asked = decisions.join(totals, on="invoice_id", how="left", maintain_order="left")
    held = policy.decide(asked, findings).filter(pl.col("action") == "hold")
    to_hold = findings.join(held, on="invoice_id", how="semi")
    to_review = findings.join(held, on="invoice_id", how="anti")
    return escalate(escalate(decisions, to_review, action="review"), to_hold, action="hold")


def readiness(
    drafts: pl.DataFrame,
    unpostable: pl.DataFrame,
    accounting_periods: pl.DataFrame,
    issued_on: dict[str, date],
) -> pl.DataFrame:
    """Findings of what keeps a draft from being posted: account, exchange rate, closed month."""
    closed = accounting_periods.filter(pl.col("status") == "closed").select("entity_id", "period")
    months = {entity: f"{day:%Y-%m}" for entity, day in issued_on.items()}
    planned = drafts.select("draft_id", "entity_id").with_columns(
        period=pl.col("entity_id").replace_strict(months, default=None, return_dtype=pl.String())
    )
    late = planned.join(closed, on=["entity_id", "period"], how="semi").select(
        "draft_id",
        code=pl.lit("accounting_period_closed"),
        text=pl.format("{} of {} is closed: nothing posts into it", "period", "entity_id"),
    )
    reasons = pl.concat([unpostable, late])
    return FINDINGS.conform(
        reasons.select(
            pl.col("draft_id").alias("invoice_id"),
            "code",
            "text",
            detector=pl.lit(READINESS),
            basis=pl.lit("exact"),
            score=pl.lit(1, dtype=pl.Int64).cast(pl.Float64),
            line_ids=pl.lit(""),
            evidence=pl.lit(""),
        )
    )


def decided_again(
    decisions: pl.DataFrame, drafts: pl.DataFrame, findings: pl.DataFrame, policy: "Policy"
) -> pl.DataFrame:
    """Derive actions and reasons from stored scores and findings, in the order of a run.

    Parameters
    ----------
    decisions : pl.DataFrame
        ``DECISIONS`` as stored.
    drafts : pl.DataFrame
        ``draft_id, total_minor``.
    findings : pl.DataFrame
        ``FINDINGS`` of judges, policy, billing and readiness, as stored.
    policy : Policy
        Which decided then.

    Returns
    -------
    pl.DataFrame, one row per decision
        ``invoice_id, action, reasons``: equal to what is stored if nothing was altered.
    """
    by_billing, is_late = pl.col("detector") == BILLING, pl.col("code") == LATE_USAGE
    is_blocker = pl.col("detector") == READINESS
    judged = findings.filter(~by_billing & ~is_blocker)
    totals = drafts.select("total_minor", invoice_id="draft_id")
    scores = decisions.drop("action", "reasons").join(totals, on="invoice_id", how="left")
    again = (
        scores.join(policy.decide(scores, judged), on="invoice_id")
        .join(reasons_json(judged), on="invoice_id", how="left")
        .with_columns(pl.col("reasons").fill_null("[]"))
    )
    # Where judging itself failed, no policy was asked.
    failed = judged.filter(pl.col("detector") == FAILED).select("invoice_id", failed=True)
    again = (
        again.join(failed, on="invoice_id", how="left")
        .with_columns(action=pl.when("failed").then(pl.lit("review")).otherwise("action"))
        .select(decisions.columns)
    )
    billed = findings.filter(by_billing & ~is_late)
    again = with_billing_findings(again, drafts, billed, policy)
    again = escalate(again, findings.filter(by_billing & is_late), action="review")
    again = escalate(again, findings.filter(is_blocker), action="hold")
    return again.select("invoice_id", "action", "reasons")


def cannot_judge(drafts: pl.DataFrame, policy: "Policy", reason: str) -> Scored:
    """Send every draft to a person, saying why nothing could be judged."""
    findings = FINDINGS.conform(
        drafts.select(
            pl.col("draft_id").alias("invoice_id"),
            detector=pl.lit(FAILED),
            code=pl.lit("could_not_judge"),
            basis=pl.lit("could_not_judge"),
            text=pl.lit(reason[:500]),
            line_ids=pl.lit(""),
            evidence=pl.lit(""),
        )
    )
    plain = drafts.select(
        pl.col("draft_id").alias("invoice_id"),
        "currency",
        action=pl.lit("review"),
        p_error_basis=pl.lit("prior"),
        direction=pl.lit("unclear"),
        expected_loss_minor=pl.lit(0, dtype=pl.Int64),
        confidence=pl.lit("cold"),
        model_versions=pl.lit("{}"),
        policy_hash=pl.lit(policy.digest),
    )
    reasons = reasons_json(findings)
    decisions = DECISIONS.conform(plain.join(reasons, on="invoice_id", how="left"))
    return Scored(decisions, findings, drafts.select(invoice_id="draft_id"), GAPS.empty())
