"""One file per kind of rule, listed in ``KINDS``."""

from typing import Final

from prebill.core.policy.rules.base import Action, Rule, RuleKind
from prebill.core.policy.rules.exposure_above import EXPOSURE_ABOVE
from prebill.core.policy.rules.finding import FINDING
from prebill.core.policy.rules.loss_at_least import LOSS_AT_LEAST
from prebill.core.policy.rules.score_at_least import SCORE_AT_LEAST


def registered(*kinds: RuleKind) -> dict[str, RuleKind]:
    """Return the kinds by name, refusing one name twice."""
    by_name = {kind.name: kind for kind in kinds}
    if len(by_name) != len(kinds):
        message = "a rule kind is registered twice"
        raise ValueError(message)
    return by_name


KINDS: Final = registered(SCORE_AT_LEAST, FINDING, LOSS_AT_LEAST, EXPOSURE_ABOVE)

__all__ = ["KINDS", "Action", "Rule", "RuleKind", "registered"]
