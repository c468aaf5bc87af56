"""Payment risk where much is open already: a person looks at the terms. It never holds.

A correct invoice to a slow payer is not stopped for being slow, stopping makes it later. Above the
limit somebody should know before the exposure grows; natural persons are left out where the policy
forbids payment risk for them.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.policy.action import Action
from prebill.core.policy.reading import limit_minor, money_limits, number
from prebill.core.policy.rules.base import Evaluate, Explain, RuleKind
from prebill.core.policy.shapes import LIMITS, numbers
from prebill.core.schemas.internal import FINDINGS
from prebill.core.scoring.detectors.base import EXACT, findings_of
from prebill.core.scoring.exposure import Receivables, exposures
from prebill.core.scoring.models.payment_distribution import LATEST_DAYS
from prebill.core.scoring.words import money_text, percent_text

CODE: Final = "exposure_above_limit"


def build(settings: Mapping[str, object], rule_id: str) -> Evaluate:
    """Hit the drafts that :func:`explain` of the same rule names."""
    number(settings, "p_late", rule_id, low=0.5, high=1.0)
    number(settings, "p_never", rule_id, low=0.01, high=1.0)
    money_limits(settings, "limits", rule_id)

    def hits(scores: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
        named = findings.filter(pl.col("code") == CODE, pl.col("detector") == rule_id)
        return named.select("invoice_id").unique()

    return hits


def explain(settings: Mapping[str, object], rule_id: str) -> Explain:
    """Name the drafts whose customer is likely to pay late, or never, and owes too much.

    ``limits``: currency → major units of it, and ``default`` for every other currency. The
    exposure is what is open and this draft; where nothing is known of what is open, the draft.
    """
    late = number(settings, "p_late", rule_id, low=0.5, high=1.0)
    never = number(settings, "p_never", rule_id, low=0.01, high=1.0)
    limit = limit_minor(money_limits(settings, "limits", rule_id))

    def named(scores: pl.DataFrame, receivables: Receivables) -> pl.DataFrame:
        risky = scores.filter(
            ~pl.col("is_person"),
            (pl.col("p_late") >= late) | (pl.col("p_never") >= never),
            pl.col("total_minor") > 0,
        )
        if risky.is_empty():
            return FINDINGS.empty()
        owed = exposures(risky, receivables)
        above = (
            risky.join(owed, on="invoice_id", maintain_order="left")
            .with_columns(limit_minor=limit)
            .filter(
                pl.col("open_minor").fill_null(0) + pl.col("total_minor") > pl.col("limit_minor")
            )
        )
        if above.is_empty():
            return FINDINGS.empty()
        told = above.select(
            "invoice_id", code=pl.lit(CODE), score=pl.lit(1.0), basis=pl.lit(EXACT), text=_text()
        )
        return findings_of(told, rule_id)

    return named


def _text() -> pl.Expr:
    """The reason in money: what is open, what is added, the limit, when it is likely paid."""
    currency, days = pl.col("currency"), pl.col("overdue_days")
    overdue = (
        pl.when(pl.col("overdue_minor") > 0)
        .then(
            pl.format(
                "{} overdue {} {}",
                money_text(pl.col("overdue_minor"), currency),
                days,
                pl.when(days == 1).then(pl.lit("day")).otherwise(pl.lit("days")),
            )
        )
        .otherwise(pl.lit("nothing overdue"))
    )
    is_open = (
        pl.when(pl.col("open_minor").is_null())
        .then(pl.lit("what is open is not known"))
        .otherwise(
            pl.format("open {} of which {}", money_text(pl.col("open_minor"), currency), overdue)
        )
    )
    half = pl.col("days_late_p50")
    paid_on = pl.col("due_on").dt.offset_by(pl.format("{}d", half.cast(pl.Int64)))
    paid = (
        pl.when(half >= LATEST_DAYS)
        .then(pl.lit("may never be paid"))
        .otherwise(pl.format("likely paid on {}", paid_on))
    )
    return pl.format(
        "{}, this invoice {}, limit {}; {} likely late, {}",
        is_open,
        money_text(pl.col("total_minor"), currency),
        money_text(pl.col("limit_minor"), currency),
        percent_text(pl.col("p_late")),
        paid,
    )


EXPOSURE_ABOVE: Final = RuleKind(
    "exposure_above",
    "a likely late payer whose open money and this draft are above a limit",
    {
        "limits": LIMITS,
        "p_late": numbers(0.5, 1, "likely late from this on"),
        "p_never": numbers(0.01, 1, "or never paid"),
    },
    build,
    explain=explain,
    strictest=Action.REVIEW,
)
