"""Builders: what a policy is asked on, and policies of a few rules."""

import polars as pl
import yaml

from prebill.core.policy.model import Policy
from prebill.core.scoring.circumstances import CIRCUMSTANCES
from tests.core.policy.test_policy import document

#: A draft of which everything is known and nothing is unusual.
PLAIN: dict[str, object] = {
    "currency": "EUR",
    "total_minor": 119_00,
    "anomaly_score": 0.5,
    "p_error": 0.01,
    "p_late": 0.1,
    "expected_loss_minor": 0,
    "legal_entity": "DE",
    "segment": "small",
    "plans": "team",
    "products": "seats,support",
    "tax_minor": 19_00,
    "credit_minor": 0,
    "ordinary_minor": 119_00,
    "tenure_days": 400,
    "earlier_invoices": 12,
    "payment_days": 30,
    "discount_percent": 0.0,
    "has_contract_change": False,
    "has_country": True,
    "has_tax_id": True,
    "snoozed_rules": None,
}


def drafts(*changes: dict[str, object]) -> pl.DataFrame:
    """One draft per change, named A, B, C."""
    rows = [
        {"invoice_id": name, **PLAIN, **change}
        for name, change in zip("ABCDEFGH", changes)  # noqa: B905
    ]
    types = {name: dtype for name, dtype in CIRCUMSTANCES.schema.items() if name in PLAIN}
    return pl.DataFrame(rows, schema_overrides=types)


def policy(*rules: dict[str, object], **sections: object) -> Policy:
    """The default policy with these rules only."""
    return Policy.parse(yaml.safe_dump(document(rules=list(rules), **sections)))


def decided(of: Policy, asked: pl.DataFrame, findings: pl.DataFrame | None = None) -> list[dict]:
    """Decisions as rows."""
    from prebill.core.schemas.internal import FINDINGS

    given = FINDINGS.empty() if findings is None else findings
    return of.decide(asked, given).to_dicts()
