"""One distribution: its figures agree with each other, also inside steps and in the tail."""

import numpy as np
import pytest

from prebill.core.scoring.features.payment_history import EDGES, STEPS
from prebill.core.scoring.models.payment_distribution import (
    LATEST_DAYS,
    NEVER_SHARE,
    PaymentDistribution,
)

DUE = EDGES.index(0)


def drawn(rows: int = 200, seed: int = 1) -> PaymentDistribution:
    rng = np.random.default_rng(seed)
    hazards = rng.beta(1, 9, (rows, STEPS))
    return PaymentDistribution(np.cumprod(1 - hazards, axis=1), np.full(rows, 30.0))


def settled_on(day: int) -> PaymentDistribution:
    step = EDGES.index(day)
    shares = np.where(np.arange(STEPS) < step, 1.0, 0.0)[None, :]
    return PaymentDistribution(shares, np.array([30.0]))


@pytest.mark.parametrize("day", [-5, 0, 1, 6])
def test_certain_day_is_every_percentile_and_the_mean(day: int) -> None:
    told = settled_on(day)
    assert [told.percentile(level).item() for level in (0.1, 0.5, 0.9)] == [day] * 3
    assert told.expected_days().item() == pytest.approx(day)
    assert told.late.item() == float(day > 0)
    assert told.later_than(day - 1).item() == 1.0
    assert told.later_than(day).item() == 0.0


def test_later_than_falls_and_meets_the_steps() -> None:
    told = drawn()
    days = np.arange(-30, 200)
    shares = np.stack([told.later_than(float(day)) for day in days])
    assert (np.diff(shares, axis=0) <= 1e-12).all()
    for step, end in enumerate(EDGES):
        assert told.later_than(float(end)) == pytest.approx(told.open_shares[:, step])
    assert told.later_than(1e6) == pytest.approx(told.never)


@pytest.mark.parametrize("level", [0.05, 0.1, 0.5, 0.8, 0.9])
def test_percentile_is_the_first_day_by_which_so_many_are_settled(level: float) -> None:
    told = drawn()
    day = told.percentile(level)
    inside = day < LATEST_DAYS
    assert (1 - told.later_than(day) >= level - 1e-9)[inside].all()
    assert (1 - told.later_than(day - 1) < level + 1e-9)[inside].all()


def test_scaled_has_the_wanted_share_late_and_keeps_each_side() -> None:
    told = drawn()
    wanted = np.linspace(0.01, 0.99, len(told.late))
    scaled = told.scaled(wanted)
    assert scaled.late == pytest.approx(wanted)
    assert (np.diff(scaled.open_shares, axis=1) <= 1e-12).all()
    after = told.open_shares[:, DUE + 5] / told.late
    assert scaled.open_shares[:, DUE + 5] / scaled.late == pytest.approx(after)


def test_nothing_is_settled_before_it_is_issued() -> None:
    shares = np.where(np.arange(STEPS) < EDGES.index(-12), 1.0, 0.5)[None, :]
    told = PaymentDistribution(shares, np.array([15.0]))  # in the midst of the step to day -12
    assert told.percentile(0.1).item() == -15
    assert told.later_than(-16.0).item() == 1.0


def test_never_settled_is_shown_as_the_latest_day() -> None:
    told = PaymentDistribution(np.full((1, STEPS), 1.0), np.array([30.0]))
    assert told.never.item() == NEVER_SHARE
    assert told.percentile(0.9).item() == LATEST_DAYS
    assert 90 < told.percentile(0.3).item() < LATEST_DAYS
