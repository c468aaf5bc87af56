"""The contract of a policy rule: parse its own settings strictly, answer for whole frames.

Most rules are a :class:`Condition`: an expression over what is known of a draft that is true, false
or, where it can't be told, null. The others answer for themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from prebill.core.policy.action import Action
from prebill.core.schemas.internal import FINDINGS
from prebill.core.scoring.detectors.base import COULD_NOT_JUDGE, EXACT, findings_of
from prebill.core.scoring.exposure import Receivables

#: A rule's answer: the drafts it hits.
HITS: Final = pl.Schema({"invoice_id": pl.String})
#: Code of what a rule says that could not judge; `decide` asks the rule itself again.
UNDECIDED: Final = "rule_could_not_judge"

Evaluate = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
#: A rule's own reasons (``FINDINGS``) from scores and receivables; its detector is the rule's id.
Explain = Callable[[pl.DataFrame, Receivables], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Condition:
    """When a rule hits, over the columns of scores and ``CIRCUMSTANCES``.

    ``hit``: null where it can't be told; ``text``: the reason of a hit, with money; ``missing``:
    what a draft lacks where it can't be told, in words.
    """

    code: str
    hit: pl.Expr
    text: pl.Expr
    missing: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in force: its stable id, what it leads to, and which drafts it hits.

    ``explain``: for a rule that no judge's finding explains; ``undecided``: the drafts of which it
    can't tell.
    """

    rule_id: str
    action: Action
    hits: Evaluate
    explain: Explain | None = None
    undecided: Callable[[pl.DataFrame], pl.DataFrame] | None = None


@dataclass(frozen=True, slots=True)
class RuleKind:
    """A registered kind: its name in the policy text, its settings, and how a rule is built of it.

    ``settings``: name → JSON Schema of its values; those in ``optional`` may be left out. Either
    ``build``, with ``explain`` for the rule's own reasons, or ``condition``. ``strictest``: what a
    rule of the kind may lead to at most.
    """

    name: str
    meaning: str
    settings: Mapping[str, Mapping[str, Any]]
    build: Callable[[Mapping[str, object], str], Evaluate] | None = None
    explain: Callable[[Mapping[str, object], str], Explain] | None = None
    condition: Callable[[Mapping[str, object], str], Condition] | None = None
    strictest: Action = Action.HOLD
    optional: frozenset[str] = field(default_factory=frozenset)

    def rule(self, settings: Mapping[str, object], rule_id: str, action: Action) -> Rule:
        """Build a rule from settings whose keys were checked."""
        if self.condition is not None:
            return _conditional(self.condition(settings, rule_id), rule_id, action)
        if self.build is None:
            message = f"the rule kind {self.name} has neither build nor condition"
            raise ValueError(message)
        explain = None if self.explain is None else self.explain(settings, rule_id)
        return Rule(rule_id, action, self.build(settings, rule_id), explain)


def _conditional(condition: Condition, rule_id: str, action: Action) -> Rule:
    def hits(scores: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
        return scores.filter(condition.hit).select("invoice_id")

    def undecided(scores: pl.DataFrame) -> pl.DataFrame:
        return scores.filter(condition.hit.is_null()).select("invoice_id")

    def explain(scores: pl.DataFrame, receivables: Receivables) -> pl.DataFrame:  # noqa: ARG001
        unknown = pl.lit(f"the rule {rule_id} could not judge: {condition.missing}")
        told = scores.with_columns(hit=condition.hit).filter(pl.col("hit").fill_null(value=True))
        if told.is_empty():
            return FINDINGS.empty()
        is_hit = pl.col("hit").is_not_null()
        worded = told.select(
            "invoice_id",
            code=pl.when(is_hit).then(pl.lit(condition.code)).otherwise(pl.lit(UNDECIDED)),
            score=pl.when(is_hit).then(1.0),
            basis=pl.when(is_hit).then(pl.lit(EXACT)).otherwise(pl.lit(COULD_NOT_JUDGE)),
            text=pl.when(is_hit).then(condition.text).otherwise(unknown),
        )
        return findings_of(worded, rule_id)

    return Rule(rule_id, action, hits, explain, undecided)
