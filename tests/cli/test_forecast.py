"""`prebill forecast` as a user types it."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from prebill.cli import app
from prebill.core.errors import InputError
from tests.workflows import world

DAY = ("--as-of", "2026-11-10")


def invoke(*words: str) -> str:
    done = CliRunner().invoke(app, ["forecast", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(autouse=True)
def installed(sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    yield world.install(sqlite_url, home)
    while world.OPENED:
        world.OPENED.pop().close()


def test_usage_says_what_each_expectation_rests_on(tmp_path: Path) -> None:
    out = tmp_path / "usage.csv"
    said = invoke("usage", "--period", "2026-12", *DAY, "--out", str(out))
    assert "usage in 2026-12, as known on the morning of 2026-11-10" in said
    rows = pl.read_csv(out)
    assert f"{rows.height} rows in {out}" in said
    one = rows["customer_id"][0]
    assert "too few for a model" in invoke("usage", "--customer", one, *DAY)


def test_cash_is_told_by_week_and_currency(tmp_path: Path) -> None:
    out = tmp_path / "cash.csv"
    said = invoke("cash", "--weeks", "4", *DAY, "--out", str(out))
    rows = pl.read_csv(out)
    assert 4 * rows["currency"].n_unique() == rows.height
    assert "2026-11-10" in said
    assert "2026-12-01" in said


def test_workload_before_the_first_month_says_so() -> None:
    assert "no month was billed yet" in invoke("workload")


def test_workload_after_a_month_says_hours(installed) -> None:
    world.run(installed)
    said = invoke("workload")
    assert "next cycle, from 1 before; median: too few cycles for a model" in said
    assert "minutes a case  6.0, as the policy states" in said


def test_a_wrong_day_is_refused() -> None:
    with pytest.raises(InputError, match="write it as 2026-11-05"):
        invoke("cash", "--as-of", "tomorrow")
