"""Bank days: weekends, fixed, moved and movable holidays, by currency."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from prebill.core.scoring.features.payment_calendar import bank_days
from prebill.core.scoring.features.payment_history import calendars, days_of


def place(currency: str, day: date) -> tuple[np.ndarray, np.ndarray]:
    return calendars(pl.Series([currency])), days_of(pl.Series([day]))


@pytest.mark.parametrize(
    ("currency", "day", "is_holiday"),
    [
        ("USD", date(2026, 11, 26), True),  # Thanksgiving: fourth Thursday
        ("USD", date(2026, 11, 27), False),
        ("EUR", date(2026, 4, 3), True),  # Good Friday
        ("EUR", date(2026, 4, 6), True),  # Easter Monday
        ("EUR", date(2026, 11, 26), False),
        ("GBP", date(2026, 12, 28), True),  # Boxing Day falls on a Saturday and moves
        ("GBP", date(2026, 12, 26), False),  # a Saturday is closed anyway
        ("CHF", date(2026, 5, 14), True),  # Ascension Day, 39 days after Easter
        ("JPY", date(2026, 4, 3), False),  # no list: weekends only
    ],
)
def test_holidays_by_currency(currency: str, day: date, is_holiday: bool) -> None:
    assert bank_days().is_holiday(*place(currency, day)).item() is is_holiday


def test_days_to_and_from_the_bank_day_around_a_long_weekend() -> None:
    days = bank_days()
    saturday = place("EUR", date(2026, 4, 4))  # between Good Friday and Easter Monday
    assert days.until_open(*saturday).item() == 3
    assert days.since_open(*saturday).item() == 2
    calendar, first = place("EUR", date(2026, 4, 2))
    assert days.between(calendar, first, first + 5).item() == 1  # only Tuesday
    assert days.between(calendar, first + 5, first).item() == -1


def test_holiday_counts_as_the_weekend_day_that_it_resembles() -> None:
    days = bank_days()
    assert days.weekday(*place("EUR", date(2026, 4, 3))).item() == 6  # like a Saturday
    assert days.weekday(*place("EUR", date(2026, 4, 6))).item() == 7  # opens the next day
    assert days.weekday(*place("JPY", date(2026, 4, 6))).item() == 1


def test_days_out_of_the_tables_are_clipped() -> None:
    assert bank_days().until_open(*place("EUR", date(1900, 1, 1))).item() >= 0
    assert bank_days().until_open(*place("EUR", date(2300, 1, 1))).item() >= 0
