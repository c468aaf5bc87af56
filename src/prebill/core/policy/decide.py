"""From scores and findings to actions: every rule is asked, the strictest answer wins."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from prebill.core.policy.rules import Action, Rule
from prebill.core.schemas.frame import collected

ACTIONS: Final = {action.value: action.name.lower() for action in Action}


def decide(
    scores: pl.DataFrame,
    findings: pl.DataFrame,
    rules: Sequence[Rule],
    failures: Mapping[str, Action],
) -> pl.DataFrame:
    """Decide what happens to each draft.

    Parameters
    ----------
    scores : pl.DataFrame, one row per draft
        ``invoice_id, currency, total_minor, anomaly_score, p_error, p_late, expected_loss_minor``.
    findings : pl.DataFrame
        ``FINDINGS``.
    rules : sequence of Rule
        In force.
    failures : mapping
        Detector (or ``default``) → action where it could not judge.

    Returns
    -------
    pl.DataFrame, one row per draft
        ``invoice_id, action`` (text) and ``rules`` (ids of all rules that hit, comma separated;
        ``could-not-judge:<detector>`` for failures).
    """
    answers = [
        rule.hits(scores, findings)
        .lazy()
        .select(
            "invoice_id",
            rule=pl.lit(rule.rule_id),
            level=pl.lit(rule.action.value, dtype=pl.Int64),
        )
        for rule in rules
    ]
    level = pl.col("detector").replace_strict(
        {name: action.value for name, action in failures.items()},
        default=failures["default"].value,
        return_dtype=pl.Int64,
    )
    failed = (
        findings.lazy()
        .filter(pl.col("basis") == "could_not_judge")
        .select(
            "invoice_id", rule=pl.concat_str(pl.lit("could-not-judge:"), "detector"), level=level
        )
    )
    strictest = (
        pl.concat([failed, *answers])
        .group_by("invoice_id")
        .agg(pl.col("level").max(), rules=pl.col("rule").unique().sort().str.join(","))
    )
    plan = scores.lazy().join(strictest, on="invoice_id", how="left", maintain_order="left")
    return collected(
        plan.select(
            "invoice_id",
            action=pl.col("level").fill_null(Action.RELEASE.value).replace_strict(ACTIONS),
            rules=pl.col("rules").fill_null(""),
        )
    )
