"""Classes, modes and snoozed rules: which form of a policy a draft meets."""

import polars as pl
import pytest

from prebill.core.errors import PolicyError
from tests.core.policy.drafts import decided, drafts, policy

SCORE = {
    "id": "score",
    "kind": "score_at_least",
    "score": "anomaly_score",
    "at_least": 0.9,
    "action": "hold",
}
FIRST = {"id": "first", "kind": "first_invoice", "over": {"default": 0}, "action": "review"}


def in_class(when: dict, change: dict, **more: object) -> dict:
    """How a draft is decided where one class has the condition."""
    of = policy(SCORE, FIRST, classes=[{"name": "own", "when": when, **more}])
    return decided(of, drafts(change))[0]


@pytest.mark.parametrize(
    ("when", "fits", "other"),
    [
        ({"entity": "DE"}, {}, {"legal_entity": "UK"}),
        ({"entity": ["UK", "DE"]}, {}, {"legal_entity": "US"}),
        ({"currency": "EUR"}, {}, {"currency": "USD"}),
        ({"segment": ["small", "mid"]}, {"segment": "mid"}, {"segment": "large"}),
        ({"plan": "team"}, {"plans": "base,team"}, {"plans": "teams"}),
        ({"product": ["support"]}, {}, {"products": "seats"}),
        ({"size": {"from": {"default": 119}}}, {}, {"total_minor": 118_99}),
        ({"size": {"below": {"default": 1, "EUR": 119}}}, {"total_minor": -118_99}, {}),
        ({"size": {"below": {"default": 119}}}, {"currency": "JPY", "total_minor": 118}, {}),
        ({"tenure_days": {"from": 30, "below": 90}}, {"tenure_days": 89}, {"tenure_days": 90}),
        ({"entity": "DE", "segment": "small"}, {}, {"segment": "large"}),
    ],
)
def test_class_takes_what_fits_all_its_conditions(when: dict, fits: dict, other: dict) -> None:
    assert "own" == in_class(when, fits)["policy_class"]
    assert "default" == in_class(when, other)["policy_class"]


def test_first_class_that_fits_wins() -> None:
    listed = [{"name": name, "when": {"entity": "DE"}} for name in ("one", "two")]
    (row,) = decided(policy(SCORE, classes=listed), drafts({}))
    assert "one" == row["policy_class"]


def test_draft_that_cannot_be_classed_is_looked_at() -> None:
    row = in_class({"segment": "large"}, {"segment": None})
    assert ("unclassed", "review", "could-not-judge:classes") == (
        row["policy_class"],
        row["action"],
        row["rules"],
    )
    # Another condition that fails settles it.
    assert (
        "default" == in_class({"segment": "x", "entity": "UK"}, {"segment": None})["policy_class"]
    )
    # And so does an earlier class that fits.
    listed = [
        {"name": "german", "when": {"entity": "DE"}},
        {"name": "large", "when": {"segment": "large"}},
    ]
    (row,) = decided(policy(SCORE, classes=listed), drafts({"segment": None}))
    assert "german" == row["policy_class"]


def test_class_has_its_own_limits_and_others_keep_theirs() -> None:
    own = {"name": "own", "when": {"segment": "large"}, "rules": {"score": {"at_least": 0.7}}}
    asked = drafts(
        {"segment": "large", "anomaly_score": 0.8},
        {"segment": "small", "anomaly_score": 0.8},
        {"segment": "small", "anomaly_score": 0.95},
    )
    rows = decided(policy(SCORE, classes=[own]), asked)
    assert ["hold", "release", "hold"] == [row["action"] for row in rows]
    milder = {**own, "rules": {"score": {"action": "review", "at_least": 0.7}}}
    rows = decided(policy(SCORE, classes=[milder]), asked)
    assert ["review", "release", "hold"] == [row["action"] for row in rows]


@pytest.mark.parametrize("off", ["off", False])
def test_class_switches_a_rule_off(off: object) -> None:
    row = in_class({"segment": "small"}, {"anomaly_score": 0.99}, rules={"score": off})
    assert ("release", "") == (row["action"], row["rules"])


def test_rule_that_answers_from_findings_asks_only_its_class() -> None:
    from tests.core.policy.test_policy import finding

    rule = {"id": "exact", "kind": "finding", "codes": ["x"], "min_score": 0.9, "min_share": 0}
    of = policy(
        {**rule, "action": "hold"},
        classes=[{"name": "own", "when": {"segment": "large"}, "rules": {"exact": "off"}}],
    )
    said = pl.concat([finding("x"), finding("x").with_columns(invoice_id=pl.lit("B"))])
    rows = decided(of, drafts({"segment": "large"}, {}), said)
    assert ["release", "hold"] == [row["action"] for row in rows]


@pytest.mark.parametrize(
    ("mode", "taken"),
    [
        ("observe", ["release", "release", "release"]),
        ("advise", ["review", "review", "release"]),
        ("enforce", ["hold", "review", "release"]),
    ],
)
def test_mode_says_what_takes_effect_and_the_proposal_stays(mode: str, taken: list) -> None:
    asked = drafts({"anomaly_score": 0.95}, {"earlier_invoices": 0}, {})
    for of in (
        policy(SCORE, FIRST, mode=mode),
        policy(SCORE, FIRST, classes=[{"name": "own", "when": {"entity": "DE"}, "mode": mode}]),
    ):
        rows = decided(of, asked)
        assert taken == [row["action"] for row in rows]
        assert ["hold", "review", "release"] == [row["proposed_action"] for row in rows]


def test_unclassed_draft_meets_the_strictest_mode() -> None:
    of = policy(
        SCORE,
        mode="observe",
        classes=[{"name": "large", "when": {"segment": "large"}, "mode": "enforce"}],
    )
    unknown, small = decided(of, drafts({"segment": None, "anomaly_score": 0.95}, {}))
    assert ("hold", "enforce") == (unknown["action"], unknown["mode"])
    assert ("release", "observe") == (small["action"], small["mode"])


def test_snoozed_rule_is_told_and_leads_to_nothing() -> None:
    asked = drafts(
        {"anomaly_score": 0.95, "snoozed_rules": "other,score"},
        {"anomaly_score": 0.95, "snoozed_rules": "other"},
        {"anomaly_score": 0.95, "earlier_invoices": 0, "snoozed_rules": "score"},
    )
    rows = decided(policy(SCORE, FIRST), asked)
    assert [("release", "snoozed:score"), ("hold", "score"), ("review", "first,snoozed:score")] == [
        (row["action"], row["rules"]) for row in rows
    ]


def test_class_has_its_own_minutes_and_queue() -> None:
    of = policy(
        SCORE,
        classes=[
            {"name": "own", "when": {"segment": "large"}, "review_minutes": 30, "queue": "key"}
        ],
    )
    assert [30.0, 6.0] == of.minutes(drafts({"segment": "large"}, {})).to_list()
    assert "key" == of.queue_of(["tax_share_unusual"], "own")
    assert "tax" == of.queue_of(["tax_share_unusual"], "default")
    assert "billing" == of.queue_of([], None)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ({}, "must be a list"),
        ([{"name": "a"}], "absent keys"),
        ([{"name": "a", "when": {}}], "at least one condition"),
        ([{"name": "a", "when": {"country": "DE"}}], "unknown keys"),
        ([{"name": "a", "when": {"entity": 5}}], "list of texts"),
        ([{"name": "a", "when": {"size": {}}}], "from, below or both"),
        ([{"name": "a", "when": {"size": {"from": 5}}}], "with a default"),
        ([{"name": "a", "when": {"entity": "DE"}, "rules": {"nope": "off"}}], "unknown keys"),
        ([{"name": "a", "when": {"entity": "DE"}, "rules": {"score": {}}}], "must be off or"),
        ([{"name": "a", "when": {"entity": "DE"}, "rules": {"score": {"id": "b"}}}], "replaced"),
        ([{"name": "a", "when": {"entity": "DE"}, "rules": {"score": {"at_least": 2}}}], "class a"),
        ([{"name": "a", "when": {"entity": "DE"}, "mode": "dream"}], "one of observe"),
        ([{"name": "a", "when": {"entity": "DE"}, "calendar": "moon"}], "calendar"),
        ([{"name": "unclassed", "when": {"entity": "DE"}}], "must differ"),
        ([{"name": "a", "when": {"entity": "DE"}}] * 2, "must differ"),
    ],
)
def test_wrong_classes_are_refused_in_words(classes: object, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        policy(SCORE, classes=classes)
