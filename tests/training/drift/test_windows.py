"""Windows: long enough, full enough, and never changed by what comes later."""

from datetime import timedelta

import polars as pl

from tests.training.drift.builders import FIRST, WEEKS, end_of, limits, rows
from training.drift.windows import cut


def test_windows_are_weeks_where_each_has_enough_rows() -> None:
    found = cut(rows(), limits(), as_of_on=end_of(WEEKS))
    assert found.reference is not None
    assert (FIRST, end_of(4)) == (found.reference.start_on, found.reference.end_on)
    assert [end_of(week) for week in range(5, WEEKS + 1)] == [w.end_on for w in found.windows]


def test_thin_weeks_are_joined_until_they_hold_enough() -> None:
    found = cut(rows(24).gather_every(3), limits(), as_of_on=end_of(24))
    assert found.reference is not None
    assert {21} == {(w.end_on - w.start_on).days for w in found.windows}
    assert all(window.rows.height >= 500 for window in found.windows)


def test_a_week_that_is_not_over_is_no_window_yet() -> None:
    found = cut(rows(), limits(), as_of_on=end_of(WEEKS) - timedelta(days=1))
    assert end_of(WEEKS - 1) == found.windows[-1].end_on
    assert "rows wait for their window to be full" in found.note


def test_later_rows_change_no_window() -> None:
    everything = rows()
    early = cut(everything.filter(pl.col("at_on") < end_of(8)), limits(), as_of_on=end_of(8))
    late = cut(everything, limits(), as_of_on=end_of(WEEKS))
    assert len(early.windows) == 4
    for before, after in zip(early.windows, late.windows[:4], strict=True):
        assert (before.start_on, before.end_on) == (after.start_on, after.end_on)
        assert before.rows.equals(after.rows)


def test_the_champions_period_is_the_reference_if_it_holds_enough() -> None:
    period = (end_of(2), end_of(5))
    found = cut(rows(), limits(), as_of_on=end_of(WEEKS), reference=period)
    assert found.reference is not None
    assert period == (found.reference.start_on, found.reference.end_on)
    assert end_of(5) == found.windows[0].start_on
    young = (end_of(WEEKS - 1), end_of(WEEKS + 3))
    assert (
        "first 4 windows"
        in cut(
            rows().filter(pl.col("at_on") < end_of(WEEKS - 1)),
            limits(),
            as_of_on=end_of(WEEKS),
            reference=young,
        ).note
    )


def test_a_draft_judged_twice_counts_once_as_it_was_last() -> None:
    once = rows()
    again = once.filter(pl.col("at_on") == end_of(6)).with_columns(
        at_on=end_of(6) + timedelta(days=1), score=pl.lit(9.0)
    )
    found = cut(pl.concat([once, again]), limits(), as_of_on=end_of(WEEKS))
    window = found.windows[2]
    assert 600 == window.rows.height
    assert again.height == window.rows.filter(pl.col("score") == 9.0).height


def test_too_little_to_compare_with_is_said() -> None:
    found = cut(rows(3), limits(), as_of_on=end_of(3))
    assert found.reference is None
    assert found.note.startswith("nothing to compare yet: 3 of the 4 windows")
    assert cut(rows().clear(), limits(), as_of_on=end_of(3)).windows == []
