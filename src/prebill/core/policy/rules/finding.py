"""A finding of one of the named codes, certain enough and large enough."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.policy.reading import number, texts
from prebill.core.policy.rules.base import Evaluate, RuleKind
from prebill.core.policy.shapes import SHARE, words


def build(settings: Mapping[str, object], rule_id: str) -> Evaluate:
    """Hit drafts with such a finding; one without an amount concerns the whole document."""
    codes = texts(settings, "codes", rule_id)
    min_score = number(settings, "min_score", rule_id, low=0.0, high=1.0)
    min_share = number(settings, "min_share", rule_id, low=0.0, high=1.0)

    def hits(scores: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:
        named = findings.filter(pl.col("code").is_in(codes), pl.col("score") >= min_score)
        if named.is_empty():
            return named.select("invoice_id")
        named = named.join(scores.select("invoice_id", "total_minor"), on="invoice_id")
        share = pl.col("amount_minor").abs() / pl.max_horizontal(
            pl.col("total_minor").abs(), pl.lit(1)
        )
        large = named.filter(share.fill_null(1.0) >= min_share)
        return large.select("invoice_id").unique()

    return hits


FINDING: Final = RuleKind(
    "finding",
    "a finding of one of the codes, certain enough and large enough",
    {"codes": words("reason codes"), "min_score": SHARE, "min_share": SHARE},
    build,
)
