"""Geometry: everything stays inside the drawing and keeps its proportion."""

from hypothesis import given
from hypothesis import strategies as st

from prebill.console.charts import Bar, compare_bars, history_chart

AMOUNTS = st.integers(-(10**12), 10**12)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=12))
def test_compare_bars_stay_inside(pairs: list[tuple[int, int]]) -> None:
    for (expected, billed), bar in zip(pairs, compare_bars(pairs), strict=True):
        for start, width in ((bar.start, bar.common), (bar.edge, bar.over + bar.under)):
            assert start >= -1e-6
            assert width >= -1e-6
            assert start + width <= 100 + 1e-6
        assert (bar.over > 0) == (billed > expected)
        assert (bar.under > 0) == (billed < expected)


def test_common_part_and_excess_add_up() -> None:
    small, large = compare_bars([(100, 150), (200, 120)])
    assert (small.common, small.edge, small.over) == (50, 50, 25)
    assert (large.common, large.edge, large.under) == (60, 60, 40)


@given(st.lists(AMOUNTS, min_size=1, max_size=13))
def test_history_bars_touch_the_base_line_and_stay_inside(amounts: list[int]) -> None:
    bars = [Bar(amount, "", "", "", is_present=False) for amount in amounts]
    chart = history_chart(bars, median_minor=amounts[0], top_label="", median_label="", summary="")
    assert 0 <= chart.base_y <= 100
    for column in chart.columns:
        assert -1e-6 <= column.y <= 100 + 1e-6
        assert column.x + column.width <= 100
