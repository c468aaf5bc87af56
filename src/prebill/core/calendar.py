"""Calendar: billing periods, month-end memory, calendar dates of an instant in a zone."""

import calendar as month_calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prebill.core.errors import InputError

#: Dates that may enter: from the first, before the second. Data contracts say the same.
FIRST_ON: Final = date(1970, 1, 1)
END_ON: Final = date(2200, 1, 1)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A calendar span ``[start_on, end_on)``."""

    start_on: date
    end_on: date

    def __post_init__(self) -> None:
        if self.end_on <= self.start_on:
            message = f"period ends on {self.end_on}, not after its start {self.start_on}"
            raise InputError(message, start_on=self.start_on, end_on=self.end_on)

    @property
    def days(self) -> int:
        """Number of days in the period."""
        return (self.end_on - self.start_on).days

    @property
    def name(self) -> str:
        """The month as users write it, for example ``2026-10``."""
        return f"{self.start_on:%Y-%m}"


def month_period(name: str) -> Period:
    """Parse ``2026-10`` to the calendar month.

    Examples
    --------
    >>> month_period("2026-02").end_on
    datetime.date(2026, 3, 1)
    """
    try:
        start_on = datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        start_on = END_ON
    if not FIRST_ON <= start_on < END_ON:
        message = f"period {name!r} is not a month: write it as YYYY-MM, for example 2026-10"
        raise InputError(message, period=name)
    return Period(start_on, add_months(start_on, 1))


def day_of(text: str) -> date:
    """Parse ``2026-10-31``, a day that may enter."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = END_ON
    if not FIRST_ON <= day < END_ON:
        message = f"{text!r} is not a day: write it as YYYY-MM-DD, for example 2026-10-31"
        raise InputError(message, value=text)
    return day


def instant_of(text: str) -> datetime:
    """Parse an instant, or a day that begins; without an offset it is UTC.

    Examples
    --------
    >>> instant_of("2026-11-05T08:00+01:00").isoformat()
    '2026-11-05T07:00:00+00:00'
    """
    try:
        given = datetime.fromisoformat(text)
        instant = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        instant = datetime.combine(END_ON, time(), tzinfo=UTC)
    if not FIRST_ON <= instant.date() < END_ON:
        message = f"{text!r} is not an instant: write it as 2026-11-05T08:00Z"
        raise InputError(message, value=text)
    return instant


def add_months(day: date, months: int, anchor_day: int | None = None) -> date:
    """Add months, keeping the anchor's day of month where the month has it.

    Examples
    --------
    >>> add_months(date(2026, 1, 31), 1), add_months(date(2026, 2, 28), 1, anchor_day=31)
    (datetime.date(2026, 2, 28), datetime.date(2026, 3, 31))
    """
    years, month0 = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month0 + 1
    last = month_calendar.monthrange(year, month)[1]
    return date(year, month, min(anchor_day or day.day, last))


def zone(name: str) -> ZoneInfo:
    """Return the IANA zone, or say that it does not exist."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, or too long a name
        message = f"unknown time zone {name!r}: use an IANA name such as Europe/Berlin"
        raise InputError(message, time_zone=name) from None


def start_of_day_at(day: date, time_zone: str) -> datetime:
    """Return the instant at which ``day`` begins in the zone, in UTC."""
    return datetime.combine(day, time(), tzinfo=zone(time_zone)).astimezone(UTC)


def date_in_zone(instant_at: datetime, time_zone: str) -> date:
    """Return the calendar date of an aware instant in the zone."""
    return instant_at.astimezone(zone(time_zone)).date()


def days_between(start_on: date, end_on: date) -> list[date]:
    """Return every date of ``[start_on, end_on)``."""
    return [start_on + timedelta(days=n) for n in range((end_on - start_on).days)]
