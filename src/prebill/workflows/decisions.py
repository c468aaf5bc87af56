"""What is added to the judges' decisions. An action only ever goes up here.

Facts that billing and the ledger report, and the answer when judging itself failed.
"""

from datetime import date
from typing import TYPE_CHECKING, Final

import polars as pl

from prebill.core.billing.finality import LATE_USAGE
from prebill.core.billing.findings import DETECTOR as BILLING
from prebill.core.policy.action import LEVELS, NAMES, in_effect
from prebill.core.policy.failures import DOWN, LATE
from prebill.core.schemas.internal import DECISIONS, FINDINGS, GAPS
from prebill.core.scoring.combine import reasons_json
from prebill.core.scoring.scorer import Scored

if TYPE_CHECKING:
    from prebill.core.policy.model import Policy

READINESS: Final = "readiness"
#: Stands for the judge where judging itself failed.
FAILED: Final = "scoring"


def escalate(
    decisions: pl.DataFrame,
    findings: pl.DataFrame,
    *,
    action: str,
    modes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Raise the drafts that have findings to at least ``action`` and put the reasons first.

    ``modes``: ``invoice_id, mode`` where the policy's mode limits what takes effect; None: what was
    found stops in every mode.
    """
    if findings.is_empty():
        return decisions
    extra = reasons_json(findings).rename({"reasons": "extra"})
    joined = decisions.join(extra, on="invoice_id", how="left", maintain_order="left")
    is_raised = pl.col("extra").is_not_null()
    before = pl.col("action").replace_strict(LEVELS, return_dtype=pl.Int64)
    level: pl.Expr = pl.lit(LEVELS[action])
    if modes is not None:
        joined = joined.join(modes, on="invoice_id", how="left", maintain_order="left")
        level = in_effect(level, pl.col("mode"))
    proposed = pl.coalesce("proposed_action", "action")
    proposed_level = proposed.replace_strict(LEVELS, return_dtype=pl.Int64)
    merged = pl.concat_str(
        pl.col("extra").str.slice(0, pl.col("extra").str.len_chars() - 1),
        pl.when(pl.col("reasons") == "[]").then(pl.lit("")).otherwise(pl.lit(",")),
        pl.col("reasons").str.slice(1),
    )
    return joined.with_columns(
        action=_raised(is_raised, before, level),
        proposed_action=_raised(is_raised, proposed_level, pl.lit(LEVELS[action])),
        reasons=pl.when(is_raised).then(merged).otherwise(pl.col("reasons")),
    ).select(decisions.columns)


def _raised(is_raised: pl.Expr, before: pl.Expr, level: pl.Expr) -> pl.Expr:
    higher = pl.when(is_raised).then(pl.max_horizontal(before, level)).otherwise(before)
    return higher.replace_strict(NAMES, return_dtype=pl.String())


def with_billing_findings(
    decisions: pl.DataFrame, scores: pl.DataFrame, findings: pl.DataFrame, policy: "Policy"
) -> pl.DataFrame:
    """Let the policy decide on what billing itself reports; at least a person looks.

    ``scores``: what the policy decided on before; see :func:`asked_again`.
    """
    if findings.is_empty():
        return decisions
    decided = policy.decide(scores, findings)
    held = decided.filter(pl.col("proposed_action") == "hold")
    modes = decided.select("invoice_id", "mode")
    to_hold = findings.join(held, on="invoice_id", how="semi")
    to_review = findings.join(held, on="invoice_id", how="anti")
    reviewed = escalate(decisions, to_review, action="review", modes=modes)
    return escalate(reviewed, to_hold, action="hold", modes=modes)


def asked_again(decisions: pl.DataFrame, drafts: pl.DataFrame) -> pl.DataFrame:
    """What a policy can be asked on where only decisions and totals are known."""
    totals = drafts.select("total_minor", invoice_id="draft_id")
    said = ("action", "proposed_action", "rules", "policy_class", "reasons")
    return decisions.drop(said).join(totals, on="invoice_id", how="left", maintain_order="left")


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
        ``invoice_id, action, proposed_action, reasons``: equal to what is stored if nothing was
        altered, and the policy asks nothing but scores and findings.
    """
    by_billing, is_late = pl.col("detector") == BILLING, pl.col("code") == LATE_USAGE
    is_blocker = pl.col("detector") == READINESS
    judged = findings.filter(~by_billing & ~is_blocker)
    scores = asked_again(decisions, drafts)
    again = (
        scores.join(policy.decide(scores, judged), on="invoice_id")
        .join(reasons_json(judged), on="invoice_id", how="left")
        .with_columns(pl.col("reasons").fill_null("[]"))
    )
    # Where judging itself failed, no policy was asked.
    failed = judged.filter(pl.col("detector") == FAILED).select("invoice_id", failed=True)
    again = (
        again.join(failed, on="invoice_id", how="left")
        .with_columns(
            pl.when("failed").then(answer).otherwise(pl.col(name)).alias(name)
            for name, answer in _when_down(policy).items()
        )
        .select(decisions.columns)
    )
    billed = findings.filter(by_billing & ~is_late)
    again = with_billing_findings(again, scores, billed, policy)
    again = late_and_blocked(
        again, findings.filter(by_billing & is_late), findings.filter(is_blocker), policy
    )
    return again.select("invoice_id", "action", "proposed_action", "reasons")


def late_and_blocked(
    decisions: pl.DataFrame, late: pl.DataFrame, blockers: pl.DataFrame, policy: "Policy"
) -> pl.DataFrame:
    """Stop what can't be issued rightly, in every mode: usage is late, nothing can be posted."""
    waiting = escalate(decisions, late, action=policy.failures.state(LATE).name.lower())
    return escalate(waiting, blockers, action="hold")


def _when_down(policy: "Policy") -> dict[str, pl.Expr]:
    """What takes effect and what is proposed where judging itself failed."""
    level = policy.failures.state(DOWN).value
    effect = in_effect(pl.lit(level), pl.lit(policy.ruling.unjudged_mode))
    return {
        "action": effect.replace_strict(NAMES, return_dtype=pl.String()),
        "proposed_action": pl.lit(NAMES[level]),
    }


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
        **_when_down(policy),
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
