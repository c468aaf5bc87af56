"""Rules over what is known of a draft: both sides of each limit, and what is not known."""

import polars as pl
import pytest

from prebill.core.errors import PolicyError
from prebill.core.policy.action import Action
from prebill.core.policy.failures import DOWN, LATE
from prebill.core.policy.model import Policy
from prebill.core.policy.rules import KINDS
from prebill.core.scoring.exposure import Receivables
from tests.core.policy.drafts import PLAIN, decided, drafts, policy
from tests.core.policy.test_policy import finding

RULES: dict[str, dict[str, object]] = {
    "variance_over": {"percent": 20, "amount": {"default": 50}, "least_invoices": 3},
    "first_invoice": {"over": {"default": 100, "JPY": 10_000}},
    "nonstandard_terms": {"payment_days": [14, 30], "max_discount_percent": 25},
    "credit_over": {"over": {"default": 10}},
    "contract_change_unseen": {"over": {"default": 100}},
    "tax_evidence_missing": {"untaxed_needs_tax_id": True},
}


def only(kind: str, **changes: object) -> Policy:
    return policy({"id": "asked", "kind": kind, "action": "hold", **RULES[kind], **changes})


@pytest.mark.parametrize(
    ("kind", "change", "is_hit"),
    [
        # 20 % and 50.00 off: both, either, none, and below the ordinary.
        ("variance_over", {"total_minor": 200_00}, True),
        ("variance_over", {"total_minor": 168_00}, False),
        ("variance_over", {"total_minor": 1_100_00, "ordinary_minor": 1_000_00}, False),
        ("variance_over", {"total_minor": 40_00}, True),
        ("variance_over", {"total_minor": 200_00, "earlier_invoices": 2}, False),
        ("variance_over", {"currency": "JPY", "ordinary_minor": 1000, "total_minor": 1051}, False),
        ("variance_over", {"currency": "JPY", "ordinary_minor": 100, "total_minor": 151}, True),
        ("first_invoice", {"earlier_invoices": 0}, True),
        ("first_invoice", {"earlier_invoices": 0, "total_minor": 100_00}, False),
        ("first_invoice", {"earlier_invoices": 1}, False),
        ("first_invoice", {"earlier_invoices": 0, "currency": "JPY", "total_minor": 10_001}, True),
        ("nonstandard_terms", {"payment_days": 31}, True),
        ("nonstandard_terms", {"payment_days": 14}, False),
        ("nonstandard_terms", {"discount_percent": 25.0}, False),
        ("nonstandard_terms", {"discount_percent": 25.1}, True),
        ("nonstandard_terms", {"discount_percent": None, "payment_days": 60}, True),
        ("credit_over", {"credit_minor": 10_00}, False),
        ("credit_over", {"credit_minor": 10_01}, True),
        ("contract_change_unseen", {"has_contract_change": True}, True),
        ("contract_change_unseen", {"has_contract_change": True, "total_minor": 100}, False),
        ("contract_change_unseen", {}, False),
        ("tax_evidence_missing", {"has_country": False}, True),
        ("tax_evidence_missing", {"tax_minor": 0, "has_tax_id": False}, True),
        ("tax_evidence_missing", {"tax_minor": 0}, False),
        ("tax_evidence_missing", {"has_tax_id": False}, False),
    ],
)
def test_rule_hits_beyond_its_limits_only(kind: str, change: dict, is_hit: bool) -> None:
    (row,) = decided(only(kind), drafts(change))
    assert ("hold", "asked") if is_hit else ("release", "") == (row["action"], row["rules"])
    assert is_hit == (row["action"] == "hold")


@pytest.mark.parametrize(
    ("kind", "unknown"),
    [
        ("variance_over", {"ordinary_minor": None}),
        ("variance_over", {"earlier_invoices": None, "total_minor": 900_00}),
        ("first_invoice", {"earlier_invoices": None}),
        ("nonstandard_terms", {"discount_percent": None}),
        ("credit_over", {"credit_minor": None}),
        ("contract_change_unseen", {"has_contract_change": None}),
        ("tax_evidence_missing", {"has_country": None}),
        ("tax_evidence_missing", {"tax_minor": 0, "has_tax_id": None}),
    ],
)
def test_what_is_not_known_is_never_silently_not_hit(kind: str, unknown: dict) -> None:
    (row,) = decided(only(kind), drafts(unknown))
    assert ("review", "could-not-judge:asked") == (row["action"], row["rules"])
    strict = policy(
        {"id": "asked", "kind": kind, "action": "review", **RULES[kind]},
        failures={"default": "review", "asked": "hold"},
    )
    assert "hold" == decided(strict, drafts(unknown))[0]["action"]


def test_what_does_not_matter_may_be_unknown() -> None:
    asked = drafts({"total_minor": 120_00, "earlier_invoices": None})
    assert "release" == decided(only("variance_over"), asked)[0]["action"]
    days = policy(
        {"id": "asked", "kind": "nonstandard_terms", "action": "hold", "payment_days": [30]}
    )
    assert "release" == decided(days, drafts({"discount_percent": None}))[0]["action"]


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        (
            "variance_over",
            {"total_minor": 200_00},
            "total 200.00 EUR is 68.1 % off the customer's ordinary 119.00 EUR: 81.00 EUR above",
        ),
        (
            "first_invoice",
            {"earlier_invoices": 0},
            "first invoice of this customer: 119.00 EUR, nothing to compare it with",
        ),
        (
            "nonstandard_terms",
            {"payment_days": 45, "discount_percent": 40.0},
            (
                "terms are not standard: payable in 45 days (standard: 14, 30)"
                "; discount of 40.0 % (at most 25.0 % is standard)"
            ),
        ),
        (
            "credit_over",
            {"credit_minor": 99_00},
            "its negative lines give back 99.00 EUR, limit 10.00 EUR",
        ),
        (
            "contract_change_unseen",
            {"has_contract_change": True},
            "first invoice since the contract changed: 119.00 EUR",
        ),
        (
            "tax_evidence_missing",
            {"tax_minor": 0, "has_tax_id": False},
            "119.00 EUR without tax to a customer without a tax id",
        ),
        (
            "credit_over",
            {"credit_minor": None},
            "the rule asked could not judge: its lines are not known",
        ),
    ],
)
def test_every_hit_has_a_reason_in_words_and_money(kind: str, change: dict, said: str) -> None:
    nobody = Receivables(pl.DataFrame(), pl.DataFrame(), pl.DataFrame(), are_known=False)
    found = only(kind).reasons(drafts(change, {}), nobody)
    assert [("A", "asked", said)] == found.select("invoice_id", "detector", "text").rows()
    # Judged again with what was said, it says the same once.
    again = decided(only(kind), drafts(change, {}), found)
    assert decided(only(kind), drafts(change, {})) == again


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("variance_over", {"percent": -1}, "outside"),
        ("variance_over", {"amount": 5}, "with a default"),
        ("variance_over", {"least_invoices": 9}, "outside"),
        ("nonstandard_terms", {"payment_days": []}, "list of whole numbers"),
        ("nonstandard_terms", {"payment_days": [14.5]}, "list of whole numbers"),
        ("nonstandard_terms", {"payment_days": [-1]}, "0 to"),
        ("nonstandard_terms", {"max_discount_percent": 101}, "outside"),
        ("credit_over", {"limit": 5}, "unknown keys"),
        ("tax_evidence_missing", {"untaxed_needs_tax_id": "yes"}, "true or false"),
    ],
)
def test_wrong_settings_are_refused_in_words(kind: str, change: dict, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        only(kind, **change)


def test_builder_of_these_tests_knows_every_kind_of_condition() -> None:
    assert {name for name, kind in KINDS.items() if kind.condition} == set(RULES)
    assert all(PLAIN[name] is not None for name in PLAIN if name != "snoozed_rules")


def test_states_of_judging_as_a_whole_have_their_own_lines() -> None:
    named = {"default": "review", "scorer_partial": "hold", "scorer_down": "hold"}
    of = policy(failures={**named, "level": "review"})
    failed = pl.concat(
        [
            finding("could_not_judge", score=None, by=name, basis="could_not_judge")
            for name in ("level", "twins")
        ]
    )
    assert ["hold"] == [row["action"] for row in decided(of, drafts({}), failed)]
    only_level = failed.filter(detector="level")
    assert ["review"] == [row["action"] for row in decided(of, drafts({}), only_level)]
    assert (Action.HOLD, Action.REVIEW) == (of.failures.state(DOWN), of.failures.state(LATE))
    with pytest.raises(PolicyError, match="unknown state scorer_drifted"):
        policy(failures={**named, "scorer_drifted": "hold"})
