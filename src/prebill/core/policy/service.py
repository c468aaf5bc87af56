"""How soon somebody looks, in hours of which calendar, and what happens when nobody did. Pure.

Sections ``sla_hours``, ``calendars`` and ``on_breach``. Without a calendar an hour is an hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from prebill.core.calendar import zone
from prebill.core.errors import InputError, PolicyError
from prebill.core.policy.reading import chosen, keys, limit_minor, money_limits, number, text, texts
from prebill.core.policy.shapes import LIMITS, closed, numbers, words

#: The calendar of every class that names no other, if the policy has it.
DEFAULT: Final = "default"
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ACTIONS: Final = ("review", "hold")
_CALENDAR: Final = frozenset({"time_zone", "days", "from", "to"})
_WAYS: Final = ("escalate", "keep")
RELEASE: Final = "release"
#: Calendars are laid out month by month until the deadline is reached, at most this far.
_MOST_DAYS: Final = 3660
_HOUR: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """Working time: from and to on some weekdays in a zone, but for holidays.

    On the days on which clocks change, working time is what the clock on the wall says.
    """

    time_zone: ZoneInfo
    days: frozenset[int]
    from_time: time
    to_time: time
    holidays: frozenset[date] = field(default_factory=frozenset)

    def windows(self, start_on: date, days: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Working spans of the days from one on: rows of start and end in UTC microseconds."""
        rows = []
        for number_of_day in range(days):
            day = start_on + timedelta(days=number_of_day)
            if day.weekday() in self.days and day not in self.holidays:
                rows.append([self._at(day, self.from_time), self._at(day, self.to_time)])
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

    def _at(self, day: date, clock: time) -> int:
        local = datetime.combine(day, clock, tzinfo=self.time_zone).astimezone(UTC)
        return int((local - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))

    def due_at(self, opened_at: pl.Series, hours: pl.Series) -> pl.Series:
        """Instants by which so many working hours have passed since others.

        Parameters
        ----------
        opened_at : pl.Series of Datetime in UTC
            Not null.
        hours : pl.Series of Float64
            Working hours. More than the calendar has in ten years end with its last one.

        Examples
        --------
        >>> days = frozenset(range(5))
        >>> nine_to_five = BusinessCalendar(zone("Europe/Berlin"), days, time(9), time(17))
        >>> friday = datetime(2026, 10, 23, 14, tzinfo=UTC)  # 16:00 there; winter from Sunday on
        >>> nine_to_five.due_at(pl.Series([friday]), pl.Series([2.0]))[0].isoformat()
        '2026-10-26T09:00:00+00:00'
        """
        if opened_at.is_empty():
            return opened_at.cast(pl.Datetime("us", "UTC"))
        opened = opened_at.cast(pl.Datetime("us", "UTC")).cast(pl.Int64).to_numpy()
        wanted = np.rint(hours.cast(pl.Float64).to_numpy() * _HOUR).astype(np.int64)
        first_on = datetime.fromtimestamp(int(opened.min()) // 1_000_000, UTC).date()
        latest_on = datetime.fromtimestamp(int(opened.max()) // 1_000_000, UTC).date()
        days = (latest_on - first_on).days + 32
        while True:
            spans = self.windows(first_on - timedelta(days=2), days)
            worked = np.concatenate([[0], np.cumsum(spans[:, 1] - spans[:, 0])])
            if not len(spans):
                days *= 2
                continue
            # How much had been worked at the start: whole spans before, and part of the present.
            place = np.searchsorted(spans[:, 1], opened, side="right")
            inside = np.minimum(place, len(spans) - 1)
            part = np.clip(opened - spans[inside, 0], 0, spans[inside, 1] - spans[inside, 0])
            done = worked[place] + np.where(place < len(spans), part, 0)
            if (done + wanted).max() <= worked[-1] or days > _MOST_DAYS:
                break
            days *= 2
        ends = np.clip(np.searchsorted(worked, done + wanted, side="left"), 1, len(spans)) - 1
        due = np.minimum(spans[ends, 0] + (done + wanted - worked[ends]), spans[ends, 1])
        return pl.Series(opened_at.name, due).cast(pl.Datetime("us", "UTC"))


@dataclass(frozen=True, slots=True)
class Breach:
    """What happens once a deadline has passed: ``way`` is escalate or keep.

    ``release_below``: a review of less, in major units by currency, is released instead.
    """

    way: str
    release_below: Mapping[str, float] = field(default_factory=dict)

    def of(self) -> pl.Expr:
        """What happens to a case by its ``currency`` and ``total_minor``."""
        if not self.release_below:
            return pl.lit(self.way)
        is_small = pl.col("total_minor").abs() < limit_minor(self.release_below)
        return pl.when(is_small).then(pl.lit(RELEASE)).otherwise(pl.lit(self.way))


def parse_sla(section: object, where: str) -> dict[str, float]:
    """Read hours for review and hold."""
    name = "sla_hours" if where == "policy" else f"{where}.sla_hours"
    given = keys(section, name, set(ACTIONS))
    return {action: number(given, action, name, low=0.1, high=1e5) for action in ACTIONS}


def parse_calendars(section: object) -> dict[str, BusinessCalendar]:
    """Read calendars by name; None: there are none.

    Raises
    ------
    PolicyError
        An unknown key, zone, day or holiday, or a calendar in which nobody ever works.
    """
    if section is None:
        return {}
    if not isinstance(section, dict) or not section:
        message = "calendars must be a mapping of names"
        raise PolicyError(message, where="calendars")
    return {str(name): _calendar(one, f"calendars.{name}") for name, one in section.items()}


def _calendar(section: object, where: str) -> BusinessCalendar:
    given = keys(section, where, _CALENDAR, {"holidays"})
    try:
        time_zone = zone(text(given, "time_zone", where))
    except InputError as error:
        raise PolicyError(f"{where}: {error}", where=where, setting="time_zone") from error
    days = texts(given, "days", where)
    for day in days:
        chosen(day, DAYS, f"{where}.days")
    begins, ends = _clock(given, "from", where), _clock(given, "to", where)
    if ends <= begins:
        message = f"{where}: to must be after from"
        raise PolicyError(message, where=where, setting="to")
    listed = given.get("holidays", [])
    if not isinstance(listed, list):
        message = f"{where}: holidays must be a list of days"
        raise PolicyError(message, where=where, setting="holidays")
    holidays = frozenset(_holiday(day, where) for day in listed)
    return BusinessCalendar(
        time_zone, frozenset(DAYS.index(day) for day in days), begins, ends, holidays
    )


def _clock(given: Mapping[str, object], name: str, where: str) -> time:
    value = given[name]
    try:
        return time.fromisoformat(str(value)) if isinstance(value, str) else time(-1)
    except ValueError:
        message = f'{where}: {name} must be a time of day in quotes, "09:00", not {value!r}'
        raise PolicyError(message, where=where, setting=name) from None


def _holiday(value: object, where: str) -> date:
    try:
        return value if type(value) is date else date.fromisoformat(str(value))
    except ValueError:
        message = f"{where}: {value!r} is not a day, write 2026-12-25"
        raise PolicyError(message, where=where, setting="holidays") from None


def parse_breach(section: object, where: str) -> dict[str, Breach]:
    """Read what follows a missed deadline, by action; None: nothing is said.

    Raises
    ------
    PolicyError
        An unknown way, or a hold that would be released by time alone.
    """
    if section is None:
        return {}
    name = "on_breach" if where == "policy" else f"{where}.on_breach"
    given = keys(section, name, set(), set(ACTIONS))
    return {action: _breach(value, f"{name}.{action}") for action, value in given.items()}


def _breach(value: object, where: str) -> Breach:
    if not isinstance(value, dict):
        return Breach(chosen(value, _WAYS, where))
    given = keys(value, where, {"release_below", "else"})
    if where.endswith("hold"):
        message = f"{where}: time alone never releases what is held"
        raise PolicyError(message, where=where)
    return Breach(
        chosen(given["else"], _WAYS, f"{where}.else"),
        money_limits(given, "release_below", where),
    )


SLA_SHAPE: Final[dict[str, Any]] = closed(
    {action: numbers(0.1, 1e5, "hours") for action in ACTIONS}, needed=ACTIONS
)
CALENDARS_SHAPE: Final[dict[str, Any]] = {
    "type": "object",
    "minProperties": 1,
    "description": "by name; hours count in default unless a class names another",
    "additionalProperties": closed(
        {
            "time_zone": {"type": "string", "description": "IANA"},
            "days": words("working days") | {"items": {"enum": list(DAYS)}},
            "from": {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]"},
            "to": {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]"},
            "holidays": {"type": "array", "items": {"type": "string"}},
        },
        needed=sorted(_CALENDAR),
    ),
}
_ELSE: Final = {"enum": list(_WAYS)}
BREACH_SHAPE: Final[dict[str, Any]] = closed(
    {
        "review": {
            "anyOf": [
                _ELSE,
                closed({"release_below": LIMITS, "else": _ELSE}, needed=("release_below", "else")),
            ]
        },
        "hold": _ELSE,
    },
    meaning="what happens once a deadline has passed; time alone never releases a hold",
)
