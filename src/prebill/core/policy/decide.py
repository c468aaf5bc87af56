"""From scores and findings to actions: every rule is asked, the strictest answer wins."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.policy.action import NAMES, Action, Mode, in_effect
from prebill.core.policy.classes import UNCLASSED, InvoiceClass, classed
from prebill.core.policy.failures import Failures
from prebill.core.policy.rules.base import UNDECIDED
from prebill.core.policy.ruleset import Variant
from prebill.core.schemas.frame import collected
from prebill.core.scoring.circumstances import CIRCUMSTANCES

ACTIONS: Final = NAMES
#: Before the id of a rule or the name of a judge that could not judge.
NOT_JUDGED: Final = "could-not-judge:"
#: Before the id of a rule that would have hit, had it not been snoozed for the customer.
SNOOZED: Final = "snoozed:"
#: Stands for the judge where it can't be told which class a draft is of.
CLASSING: Final = "classes"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What of a policy decides."""

    variants: tuple[Variant, ...]
    classes: tuple[InvoiceClass, ...]
    failures: Failures
    mode: Mode

    @property
    def reads_circumstances(self) -> bool:
        """Whether it asks more than scores and findings say."""
        return bool(self.classes) or any(one.rule.undecided for one in self.variants)

    @property
    def unjudged_mode(self) -> str:
        """The mode of a draft of which nothing is known: the strictest of all."""
        return self.modes()[UNCLASSED]

    def modes(self) -> dict[str, str]:
        """Mode by class; an unclassed draft has the strictest of all."""
        own = {one.name: (one.mode or self.mode).value for one in self.classes}
        order = [mode.value for mode in Mode]
        return {**own, UNCLASSED: max([self.mode.value, *own.values()], key=order.index)}


def with_class(scores: pl.DataFrame, classes: tuple[InvoiceClass, ...]) -> pl.DataFrame:
    """Scores with every column of ``CIRCUMSTANCES``, null where absent, and ``policy_class``."""
    given = set(scores.columns)
    absent = [
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in CIRCUMSTANCES.schema.items()
        if name not in given
    ]
    whole = scores.with_columns(absent) if absent else scores
    return whole.with_columns(policy_class=classed(classes))


def decide(scores: pl.DataFrame, findings: pl.DataFrame, ruling: Ruling) -> pl.DataFrame:
    """Decide what happens to each draft.

    Parameters
    ----------
    scores : pl.DataFrame, one row per draft
        ``invoice_id, currency, total_minor, anomaly_score, p_error, p_late, expected_loss_minor``
        and ``CIRCUMSTANCES``; an absent circumstance is one that is not known.
    findings : pl.DataFrame
        ``FINDINGS``.
    ruling : Ruling
        Rules, classes, failures and mode in force.

    Returns
    -------
    pl.DataFrame, one row per draft
        ``invoice_id``; ``action``, which takes effect, and ``proposed_action``, which the rules
        lead to (texts); ``rules`` (ids of all rules that hit, comma separated;
        ``could-not-judge:<detector or rule>`` for failures, ``snoozed:<rule>`` for what was left
        out); ``policy_class``; ``mode``.
    """
    scores = with_class(scores, ruling.classes)
    answers = [_hits(variant, scores, findings) for variant in ruling.variants]
    failed = [_failed(findings, ruling), _unclassed(scores, ruling)]
    failed += [
        _undecided(variant, scores, ruling) for variant in ruling.variants if variant.rule.undecided
    ]
    strictest = (
        pl.concat([*failed, *_unless_snoozed(answers, scores)])
        .group_by("invoice_id")
        .agg(pl.col("level").max(), rules=pl.col("rule").unique().sort().str.join(","))
    )
    mode = pl.col("policy_class").replace_strict(
        ruling.modes(), default=ruling.mode.value, return_dtype=pl.String()
    )
    plan = (
        scores.lazy()
        .select("invoice_id", "policy_class")
        .join(strictest, on="invoice_id", how="left", maintain_order="left")
        .with_columns(pl.col("level").fill_null(Action.RELEASE.value), mode=mode)
    )
    return collected(
        plan.select(
            "invoice_id",
            action=in_effect(pl.col("level"), pl.col("mode")).replace_strict(ACTIONS),
            proposed_action=pl.col("level").replace_strict(ACTIONS),
            rules=pl.col("rules").fill_null(""),
            policy_class="policy_class",
            mode="mode",
        )
    )


def _hits(variant: Variant, scores: pl.DataFrame, findings: pl.DataFrame) -> pl.LazyFrame:
    rule = variant.rule
    return _said(variant.hits(scores, findings), pl.lit(rule.rule_id), pl.lit(rule.action.value))


def _failed(findings: pl.DataFrame, ruling: Ruling) -> pl.LazyFrame:
    """Judges that could not judge; rules are asked themselves: another policy's may say it."""
    failed = findings.filter(
        pl.col("basis") == "could_not_judge", pl.col("code").ne_missing(UNDECIDED)
    )
    judge = pl.col("detector")
    return _said(failed, pl.format(f"{NOT_JUDGED}{{}}", judge), ruling.failures.level(judge))


def _undecided(variant: Variant, scores: pl.DataFrame, ruling: Ruling) -> pl.LazyFrame:
    rule = variant.rule
    asked = variant.asked(scores)
    unknown = asked.clear() if rule.undecided is None else rule.undecided(asked)
    level = ruling.failures.of(rule.rule_id).value
    return _said(unknown, pl.lit(f"{NOT_JUDGED}{rule.rule_id}"), pl.lit(level))


def _unclassed(scores: pl.DataFrame, ruling: Ruling) -> pl.LazyFrame:
    level = ruling.failures.of(CLASSING).value
    unknown = scores.filter(pl.col("policy_class") == UNCLASSED)
    return _said(unknown, pl.lit(f"{NOT_JUDGED}{CLASSING}"), pl.lit(level))


def _said(drafts: pl.DataFrame, rule: pl.Expr, level: pl.Expr) -> pl.LazyFrame:
    return drafts.lazy().select("invoice_id", rule=rule, level=level.cast(pl.Int64))


def _unless_snoozed(answers: list[pl.LazyFrame], scores: pl.DataFrame) -> list[pl.LazyFrame]:
    """The answers; one that is snoozed for the draft's customer is told, but leads to nothing."""
    snoozed = scores.filter(pl.col("snoozed_rules").is_not_null())
    if snoozed.is_empty():
        return answers
    listed = snoozed.lazy().select(
        "invoice_id", rule=pl.col("snoozed_rules").str.split(","), is_snoozed=pl.lit(value=True)
    )
    pairs = listed.explode("rule")
    is_snoozed = pl.col("is_snoozed").fill_null(value=False)
    return [
        pl.concat(answers)
        .join(pairs, on=["invoice_id", "rule"], how="left")
        .select(
            "invoice_id",
            rule=pl.when(is_snoozed).then(pl.format(f"{SNOOZED}{{}}", "rule")).otherwise("rule"),
            level=pl.when(is_snoozed).then(Action.RELEASE.value).otherwise("level"),
        )
    ]
