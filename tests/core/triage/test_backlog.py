"""How long cases wait: the recursion against a queue that is worked case by case."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prebill.core.triage.backlog import breaching_share

SLA = {"review": 24.0, "hold": 8.0}
FIRST = date(2026, 11, 2)
CASES = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["hold", "review"]), st.integers(1, 600)),
    min_size=1,
    max_size=40,
)


def frame(cases: list[tuple[int, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "day": [FIRST + timedelta(days=day) for day, _, _ in cases],
            "action": [action for _, action, _ in cases],
            "minutes": [float(minutes) for _, _, minutes in cases],
            "allowed_hours": [SLA[action] for _, action, _ in cases],
        }
    )


@given(CASES, st.integers(1, 24))
def test_as_if_each_case_were_worked_in_turn(cases: list[tuple[int, str, int]], hours: int) -> None:
    free, late = 0.0, 0
    for day, action, minutes in sorted(cases, key=lambda one: (one[0], one[1] != "hold")):
        free = max(free, day * 24.0) + minutes / 60 * 24 / hours
        late += free - day * 24.0 > SLA[action] + 1e-6
    share = breaching_share(frame(cases), hours_per_day=hours)
    assert pytest.approx(late / len(cases)) == share


def test_without_cases_nothing_is_late() -> None:
    assert breaching_share(frame([]), hours_per_day=8) is None
