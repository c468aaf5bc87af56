"""Precision and recall of a policy that did not decide, on what is known of who did."""

import numpy as np
import polars as pl
import pytest

from prebill.core.triage.policy_quality import policy_quality


def rows(*parts: tuple[int, str, str, bool | None, float | None]) -> pl.DataFrame:
    """So many of each (number, action done, action asked, is_error, propensity)."""
    return pl.concat(
        pl.DataFrame(
            {"action": done, "asked": asked, "is_error": wrong, "propensity": chance},
            schema={
                "action": pl.String,
                "asked": pl.String,
                "is_error": pl.Boolean,
                "propensity": pl.Float64,
            },
        )
        if number == 1
        else pl.DataFrame(
            {
                "action": [done] * number,
                "asked": [asked] * number,
                "is_error": pl.Series([wrong] * number, dtype=pl.Boolean),
                "propensity": pl.Series([chance] * number, dtype=pl.Float64),
            }
        )
        for number, done, asked, wrong, chance in parts
        if number
    )


def test_policy_that_decided_is_measured_on_what_people_said() -> None:
    known = rows(
        (30, "hold", "hold", True, None),
        (10, "hold", "hold", False, None),
        (5, "hold", "hold", None, None),
        (99, "release", "release", False, 0.1),
        (2, "release", "release", True, 0.1),
        (899, "release", "release", None, None),
    )
    found = policy_quality(known, "asked")
    assert found.precision is not None
    assert found.recall is not None
    assert 30 / 40 == found.precision.value
    missed = 1000 * 2 / 101
    assert abs(30 / (30 + missed) - found.recall.value) < 1e-9
    assert found.recall.low < found.recall.value < found.recall.high
    assert (141, 32, 0) == (found.labels, found.errors, found.unseen)


def test_newly_stopped_drafts_are_told_by_the_sample_of_their_kind() -> None:
    known = rows(
        (20, "hold", "release", True, None),
        (10, "release", "hold", True, 0.5),
        (10, "release", "hold", False, 0.5),
        (20, "release", "hold", None, None),
        (50, "release", "release", False, 0.05),
        (950, "release", "release", None, None),
    )
    found = policy_quality(known, "asked")
    assert found.precision is not None
    assert found.recall is not None
    assert pytest.approx(0.5) == found.precision.value  # half of the forty that it stops
    assert pytest.approx(0.5) == found.recall.value  # twenty caught, twenty let go
    assert found.recall.low < 0.5 < found.recall.high


def test_nobody_looked_at_what_would_be_stopped() -> None:
    known = rows((7, "release", "hold", None, None), (5, "release", "release", False, 0.1))
    found = policy_quality(known, "asked")
    assert (None, None, 7) == (found.precision, found.recall, found.unseen)


def test_labels_that_came_by_themselves_do_not_tell_of_released_drafts() -> None:
    sample = [(2, "hold", "hold", True, None), (50, "release", "release", False, 0.1)]
    plain = policy_quality(rows(*sample), "asked")
    credited = policy_quality(rows(*sample, (9, "release", "release", True, None)), "asked")
    assert plain.recall is not None
    assert credited.recall is not None
    assert plain.recall.value == credited.recall.value


def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(7)
    inside = 0
    for _ in range(60):
        score = generator.random(4_000)
        wrong = generator.random(4_000) < 0.3 * score**6
        chance = np.where(score > 0.8, 0.2, 0.05)
        looked = generator.random(4_000) < chance
        done, asked = score > 0.97, score > 0.9
        truth = (wrong & asked).sum() / wrong.sum()
        known = pl.DataFrame(
            {
                "action": np.where(done, "hold", "release"),
                "asked": np.where(asked, "hold", "release"),
                "is_error": [
                    bool(w) if d or s else None for w, d, s in zip(wrong, done, looked, strict=True)
                ],
                "propensity": [
                    float(c) if s and not d else None
                    for c, d, s in zip(chance, done, looked, strict=True)
                ],
            }
        )
        found = policy_quality(known, "asked")
        assert found.recall is not None
        inside += found.recall.low <= truth <= found.recall.high
    assert inside >= 54
