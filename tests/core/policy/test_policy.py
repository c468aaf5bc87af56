"""The policy text: strict, hashed by meaning, and the ladder of actions."""

import polars as pl
import pytest
import yaml

from prebill.core.errors import PolicyError
from prebill.core.policy.model import Policy
from prebill.core.policy.rules import KINDS, registered
from prebill.core.schemas.internal import FINDINGS
from prebill.core.scoring.detectors.base import findings_of

SCORES = pl.DataFrame(
    {
        "invoice_id": ["A", "B"],
        "currency": ["EUR", "JPY"],
        "total_minor": [100_000, 100_000],
        "anomaly_score": [0.5, 0.5],
        "p_error": [0.01, 0.01],
        "p_late": [0.1, 0.1],
        "expected_loss_minor": [0, 0],
    }
)


def document(**changes: object) -> dict:
    from importlib import resources

    text = resources.files("prebill.core.policy").joinpath("default.yaml").read_text()
    return yaml.safe_load(text) | changes


def parse(**changes: object) -> Policy:
    return Policy.parse(yaml.safe_dump(document(**changes)))


def finding(
    code: str, *, score: float | None = 0.9999, amount: int | None = 5000, **more: str
) -> pl.DataFrame:
    row = {"invoice_id": "A", "code": code, "score": score, "text": "t", "amount_minor": amount}
    schema = {"score": pl.Float64, "amount_minor": pl.Int64}
    return findings_of(pl.DataFrame([row | more], schema_overrides=schema), more.get("by", "x"))


def actions(policy: Policy, scores: pl.DataFrame, findings: pl.DataFrame) -> dict:
    return dict(policy.decide(scores, findings).select("invoice_id", "action").iter_rows())


def test_nothing_found_is_released() -> None:
    assert actions(Policy.default(), SCORES, FINDINGS.empty()) == {"A": "release", "B": "release"}


def test_comments_and_order_keep_the_hash_and_meaning_changes_it() -> None:
    text = yaml.safe_dump(document(), sort_keys=True)
    assert Policy.parse("# a comment\n" + text).digest == Policy.default().digest
    assert parse(name="other").digest != Policy.default().digest


def test_strictest_action_wins_and_all_rules_are_kept() -> None:
    policy = Policy.default()
    scores = SCORES.with_columns(anomaly_score=pl.lit(0.99))
    decided = policy.decide(scores, finding("duplicate_invoice"))
    row = decided.row(0, named=True)
    assert row["action"] == "hold"
    assert {"anomaly-review", "exact-hold"} == set(row["rules"].split(","))
    assert decided["action"][1] == "review"


def test_small_exact_difference_is_reviewed_not_held() -> None:
    small = finding("price_differs_from_contract", amount=-100)
    assert actions(Policy.default(), SCORES, small)["A"] == "review"
    whole = finding("currency_differs_from_contract", amount=None)
    assert actions(Policy.default(), SCORES, whole)["A"] == "hold"


def test_judge_that_could_not_judge_reviews_at_least() -> None:
    silent = finding("could_not_judge", score=None, amount=None, basis="could_not_judge")
    assert actions(Policy.default(), SCORES, silent)["A"] == "review"
    strict = parse(failures={"default": "review", "x": "hold"})
    assert actions(strict, SCORES, silent)["A"] == "hold"


def test_loss_is_compared_in_major_units_of_the_currency() -> None:
    scores = SCORES.with_columns(p_error=pl.lit(0.2), expected_loss_minor=pl.lit(6000))
    assert actions(Policy.default(), scores, FINDINGS.empty()) == {"A": "release", "B": "review"}


def test_route_is_the_first_that_names_a_code() -> None:
    policy = Policy.default()
    assert policy.queue_of(["total_above_history", "tax_share_unusual"]) == "tax"
    assert policy.queue_of(["total_above_history"]) == "billing"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"surprise": 1}, "unknown keys"),
        ({"version": 2}, "version"),
        ({"name": ""}, "name"),
        ({"prior": {"error": 2, "tail_exponent": 0.3}}, "outside"),
        ({"prior": {"error": 0.02}}, "absent keys"),
        ({"prior": []}, "mapping"),
        ({"costs": {"over": "much", "under": 1, "review_minutes": 5}}, "number"),
        ({"rules": {}}, "list"),
        ({"rules": [{"id": "a", "kind": "dream", "action": "hold"}]}, "unknown kind"),
        (
            {
                "rules": [
                    {
                        "id": "a",
                        "kind": "score_at_least",
                        "score": "beauty",
                        "at_least": 0.5,
                        "action": "hold",
                    }
                ]
            },
            "unknown score",
        ),
        (
            {
                "rules": [
                    {
                        "id": "a",
                        "kind": "score_at_least",
                        "score": "p_error",
                        "at_least": 0.5,
                        "action": "burn",
                    }
                ]
            },
            "action",
        ),
        ({"failures": {"default": "release"}}, "may not release"),
        ({"failures": {"x": "hold"}}, "default"),
        ({"routes": {"default": "a", "tax": "b"}}, "list of texts"),
        ({"sla_hours": {"review": 0, "hold": 8}}, "outside"),
        ({"payment_risk": {"natural_persons": "sometimes"}}, "one of allowed, forbidden"),
        ({"payment_risk": {"robots": "allowed"}}, "keys"),
    ],
)
def test_wrong_policies_are_refused_in_words(change: dict, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        parse(**change)


@pytest.mark.parametrize("text", ["a: [", "- 1", ""])
def test_texts_that_are_no_policy_are_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        Policy.parse(text)


def test_use_for_natural_persons_is_a_switch() -> None:
    assert parse().judges_persons
    assert not parse(payment_risk={"natural_persons": "forbidden"}).judges_persons
    unsaid = document()
    del unsaid["payment_risk"]
    assert Policy.parse(yaml.safe_dump(unsaid)).judges_persons


def test_same_rule_id_twice_is_refused() -> None:
    rule = document()["rules"][0]
    with pytest.raises(PolicyError, match="twice"):
        parse(rules=[rule, rule])


def test_registry_refuses_a_kind_twice() -> None:
    kind = next(iter(KINDS.values()))
    with pytest.raises(ValueError, match="twice"):
        registered(kind, kind)
