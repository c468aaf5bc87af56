"""One file per kind of rule, listed in ``KINDS``."""

from typing import Final

from prebill.core.policy.action import Action
from prebill.core.policy.rules.base import Rule, RuleKind
from prebill.core.policy.rules.contract_change_unseen import CONTRACT_CHANGE_UNSEEN
from prebill.core.policy.rules.credit_over import CREDIT_OVER
from prebill.core.policy.rules.exposure_above import EXPOSURE_ABOVE
from prebill.core.policy.rules.finding import FINDING
from prebill.core.policy.rules.first_invoice import FIRST_INVOICE
from prebill.core.policy.rules.loss_at_least import LOSS_AT_LEAST
from prebill.core.policy.rules.nonstandard_terms import NONSTANDARD_TERMS
from prebill.core.policy.rules.score_at_least import SCORE_AT_LEAST
from prebill.core.policy.rules.tax_evidence_missing import TAX_EVIDENCE_MISSING
from prebill.core.policy.rules.variance_over import VARIANCE_OVER


def registered(*kinds: RuleKind) -> dict[str, RuleKind]:
    """Return the kinds by name, refusing one name twice."""
    by_name = {kind.name: kind for kind in kinds}
    if len(by_name) != len(kinds):
        message = "a rule kind is registered twice"
        raise ValueError(message)
    return by_name


KINDS: Final = registered(
    SCORE_AT_LEAST,
    FINDING,
    LOSS_AT_LEAST,
    EXPOSURE_ABOVE,
    VARIANCE_OVER,
    FIRST_INVOICE,
    NONSTANDARD_TERMS,
    CREDIT_OVER,
    CONTRACT_CHANGE_UNSEEN,
    TAX_EVIDENCE_MISSING,
)

__all__ = ["KINDS", "Action", "Rule", "RuleKind", "registered"]
