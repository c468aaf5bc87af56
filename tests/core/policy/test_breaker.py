"""The hold-rate breaker: when it trips, and that it names what is common to what is stopped."""

import polars as pl
import pytest

from prebill.core.errors import PolicyError
from prebill.core.policy.breaker import Breaker, parse_breaker, tripped

BREAKER = Breaker(stopped_share=0.1, least_drafts=20)


def run(stopped: int, released: int, **columns: list) -> pl.DataFrame:
    count = stopped + released
    frame = {
        "proposed_action": ["hold"] * stopped + ["release"] * released,
        "rules": ["score"] * stopped + [""] * released,
        "codes": [""] * count,
        "policy_class": ["default"] * count,
        "legal_entity": ["DE"] * count,
        "currency": ["EUR"] * count,
    }
    return pl.DataFrame(frame | columns, schema_overrides={"codes": pl.String})


def test_more_than_the_limit_trips_and_the_limit_itself_does_not() -> None:
    assert tripped(run(2, 18), BREAKER) is None
    found = tripped(run(3, 17), BREAKER)
    assert found is not None
    assert (20, 3) == (found.drafts, found.stopped)
    assert tripped(run(3, 16), BREAKER) is None  # too small a run
    assert tripped(run(20, 0), None) is None


def test_cause_is_what_the_stopped_have_and_the_others_have_not() -> None:
    # Every stopped draft hit the rule; so did half of the others, in a class that only observes.
    found = tripped(
        run(
            10,
            20,
            rules=["exact,score"] * 10 + ["score"] * 10 + [""] * 10,
            codes=["price_differs_from_contract"] * 9 + ["x"] + [""] * 20,
            legal_entity=["UK"] * 10 + ["DE"] * 20,
        ),
        BREAKER,
    )
    assert found is not None
    assert ("rule", "exact", 10, 0) == (
        found.cause_kind,
        found.cause,
        found.stopped_with,
        found.others_with,
    )
    assert found.text == (
        "10 of 30 drafts are stopped (33.3%, limit 10.0%); 10 of them have the rule exact, "
        "0 of the other 20 do"
    )


def test_entity_is_the_cause_where_rules_differ() -> None:
    found = tripped(
        run(
            10,
            20,
            rules=[f"rule-{number}" for number in range(10)] + [""] * 20,
            legal_entity=["UK"] * 9 + ["DE"] * 21,
        ),
        BREAKER,
    )
    assert found is not None
    assert ("entity", "UK", 9, 0) == (
        found.cause_kind,
        found.cause,
        found.stopped_with,
        found.others_with,
    )


def test_nothing_common_is_said() -> None:
    found = tripped(run(10, 20, rules=[f"r{n}" for n in range(10)] + [""] * 20), BREAKER)
    assert found is not None
    assert (None, True) == (found.cause, "nothing in common" in found.text)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"stopped_share": 0, "least_drafts": 5}, "outside"),
        ({"stopped_share": 0.1}, "absent keys"),
        ({"stopped_share": 0.1, "least_drafts": 0}, "outside"),
    ],
)
def test_wrong_breakers_are_refused_in_words(section: object, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        parse_breaker(section)
