"""Series: a model from twelve steps on, a stated fallback before."""

import polars as pl
import pytest

from prebill.core.forecasts.series import GATE, Method, forecast


def series(values: list[float], name: str = "a") -> pl.DataFrame:
    steps = pl.Series("step", range(len(values)), dtype=pl.Int64)
    return pl.DataFrame({"series": [name] * len(values), "step": steps, "value": values})


@pytest.mark.parametrize(
    ("method", "fallback", "expected"),
    [(Method.SMOOTHING, "median", 6.0), (Method.THETA, "last", 11.0)],
)
def test_a_short_history_gets_the_fallback_and_says_so(
    method: Method, fallback: str, expected: float
) -> None:
    values = [float(number) for number in range(1, GATE)]
    short = forecast(series(values), method=method, steps=2)
    assert [("a", 1, expected, fallback), ("a", 2, expected, fallback)] == short.rows()
    enough = forecast(series([*values, 12.0]), method=method, steps=1)
    assert ["model"] == enough["basis"].to_list()


def test_a_constant_stays_and_a_growing_level_grows() -> None:
    constant = forecast(series([7.0] * 20), method=Method.SMOOTHING, steps=3)
    assert [7.0] * 3 == pytest.approx(constant["expected"].to_list())
    rising = forecast(series([float(n) for n in range(20)]), method=Method.THETA, steps=2)
    assert rising["expected"][1] > rising["expected"][0] > 18.5


def test_series_are_apart_and_the_order_of_rows_does_not_matter() -> None:
    both = pl.concat([series([5.0] * 15), series([9.0, 3.0] * 10, "b"), series([1.0], "c")])
    found = forecast(both, method=Method.SMOOTHING, steps=1)
    shuffled = forecast(
        both.sample(fraction=1, shuffle=True, seed=1), method=Method.SMOOTHING, steps=1
    )
    assert found.equals(shuffled)
    assert ["a", "b", "c"] == found["series"].to_list()
    alone = forecast(series([9.0, 3.0] * 10, "b"), method=Method.SMOOTHING, steps=1)
    assert alone["expected"][0] == pytest.approx(found["expected"][1])


def test_nothing_is_expected_below_zero() -> None:
    falling = forecast(series([float(20 - n) for n in range(20)]), method=Method.THETA, steps=30)
    assert 0.0 == falling["expected"].min()


def test_no_series_gives_no_forecast() -> None:
    assert forecast(series([]), method=Method.THETA, steps=2).is_empty()
