"""Billing periods, month ends, midnights in zones."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prebill.core.calendar import (
    Period,
    add_months,
    date_in_zone,
    day_of,
    days_between,
    instant_of,
    month_period,
    start_of_day_at,
    zone,
)
from prebill.core.errors import InputError

DATES = st.dates(date(1990, 1, 1), date(2090, 12, 31))
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland", "Africa/Cairo", "Asia/Kolkata"]
)


def test_month() -> None:
    month = month_period("2026-10")
    assert (month.start_on, month.end_on) == (date(2026, 10, 1), date(2026, 11, 1))
    assert (month.days, month.name) == (31, "2026-10")


@pytest.mark.parametrize("name", ["", "2026", "2026-13", "10-2026", "2026-10-01"])
def test_what_is_no_month_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="YYYY-MM"):
        month_period(name)


def test_period_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(InputError, match="not after its start"):
        Period(date(2026, 10, 2), date(2026, 10, 2))


@given(st.integers(1970, 2199), st.integers(1, 12))
def test_months_follow_each_other_without_gap(year: int, month: int) -> None:
    period = month_period(f"{year:04d}-{month:02d}")
    assert period.start_on.month == month
    assert period.end_on == add_months(period.start_on, 1)
    assert 28 <= period.days <= 31


@given(DATES, st.integers(-40, 40))
def test_anchor_day_is_kept_where_the_month_has_it(day: date, months: int) -> None:
    moved = add_months(day, months)
    back = add_months(moved, -months, anchor_day=day.day)
    assert back == day
    assert moved.day <= day.day


@given(DATES, ZONES)
def test_day_begins_with_its_first_instant(day: date, name: str) -> None:
    start_at = start_of_day_at(day, name)
    assert start_at.tzinfo is UTC
    assert date_in_zone(start_at, name) == day
    assert date_in_zone(start_at - timedelta(microseconds=1), name) == day - timedelta(1)


def test_day_of_a_clock_change_is_not_24_hours() -> None:
    lengths = [
        start_of_day_at(day + timedelta(1), "Europe/Berlin") - start_of_day_at(day, "Europe/Berlin")
        for day in (date(2026, 3, 29), date(2026, 10, 25))
    ]
    assert lengths == [timedelta(hours=23), timedelta(hours=25)]


def test_date_in_zone_is_local() -> None:
    instant = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    assert date_in_zone(instant, "Europe/Berlin") == date(2026, 11, 1)
    assert date_in_zone(instant, "America/New_York") == date(2026, 10, 31)


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd"])
def test_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="unknown time zone"):
        zone(name)


def test_days_between_are_half_open() -> None:
    assert days_between(date(2026, 10, 30), date(2026, 11, 1)) == [
        date(2026, 10, 30),
        date(2026, 10, 31),
    ]


@pytest.mark.parametrize(
    "text", ["", "2026-13", "abc", "0001-01", "1969-12", "2200-01", "9999-12", "2026-10-01"]
)
def test_period_is_a_month_that_may_be_billed(text: str) -> None:
    with pytest.raises(InputError, match="write it as YYYY-MM"):
        month_period(text)


@pytest.mark.parametrize("text", ["", "now", "0001-01-01", "1969-12-31", "9999-12-31", "20x"])
def test_day_is_one_that_may_enter(text: str) -> None:
    with pytest.raises(InputError, match="write it as YYYY-MM-DD"):
        day_of(text)
    assert day_of("2026-10-31") == date(2026, 10, 31)


@pytest.mark.parametrize(
    "text", ["", "now", "1e9", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"]
)
def test_instant_is_one_that_may_enter(text: str) -> None:
    with pytest.raises(InputError, match="2026-11-05T08:00Z"):
        instant_of(text)
    assert instant_of("2026-11-05") == datetime(2026, 11, 5, tzinfo=UTC)


@pytest.mark.parametrize("name", ["Europe", "", "..", "a" * 300, "Mars/Olympus"])
def test_unknown_time_zone_is_named(name: str) -> None:
    with pytest.raises(InputError, match="unknown time zone"):
        zone(name)
