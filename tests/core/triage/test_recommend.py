from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from prebill.core.triage.agreement import agreement
from prebill.core.triage.intervals import clopper_pearson
from prebill.core.triage.recommend import (
    LEAST_VERDICTS,
    Recommender,
    error_chances,
    is_withheld,
    learn,
    recommend,
)
from prebill.core.triage.resolutions import RESOLUTIONS, once_a_case
from prebill.core.triage.routing import first_routings, usual_routing

NOW = datetime(2026, 11, 2, tzinfo=UTC)
CORRECTABLE = frozenset({"price_differs_from_contract"})


def facts(code: str, **given: Any) -> pl.DataFrame:
    usual = {
        "case_id": "asked",
        "code": code,
        "kind": "draft",
        "is_exact": True,
        "codes": code,
        "charges": "seats",
        "amount_minor": 5_000,
        "total_minor": 100_000,
        "anomaly_score": 0.99,
        "p_error": 0.8,
        "currency": "EUR",
    }
    return pl.DataFrame([{**usual, **given}])


def history(cases: int, *, seed: int = 1) -> pl.DataFrame:
    """Verdicts of a company where exact price findings are nearly always wrong, levels seldom."""
    draw = np.random.default_rng(seed)
    is_price = draw.random(cases) < 0.5
    is_error = draw.random(cases) < np.where(is_price, 0.95, 0.15)
    is_corrected = draw.random(cases) < np.where(is_price, 0.9, 0.1)
    verdict = np.where(is_error, np.where(is_corrected, "correct", "reject"), "release")
    code = np.where(is_price, "price_differs_from_contract", "total_above_history")
    return RESOLUTIONS.conform(
        pl.DataFrame(
            {
                "case_id": [f"case:{number}" for number in range(cases)],
                "code": code,
                "resolved_at": [NOW - timedelta(minutes=number) for number in range(cases)],
                "resolved_by": np.where(draw.random(cases) < 0.7, "ann", "bob"),
                "verdict": verdict,
                "reason_code": np.where(is_error, "wrong_price", "unusual_but_right"),
                "kind": ["draft"] * cases,
                "customer_id": [f"C{number % 50}" for number in range(cases)],
                "queue": np.where(draw.random(cases) < 0.8, "contracts", "escalated"),
                "first_queue": ["contracts"] * cases,
                "currency": ["EUR"] * cases,
                "amount_minor": draw.integers(-9_000, 9_000, cases),
                "total_minor": draw.integers(10_000, 900_000, cases),
                "is_exact": is_price,
                "codes": code,
                "charges": ["seats"] * cases,
                "anomaly_score": draw.uniform(0.98, 1.0, cases),
                "p_error": draw.uniform(0.2, 0.9, cases),
            }
        )
    )


@pytest.mark.parametrize(
    ("code", "is_exact", "action", "confidence"),
    [
        ("price_differs_from_contract", True, "correct", 0.9),
        ("duplicate_contract", True, "reject", 0.9),
        ("usage_missing", True, "look", None),
        ("price_differs_from_contract", False, "look", None),
    ],
)
def test_rules_speak_for_what_is_proven(
    code: str, is_exact: bool, action: str, confidence: float | None
) -> None:
    told = recommend(facts(code, is_exact=is_exact), None, CORRECTABLE)
    assert (action, confidence, "rules") == (told.action, told.confidence, told.basis)


def test_too_few_verdicts_and_verdicts_of_one_kind_teach_nothing() -> None:
    assert learn(history(LEAST_VERDICTS - 1)) is None
    assert learn(history(900).filter(pl.col("verdict") != "release")) is None
    assert learn(history(LEAST_VERDICTS)) is not None


def test_learnt_chances_are_calibrated_on_cases_not_seen() -> None:
    recommender = learn(history(3_000))
    assert recommender is not None
    unseen = once_a_case(history(3_000, seed=2))
    chances = error_chances(unseen, recommender)
    is_error = unseen["verdict"] != "release"
    for code in ("price_differs_from_contract", "total_above_history"):
        own = unseen["code"] == code
        assert abs(chances.filter(own).mean() - is_error.filter(own).mean()) < 0.03  # type: ignore[operator]
    brier = ((chances - is_error.cast(pl.Float64)) ** 2).mean()
    assert brier < 0.5 * recommender.base_brier  # type: ignore[operator]
    assert abs(brier - recommender.brier) < 0.02  # type: ignore[operator]


def test_learnt_action_follows_what_people_did_with_the_reason() -> None:
    recommender = learn(history(2_000))
    price = recommend(facts("price_differs_from_contract"), recommender, CORRECTABLE)
    level = recommend(facts("total_above_history", is_exact=False), recommender, CORRECTABLE)
    assert ("correct", "release") == (price.action, level.action)
    assert price.basis == level.basis == "verdicts"
    assert price.confidence == pytest.approx(0.95 * 0.9, abs=0.05)
    assert level.confidence == pytest.approx(0.85, abs=0.05)


def test_an_unsure_model_recommends_nothing() -> None:
    told = history(2_000).with_columns(
        verdict=pl.Series(["release", "correct", "reject"] * 666 + ["release"] * 2)
    )
    recommender = learn(told)
    action = recommend(facts("total_above_history", is_exact=False), recommender, CORRECTABLE)
    assert action.action == "look"
    assert action.confidence is not None
    assert action.confidence < 0.5


def test_a_model_is_the_same_after_it_was_stored_and_for_any_order_of_rows() -> None:
    rows = history(400)
    recommender = learn(rows)
    assert recommender is not None
    assert Recommender.from_json(recommender.to_json()) == recommender
    assert learn(rows.sample(fraction=1.0, shuffle=True, seed=3)) == recommender


def test_the_withheld_share_is_drawn_by_the_case_alone() -> None:
    withheld = [is_withheld(f"case:{number}", 0.2) for number in range(5_000)]
    assert withheld == [is_withheld(f"case:{number}", 0.2) for number in range(5_000)]
    assert 0.18 < sum(withheld) / 5_000 < 0.22


def test_agreement_is_told_apart_by_what_was_shown() -> None:
    answers = pl.DataFrame(
        {
            "action": ["correct", "correct", "look", "reject", "release", "release"],
            "verdict": ["correct", "release", "release", "reject", "release", "reject"],
            "was_shown": [True, True, True, False, False, False],
            "basis": ["rules", "rules", "rules", "rules", "verdicts", "verdicts"],
        }
    )
    found = {row["group"]: row for row in agreement(answers).iter_rows(named=True)}
    counted = {
        name: (row["cases"], row["recommended"], row["agreed"]) for name, row in found.items()
    }
    assert counted == {
        "shown": (3, 2, 1),
        "blind": (3, 3, 2),
        "blind, by rules": (1, 1, 1),
        "blind, by verdicts": (2, 2, 1),
    }
    assert clopper_pearson(2, 3) == (found["blind"]["low"], found["blind"]["high"])


def test_agreement_without_answers_has_no_share() -> None:
    answers = pl.DataFrame(
        schema={
            "action": pl.String,
            "verdict": pl.String,
            "was_shown": pl.Boolean,
            "basis": pl.String,
        }
    )
    assert agreement(answers)["share"].to_list() == [None] * 4


def test_usual_queue_owner_and_cause_of_a_reason() -> None:
    rows = history(600)
    routing = usual_routing("price_differs_from_contract", rows)
    own = rows.filter(pl.col("code") == "price_differs_from_contract")
    assert routing is not None
    assert ("contracts", "ann") == (routing.queue.value, routing.owner.value)
    assert (own["queue"] == "contracts").sum() == routing.queue.count == routing.stuck
    assert routing.cause is not None
    assert ("wrong_price", (own["verdict"] != "release").sum()) == (
        routing.cause.value,
        routing.cause.of,
    )


def test_a_rare_reason_has_no_usual_routing() -> None:
    assert usual_routing("never_seen", history(600)) is None


def test_first_routings_that_stuck_are_counted_for_all_and_by_queue() -> None:
    cases = pl.DataFrame(
        {
            "queue": ["tax", "tax", "billing", "escalated"],
            "first_queue": ["tax", "billing", "billing", "billing"],
        }
    )
    counts = first_routings(cases).select("first_queue", "cases", "stuck").rows()
    assert counts == [("all", 4, 2), ("billing", 3, 1), ("tax", 1, 1)]
