"""Deadlines in business hours, and what follows once they have passed."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from prebill.core.errors import PolicyError
from prebill.core.policy.model import Policy
from prebill.core.policy.service import BusinessCalendar
from tests.core.policy.drafts import policy
from tests.core.policy.test_policy import document

BERLIN = {"time_zone": "Europe/Berlin", "days": ["mon", "tue", "wed", "thu", "fri"]}
BERLIN |= {"from": "09:00", "to": "17:00"}
OFFICE = BusinessCalendar(ZoneInfo("Europe/Berlin"), frozenset(range(5)), time(9), time(17))


def local(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def due(calendar: BusinessCalendar, opened: str, hours: float) -> datetime:
    zone = str(calendar.time_zone)
    return calendar.due_at(pl.Series([local(opened, zone)]), pl.Series([hours]))[0]


@pytest.mark.parametrize(
    ("opened", "hours", "ends"),
    [
        ("2026-10-21T10:00", 4, "2026-10-21T14:00"),
        ("2026-10-21T10:00", 7, "2026-10-21T17:00"),  # by the end of the day, not next morning
        ("2026-10-21T10:00", 8, "2026-10-22T10:00"),
        ("2026-10-21T06:00", 1, "2026-10-21T10:00"),
        ("2026-10-21T23:00", 1, "2026-10-22T10:00"),
        ("2026-10-23T16:00", 2, "2026-10-26T10:00"),  # over the weekend on which summer time ends
        ("2026-03-27T16:00", 2, "2026-03-30T10:00"),  # and on which it begins
        ("2026-10-24T12:00", 8, "2026-10-26T17:00"),
        ("2026-10-21T10:00", 400, "2026-12-30T10:00"),
    ],
)
def test_deadline_counts_working_hours_of_the_zone(opened: str, hours: float, ends: str) -> None:
    assert local(ends) == due(OFFICE, opened, hours)


def test_night_shift_of_a_clock_change_counts_the_hours_that_were() -> None:
    night = BusinessCalendar(ZoneInfo("Europe/Berlin"), frozenset(range(7)), time(0), time(6))
    # On 25 October 2026 the night from 0 to 6 has seven hours, on 29 March five.
    assert local("2026-10-25T06:00") == due(night, "2026-10-25T00:00", 7)
    assert local("2026-03-29T06:00") == due(night, "2026-03-29T00:00", 5)


def test_holidays_are_no_working_days() -> None:
    calendar = BusinessCalendar(
        OFFICE.time_zone, OFFICE.days, time(9), time(17), frozenset({date(2026, 12, 25)})
    )
    assert local("2026-12-28T10:00") == due(calendar, "2026-12-24T16:00", 2)


@settings(max_examples=60, deadline=None)
@given(minutes=st.integers(0, 60 * 24 * 400), hours=st.floats(0.1, 120))
def test_so_much_is_worked_between_opening_and_deadline(minutes: int, hours: float) -> None:
    opened = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    due_at = OFFICE.due_at(pl.Series([opened]), pl.Series([hours]))[0]
    worked = timedelta()
    for begins, ends in OFFICE.windows(opened.date(), (due_at - opened).days + 2):
        span = [
            datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(one))
            for one in (begins, ends)
        ]
        worked += max(min(span[1], due_at) - max(span[0], opened), timedelta())
    assert abs(worked - timedelta(hours=hours)) < timedelta(milliseconds=1)
    assert due_at.astimezone(OFFICE.time_zone).weekday() < 5


def cases(*rows: tuple[str, str]) -> pl.DataFrame:
    opened = local("2026-10-23T16:00")
    return pl.DataFrame(
        [
            {"action": action, "policy_class": name, "opened_at": opened, "currency": "EUR"}
            | {"total_minor": 100_00}
            for action, name in rows
        ]
    )


def test_policy_without_a_calendar_counts_plain_hours() -> None:
    found = policy().due_at(cases(("review", "default"), ("hold", "default"), ("release", "x")))
    opened = local("2026-10-23T16:00")
    assert [timedelta(hours=24), timedelta(hours=8), timedelta(hours=336)] == [
        one - opened for one in found
    ]


def test_class_has_its_own_hours_and_calendar() -> None:
    weekend = {**BERLIN, "days": ["sat", "sun"], "time_zone": "Asia/Tokyo"}
    of = policy(
        calendars={"default": BERLIN, "weekend": weekend},
        classes=[
            {
                "name": "fast",
                "when": {"segment": "large"},
                "sla_hours": {"review": 2, "hold": 1},
            },
            {"name": "far", "when": {"segment": "far"}, "calendar": "weekend"},
        ],
    )
    found = of.due_at(
        cases(("hold", "default"), ("hold", "fast"), ("review", "fast"), ("hold", "far"))
    )
    assert [
        local("2026-10-26T16:00"),
        local("2026-10-23T17:00"),
        local("2026-10-26T10:00"),
        local("2026-10-24T17:00", "Asia/Tokyo"),
    ] == found.to_list()
    # A sample waits for nobody: its hours are plain.
    (sampled,) = of.due_at(cases(("release", "default")))
    assert timedelta(hours=336) == sampled - local("2026-10-23T16:00")


def test_after_the_deadline_only_a_small_review_is_released() -> None:
    way = {"release_below": {"default": 100, "EUR": 100.01}, "else": "escalate"}
    of = policy(
        on_breach={"review": way, "hold": "escalate"},
        classes=[
            {"name": "kept", "when": {"segment": "large"}, "on_breach": {"review": "keep"}},
        ],
    )
    asked = cases(("review", "default"), ("hold", "default"), ("review", "kept"), ("hold", "kept"))
    assert ["release", "escalate", "keep", "escalate"] == of.after_deadline(asked).to_list()
    large = asked.with_columns(total_minor=pl.lit(-100_01))
    assert ["escalate", "escalate", "keep", "escalate"] == of.after_deadline(large).to_list()
    assert ["keep"] * 4 == policy().after_deadline(asked).to_list()


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"calendars": {"a": {**BERLIN, "time_zone": "Mars"}}}, "unknown time zone"),
        ({"calendars": {"a": {**BERLIN, "days": ["monday"]}}}, "one of mon"),
        ({"calendars": {"a": {**BERLIN, "to": "08:00"}}}, "to must be after from"),
        ({"calendars": {"a": {**BERLIN, "from": 540}}}, "in quotes"),
        ({"calendars": {"a": {**BERLIN, "holidays": ["2026-02-30"]}}}, "is not a day"),
        ({"calendars": {}}, "mapping of names"),
        ({"on_breach": {"hold": {"release_below": {"default": 1}, "else": "keep"}}}, "time alone"),
        ({"on_breach": {"review": "release"}}, "one of escalate"),
        ({"on_breach": {"release": "keep"}}, "unknown keys"),
        ({"sla_hours": {"review": 1}}, "absent keys"),
    ],
)
def test_wrong_service_sections_are_refused_in_words(sections: dict, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        policy(**sections)


def test_days_mean_the_same_in_quotes_and_without() -> None:

    given = document(calendars={"default": {**BERLIN, "holidays": [date(2026, 12, 25)]}})
    quoted = document(calendars={"default": {**BERLIN, "holidays": ["2026-12-25"]}})
    one, two = (Policy.parse(yaml.safe_dump(text)) for text in (given, quoted))
    assert one.digest == two.digest
