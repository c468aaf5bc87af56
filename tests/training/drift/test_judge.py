"""What is planted is found in the second window, by the check that is made for it."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.training.drift.builders import A_WEEK, WEEKS, changed, end_of, limits, rows, watch
from training.drift.evidence import stability
from training.drift.judge import MEASURES, judge

PLANTS: dict[str, tuple[str, Callable[[pl.Expr], pl.Expr], str]] = {
    "feature": ("size", lambda size: size + 0.8, "propose retraining"),
    "score": ("score", lambda score: score**0.5, "warn"),
    "missing": ("size", lambda size: pl.when(pl.col("score") > 0.1).then(size), "review all"),
    "calibration": ("p_late", lambda chance: chance * 0.8, "propose retraining"),
    "share": ("is_held", lambda held: held | (pl.col("score") < 0.03), "warn"),
}


def judged(frame: pl.DataFrame, until: int = WEEKS) -> pl.DataFrame:
    return judge(watch(frame), limits(), stability, as_of_on=end_of(until)).measures


def test_nothing_alarms_where_nothing_changed() -> None:
    measures = judged(rows())
    assert MEASURES == measures.schema
    assert 8 * 5 == measures.height
    assert 0 == measures["is_alarm"].sum()


@pytest.mark.parametrize("check", PLANTS)
def test_a_planted_change_alarms_in_the_second_window_and_names_its_action(check: str) -> None:
    name, change, action = PLANTS[check]
    measures = judged(changed(rows(), name, change, week=8)).filter(pl.col("check") == check)
    # Windows 1 to 4 are weeks 5 to 8: the change is in windows 5 to 8.
    assert [False] * 5 + [True] * 3 == measures["is_alarm"].to_list()
    assert [action] * 8 == measures["action"].to_list()


def test_one_window_beyond_is_no_alarm() -> None:
    only_one = pl.col("at_on").is_between(end_of(8), end_of(9), closed="left")
    frame = rows().with_columns(size=pl.when(only_one).then(pl.col("size") + 1).otherwise("size"))
    sizes = judged(frame).filter(pl.col("check") == "feature")
    assert [False] * 4 + [True] + [False] * 3 == sizes["is_beyond"].to_list()
    assert 0 == sizes["is_alarm"].sum()


def test_later_rows_change_no_measure() -> None:
    frame = changed(rows(), "size", lambda size: size + 1, week=10)
    early = judged(frame.filter(pl.col("at_on") < end_of(9)), until=9)
    # Evidently sums over a set: the last digit depends on its order.
    assert_frame_equal(early, judged(frame).filter(pl.col("end_on") <= end_of(9)), rel_tol=1e-12)


def test_the_latest_windows_alone_give_the_same_alarms() -> None:
    frame = changed(rows(), "size", lambda size: size + 1, week=8)
    whole = judge(watch(frame), limits(), stability, as_of_on=end_of(WEEKS))
    latest = judge(watch(frame), limits(), stability, as_of_on=end_of(WEEKS), last=2)
    assert 1 == whole.alarms.height
    assert_frame_equal(whole.alarms, latest.alarms, rel_tol=1e-12)
    assert 2 == latest.measures["window"].n_unique()


def test_index_is_the_sum_over_bins() -> None:
    reference = pl.DataFrame({"a": ["x"] * 600 + ["y"] * 400, "b": [None] * 500 + ["x"] * 500})
    window = pl.DataFrame({"a": ["x"] * 200 + ["y"] * 300, "b": ["x"] * 500})
    expected = (0.6 - 0.4) * np.log(0.6 / 0.4) + (0.4 - 0.6) * np.log(0.4 / 0.6)
    found = stability(reference, window)
    assert found["a"] == pytest.approx(expected)


def test_labels_are_compared_by_their_classes() -> None:
    frame = rows().with_columns(days=pl.col("size") * 4)
    slower = changed(frame, "days", lambda days: days + 5, week=8)
    labelled = watch(slower.select("row_id", "cluster", "at_on", "days"))
    own = type(labelled)("delay", labelled.rows, labels={"days": (0.0, 5.0, 15.0)})
    measures = judge(own, limits(), stability, as_of_on=end_of(WEEKS)).measures
    assert ["label"] * 8 == measures["check"].to_list()
    assert [False] * 5 + [True] * 3 == measures["is_alarm"].to_list()


def test_few_outcomes_are_not_judged() -> None:
    unknown = rows().with_columns(
        is_late=pl.when(pl.int_range(pl.len()) % A_WEEK < 400).then("is_late")
    )
    assert 0 == judged(unknown).filter(pl.col("check") == "calibration").height
    assert judged(rows()).filter(pl.col("check") == "calibration").height


def test_a_window_without_rows_before_it_is_judged_by_nobody() -> None:
    empty = judge(watch(rows().clear()), limits(), stability, as_of_on=end_of(1))
    assert (0, 0) == (empty.measures.height, empty.alarms.height)
    assert timedelta(0) == end_of(0) - rows()["at_on"][0]
