"""Tails, windows and words."""

import doctest
from datetime import date

import numpy as np
import polars as pl
import pytest

from prebill.core.money import CURRENCY_EXPONENTS, format_minor
from prebill.core.scoring import tails, windows, words
from prebill.core.scoring.tails import RAREST, Learning, Sample, Yardstick
from prebill.core.scoring.windows import latest_values, row_deviation, row_median, trailing_median


@pytest.mark.parametrize("module", [tails, windows, words], ids=lambda module: module.__name__)
def test_examples_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_tails_of_the_past_are_uniform() -> None:
    past = np.random.default_rng(1).normal(size=5000)
    share = Sample(np.sort(past)).survival(past)
    assert pytest.approx(share.mean(), abs=0.01) == 0.5
    assert pytest.approx((share <= 0.05).mean(), abs=0.005) == 0.05


def test_tail_goes_on_beyond_the_largest_and_stays_ordered() -> None:
    past = np.random.default_rng(2).exponential(size=2000)
    asked = np.array([past.max() * factor for factor in (1, 1.5, 3, 100)])
    shares = Sample(np.sort(past)).survival(asked)
    assert (np.diff(shares) < 0).all() or shares[-1] == RAREST
    assert shares.min() >= RAREST


def test_tail_of_a_short_past_goes_on_too() -> None:
    past = np.sort(np.random.default_rng(2).exponential(size=120))
    largest, twice, thrice = Sample(past).survival(past[-1] * np.array([1.0, 2.0, 3.0]))
    assert largest > 2 * twice > 4 * thrice > 4 * RAREST


def test_group_with_enough_past_is_its_own_yardstick() -> None:
    frame = pl.DataFrame(
        {
            "is_draft": [False] * 600 + [True] * 2,
            "value": [*np.linspace(0, 1, 300), *np.linspace(0, 100, 300), 2.0, 2.0],
            "group": [0] * 300 + [1] * 300 + [0, 1],
        }
    )
    quiet, noisy = Learning().calibrated(frame, "value", within="group")[-2:]
    assert quiet > 0.99
    assert noisy < 0.1


def test_rare_deviation_scores_higher_than_a_frequent_one() -> None:
    past = [0.0] * 900 + [0.1] * 90 + [0.5] * 10
    frame = pl.DataFrame(
        {"is_draft": [False] * 1000 + [True] * 4, "off": [*past, 0.0, 0.1, 0.5, None]}
    )
    none, often, rarely, unknown = Learning().rarity(frame, "off")[-4:]
    assert none == 0
    assert 0.85 < often < rarely
    assert rarely > 0.98
    assert unknown is None


def test_deviations_between_two_past_ones_do_not_tie() -> None:
    sample = Sample(np.sort(np.concatenate([np.zeros(70), np.linspace(1, 10, 30)])))
    rarity = sample.rarity(np.array([0.0, 0.5, 1.0, 1.5, 2.0, 10.0, 20.0]))
    assert rarity[0] == 0
    # Smaller than any that happened is as rare as the smallest: a deviation is no part of one.
    assert rarity[1] == rarity[2]
    assert (np.diff(rarity[2:]) > 0).all()


def test_a_learnt_yardstick_answers_as_the_past_beside_the_drafts_does() -> None:
    values = np.random.default_rng(5).normal(size=703).round(2)
    frame = pl.DataFrame(
        {"is_draft": [False] * 700 + [True] * 3, "value": values, "group": [0, 1] * 351 + [0]}
    )
    drafts = frame.filter("is_draft")
    learning = Learning()
    beside = learning.calibrated(frame, "value", within="group")[-3:]
    rare = learning.rarity(frame.with_columns(rare="value"), "rare")[-3:]
    kept = Yardstick.from_npz(learning.learnt().to_npz())
    assert beside.to_list() == kept.calibrated(drafts, "value", within="group").to_list()
    assert rare.to_list() == kept.rarity(drafts.with_columns(rare="value"), "rare").to_list()


def test_without_a_past_drafts_are_compared_with_those_before_them() -> None:
    """Sixty a day: the first day by itself, the second by both, ten of a day before by nothing."""
    days = [date(2026, 1, 1)] * 10 + [date(2026, 1, 2)] * 60 + [date(2026, 1, 3)] * 60
    values = np.random.default_rng(3).exponential(size=130)
    frame = pl.DataFrame({"is_draft": [True] * 130, "issued_on": days, "value": values})
    found = Yardstick().calibrated(frame, "value")
    assert found[:10].null_count() == 10
    before = Sample(np.sort(values[:70].round(9))).survival(values[10:70].round(9))
    assert found[10:70].to_list() == pytest.approx((1 - before).tolist())
    assert found.to_list()[:70] == Yardstick().calibrated(frame[:70], "value").to_list()
    rare = Yardstick().rarity(frame, "value", stated=0.5)
    assert rare[:10].unique().to_list() == [0.5]
    assert rare[10:].min() > 0


def test_noise_of_floats_is_no_deviation() -> None:
    frame = pl.DataFrame({"is_draft": [False] * 100 + [True], "off": [0.0] * 100 + [1e-16]})
    assert Learning().rarity(frame, "off")[-1] == 0.0


def test_values_of_the_same_day_are_not_seen() -> None:
    history = pl.DataFrame(
        {
            "series": ["a"] * 4,
            "issued_on": [date(2026, 1, day) for day in (1, 2, 2, 3)],
            "value": [1.0, 2.0, 3.0, 4.0],
        }
    )
    keys = pl.DataFrame(
        {
            "series": ["a", "a", "a", "b"],
            "as_of_on": [date(2026, 1, day) for day in (2, 3, 1, 9)],
        }
    )
    latest = latest_values(history, keys, ["value"], count=3)
    assert latest.count.tolist() == [1, 3, 0, 0]
    assert latest["value"][1].tolist() == [3.0, 2.0, 1.0]
    assert np.isnan(latest["value"][2:]).all()


def test_row_statistics_agree_with_numpy() -> None:
    values = np.random.default_rng(3).normal(size=(50, 8))
    values[np.random.default_rng(4).random(values.shape) < 0.3] = np.nan
    values[:, 0] = 1.0
    center = np.nanmedian(values, axis=1)
    assert row_median(values) == pytest.approx(center)
    deviation = np.nanmedian(np.abs(values - center[:, None]), axis=1)
    assert row_deviation(values, center) == pytest.approx(1.4826 * deviation)


def test_trailing_median_sees_its_own_day_and_nothing_later() -> None:
    days = [date(2026, 1, 1)] * 3 + [date(2026, 1, 20)] * 3 + [date(2026, 3, 1)]
    frame = pl.DataFrame({"issued_on": days, "value": [1.0, 2.0, 3.0, 10.0, 20.0, 30.0, 5.0]})
    medians = trailing_median(frame, "value", least=3)
    assert medians[:3].tolist() == [2.0, 2.0, 2.0]
    assert medians[3:6].tolist() == [6.5] * 3
    assert np.isnan(medians[6])


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
@pytest.mark.parametrize("amount", [0, 5, -5, 99, 100, -1234567, 10**12])
def test_money_is_worded_as_elsewhere(currency: str, amount: int) -> None:
    assert currency in CURRENCY_EXPONENTS
    frame = pl.DataFrame({"a": [amount], "c": [currency]})
    text = frame.select(words.money_text(pl.col("a"), pl.col("c"))).item()
    assert format_minor(amount, currency) == text
