"""Stored decisions for tests of simulations: plain, and some that anything may be true of."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import strategies as st

from prebill.core.policy.given import FOUND, GIVEN, Given, given_of
from prebill.core.schemas.internal import DECISIONS

DECIDED_AT = datetime(2026, 11, 5, 12, tzinfo=UTC)
NO_LABELS = pl.DataFrame(schema={"draft_id": pl.String, "draft_version": pl.String})
USUAL = {
    "action": "release",
    "anomaly_score": 0.5,
    "p_error": 0.01,
    "p_error_basis": "labels",
    "direction": "unclear",
    "p_late": 0.1,
    "expected_loss_minor": 0,
    "currency": "EUR",
    "confidence": "full",
    "reasons": "[]",
    "model_versions": "{}",
    "policy_hash": "of another policy",
    "draft_version": "1",
    "run_id": "run",
    "decided_at": DECIDED_AT,
    "customer_id": "C1",
    "entity_id": "DE",
    "total_minor": 100_000,
    "is_unjudged": False,
    "is_usage_late": False,
    "is_blocked": False,
    "issued_on": date(2026, 11, 5),
    "due_on": date(2026, 12, 5),
    "p_never": 0.0,
    "is_person": False,
    "over_minor": 0,
    "under_minor": 0,
}


def found(code: str, **more: object) -> dict[str, object]:
    """A finding as it is kept."""
    usual = {"detector": "judge", "basis": "exact", "score": 1.0, "amount_minor": 5_000}
    return {**usual, "code": code, **more}


def stored(*rows: dict[str, object]) -> pl.DataFrame:
    """Rows of the lake: each the usual one with changes; ``invoice_id`` counts D0, D1 …"""
    whole = [
        {"invoice_id": f"D{number}", "found": [], **USUAL, **row} for number, row in enumerate(rows)
    ]
    schema = {**DECISIONS.schema, **GIVEN.schema, "found": FOUND}
    columns = {name: [row.get(name) for row in whole] for name in schema}
    return pl.DataFrame(columns, schema=schema)


def given(*rows: dict[str, object]) -> Given:
    return given_of(stored(*rows).lazy(), NO_LABELS)


_CODES = ("duplicate_invoice", "usage_missing", "level", "price_differs_from_contract")
_SHARES = st.floats(0, 1, allow_nan=False)

#: Changes to the usual row: whatever may be true of a draft.
ANY_DECISION = st.fixed_dictionaries(
    {
        "anomaly_score": st.one_of(st.none(), _SHARES),
        "p_error": _SHARES,
        "p_late": _SHARES,
        "p_never": _SHARES,
        "open_minor": st.one_of(st.none(), st.integers(0, 10**9)),
        "over_minor": st.integers(0, 10**8),
        "under_minor": st.integers(0, 10**8),
        "total_minor": st.integers(-(10**8), 10**8),
        "currency": st.sampled_from(["EUR", "USD", "JPY"]),
        "entity_id": st.sampled_from(["DE", "it's", "two words"]),
        "customer_id": st.sampled_from(["C1", "C2", "C3"]),
        "is_blocked": st.sampled_from([False, False, False, True]),
        "is_usage_late": st.sampled_from([False, False, False, True]),
        "issued_on": st.integers(0, 90).map(lambda days: date(2026, 9, 1) + timedelta(days=days)),
        "found": st.lists(
            st.builds(
                lambda code, score, amount: found(code, score=score, amount_minor=amount),
                st.sampled_from(_CODES),
                _SHARES,
                st.one_of(st.none(), st.integers(-(10**6), 10**6)),
            ),
            max_size=3,
        ),
    }
)
ANY_DECISIONS = st.lists(ANY_DECISION, min_size=1, max_size=30)
