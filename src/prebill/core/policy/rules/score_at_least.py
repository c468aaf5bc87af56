"""A score at or above a limit."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.policy.reading import number, text
from prebill.core.policy.rules.base import Evaluate, RuleKind
from prebill.core.policy.shapes import SHARE

SCORES: Final = ("anomaly_score", "p_error", "p_late")


def build(settings: Mapping[str, object], rule_id: str) -> Evaluate:
    """Hit drafts whose ``score`` is at least ``at_least``; an unknown score is no hit here."""
    score = text(settings, "score", rule_id)
    if score not in SCORES:
        message = f"{rule_id}: unknown score {score!r}; known are {', '.join(SCORES)}"
        raise PolicyError(message, where=rule_id, setting="score")
    limit = number(settings, "at_least", rule_id, low=0.0, high=1.0)

    def hits(scores: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
        return scores.filter(pl.col(score) >= limit).select("invoice_id")

    return hits


SCORE_AT_LEAST: Final = RuleKind(
    "score_at_least",
    "a score from a limit on",
    {"score": {"enum": list(SCORES)}, "at_least": SHARE},
    build,
)
