"""Values and frames have one form in SQL, and come back as they went in."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prebill.core.money import DECIMAL
from prebill.store import codec

INSTANT = pl.Datetime("us", "UTC")
decimals = st.decimals(min_value=Decimal(-(10**20)), max_value=Decimal(10**20), places=12)
_microseconds = st.integers(min_value=0, max_value=7_000_000_000_000_000)  # 1970 to 2191
instants = _microseconds.map(
    lambda number: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number)
)
rows = st.lists(
    st.tuples(
        st.none() | decimals.filter(lambda value: value != 0 or not value.is_signed()),
        st.none() | st.dates(),
        st.none() | instants,
        st.none() | st.booleans(),
        st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    ),
    max_size=20,
)
SCHEMA = pl.Schema(
    {"amount": DECIMAL, "on": pl.Date(), "at": INSTANT, "is": pl.Boolean(), "text": pl.String()}
)


@given(rows)
def test_frame_comes_back_and_equals_single_values(given_rows: list[tuple[object, ...]]) -> None:
    frame = pl.DataFrame(given_rows, schema=SCHEMA, orient="row")
    encoded = codec.encode(frame).rows()
    assert encoded == [tuple(codec.to_sql(value) for value in row) for row in given_rows]
    assert codec.decode(encoded, SCHEMA).equals(frame)


@given(st.lists(instants, max_size=20))
def test_text_of_instants_sorts_like_time(given_instants: list[datetime]) -> None:
    texts = [codec.instant_text(instant_at) for instant_at in given_instants]
    assert sorted(texts) == [codec.instant_text(at) for at in sorted(given_instants)]
    assert [codec.parse_instant(text) for text in texts] == given_instants


def test_instant_of_another_zone_is_written_in_utc() -> None:
    cest = timezone(timedelta(hours=2))
    at = datetime(2026, 10, 1, 1, tzinfo=cest)
    assert codec.instant_text(at) == "2026-09-30T23:00:00.000000Z"
    frame = pl.DataFrame({"at": [at]}).cast({"at": pl.Datetime("us", "Europe/Berlin")})
    assert codec.encode(frame)["at"].to_list() == ["2026-09-30T23:00:00.000000Z"]


def test_instant_without_zone_is_refused() -> None:
    at = datetime(2026, 10, 1)  # noqa: DTZ001  that is the point
    with pytest.raises(ValueError, match="no time zone"):
        codec.to_sql(at)
    with pytest.raises(ValueError, match="without a time zone"):
        codec.encode(pl.DataFrame({"at": [at]}))


def test_nested_column_is_refused() -> None:
    with pytest.raises(ValueError, match="nested"):
        codec.encode(pl.DataFrame({"list": [[1]]}))


def test_json_depends_on_the_content_alone() -> None:
    assert codec.to_sql({"b": [1], "a": "é"}) == codec.to_sql({"a": "é", "b": [1]})
    assert codec.to_sql({"b": [1], "a": "é"}) == '{"a":"é","b":[1]}'


def test_date_is_not_taken_for_an_instant() -> None:
    assert codec.to_sql(date(2026, 10, 1)) == "2026-10-01"
