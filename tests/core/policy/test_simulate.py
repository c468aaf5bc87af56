"""Two policies on the same decisions: what moves is what must, and every figure has its list."""

import polars as pl
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from prebill.core.errors import InputError
from prebill.core.policy.model import Policy
from prebill.core.policy.simulate import (
    SEGMENTS,
    Simulation,
    listed,
    moved_by,
    simulate,
    table,
)
from tests.core.policy.decisions import ANY_DECISIONS, found, given
from tests.core.policy.test_policy import document, parse

LIVE = Policy.default()
SCORE = {"kind": "score_at_least", "score": "anomaly_score", "action": "review"}


def scored_at(limit: float, **more: object) -> Policy:
    """A policy of one rule: review from a score on."""
    return parse(rules=[{"id": "score", **SCORE, "at_least": limit, **more}])


def actions(simulation: Simulation) -> list[tuple[str, str]]:
    return list(
        simulation.rows.select(pl.col("action_before", "action_after").cast(pl.String)).iter_rows()
    )


@settings(max_examples=30, deadline=None)
@for_all(ANY_DECISIONS, st.floats(0, 1), st.floats(0, 1))
def test_changed_limit_moves_exactly_what_lies_between(
    rows: list[dict], one: float, two: float
) -> None:
    found_rows = simulate(given(*rows), scored_at(one), scored_at(two)).rows
    low, high = sorted((one, two))
    between = [
        row["anomaly_score"] is not None
        and low <= row["anomaly_score"] < high
        and not (row["is_blocked"] or row["is_usage_late"])
        for row in found_rows.to_dicts()
    ]
    moved = (found_rows["action_before"] != found_rows["action_after"]).to_list()
    assert between == moved


@settings(max_examples=20, deadline=None)
@for_all(ANY_DECISIONS)
def test_same_policy_moves_nothing_and_a_decision_alone_is_decided_alike(rows: list[dict]) -> None:
    together = simulate(given(*rows), LIVE, LIVE)
    assert together.moved.is_empty()
    for place in {0, len(rows) - 1}:
        alone = simulate(given(rows[place]), LIVE, LIVE)
        assert actions(alone) == [actions(together)[place]]


@settings(max_examples=20, deadline=None)
@for_all(ANY_DECISIONS)
def test_every_figure_is_the_sum_of_its_list(rows: list[dict]) -> None:
    candidate = parse(rules=[*document()["rules"][2:], {"id": "score", **SCORE, "at_least": 0.6}])
    simulation = simulate(given(*rows), LIVE, candidate)
    cells = table(simulation).to_dicts()
    assert len(rows) == sum(cell["decisions"] for cell in cells)
    for segment in ("rule", "code", *SEGMENTS):
        cells += moved_by(simulation, segment).to_dicts()
    for cell in cells:
        behind = listed(simulation, cell["list"])
        assert cell["decisions"] == behind.height
        assert cell["total_minor"] == behind["total_minor"].abs().sum()
        assert {cell["currency"]} == set(behind["currency"])


def test_what_facts_ask_for_no_policy_lowers() -> None:
    simulation = simulate(
        given({"is_blocked": True}, {"is_usage_late": True}, {}), scored_at(0.4), scored_at(1.0)
    )
    assert [("hold", "hold"), ("review", "review"), ("review", "release")] == actions(simulation)


def test_prior_and_costs_are_each_policys_own() -> None:
    row = {"p_error_basis": "prior", "anomaly_score": 0.99, "over_minor": 10_000_00}
    loss = {"id": "loss", "kind": "loss_at_least", "at_least": 100, "min_p_error": 0.0}
    rules = [{**loss, "action": "review"}]
    doubtful = parse(rules=rules, prior={"error": 0.2, "tail_exponent": 0.3})
    sure = parse(rules=rules, prior={"error": 0.0001, "tail_exponent": 0.3})
    learnt = {**row, "p_error_basis": "labels", "p_error": 0.001}
    simulation = simulate(given(row, learnt), sure, doubtful)
    assert [("release", "review"), ("release", "release")] == actions(simulation)
    costly = parse(rules=rules, costs={"over": 50.0, "under": 1.0, "review_minutes": 6})
    assert [("release", "review")] == actions(simulate(given(learnt), sure, costly))


def test_rule_with_reasons_of_its_own_is_asked_by_its_new_limits() -> None:
    rule = {"id": "open", "kind": "exposure_above", "p_late": 0.6, "p_never": 0.9}
    strict, lenient = (
        parse(rules=[{**rule, "action": "review", "limits": {"default": limit}}])
        for limit in (1_500, 5_000)
    )
    rows = [
        {"p_late": 0.7, "open_minor": 100_000, "days_late_p50": 10.0},
        {"p_late": 0.7, "open_minor": None, "days_late_p50": 10.0},
        {"p_late": 0.5, "open_minor": 100_000, "days_late_p50": 10.0},
    ]
    simulation = simulate(given(*rows), lenient, strict)
    assert [("release", "review"), ("release", "release"), ("release", "release")] == actions(
        simulation
    )


def test_move_is_told_by_the_rule_that_made_it() -> None:
    hold = {"id": "hold", **SCORE, "at_least": 0.9, "action": "hold"}
    review = {"id": "review", **SCORE, "at_least": 0.5}
    before, after = parse(rules=[hold, review]), parse(rules=[{**hold, "at_least": 0.99}, review])
    simulation = simulate(given({"anomaly_score": 0.95, "found": [found("level")]}), before, after)
    (by_rule,) = moved_by(simulation, "rule").to_dicts()
    assert ("hold", "hold->review rule=hold currency=EUR") == (by_rule["value"], by_rule["list"])
    (by_code,) = moved_by(simulation, "code").to_dicts()
    assert "level" == by_code["value"]


@pytest.mark.parametrize(
    "expression",
    ["", "hold", "hold->gone", "hold->release colour=red", "hold->release rule", "hold->any 'x"],
)
def test_expression_that_cannot_be_read_says_how_to_write_it(expression: str) -> None:
    simulation = simulate(given({}), LIVE, LIVE)
    with pytest.raises(InputError, match="BEFORE->AFTER"):
        listed(simulation, expression)


def test_amounts_of_different_currencies_are_never_in_one_figure() -> None:
    rows = [{"currency": "EUR", "total_minor": 5}, {"currency": "JPY", "total_minor": 700}]
    simulation = simulate(given(*rows), scored_at(1.0), scored_at(0.0))
    for cells in (table(simulation), *(moved_by(simulation, name) for name in ("rule", "entity"))):
        assert {("EUR", 5), ("JPY", 700)} == set(
            cells.select("currency", "total_minor").iter_rows()
        )
