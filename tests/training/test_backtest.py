"""`python -m training backtest` on a folder and on an installation."""

from pathlib import Path

import polars as pl
import pytest

from prebill.core.errors import InputError
from prebill.settings import Settings
from tests.core.scoring.payers import payers
from tests.workflows import world
from training.__main__ import main
from training.backtest import months_of, past_of_home
from training.dataset import from_folder, from_home


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    given = payers(customers=60)
    given.invoices.write_parquet(tmp_path / "invoices.parquet")
    given.payments.write_parquet(tmp_path / "payments.parquet")
    return tmp_path


def test_table_has_the_latest_whole_months(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "judged.parquet"
    assert main(["backtest", "--data", str(folder), "--months", "2", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| month | drafts | release | review | hold |")
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| 2025-08", "| 2025-09"]
    judged = pl.read_parquet(out)
    assert set(judged["month"]) == {"2025-08", "2025-09"}
    # No credit note was handed in: nothing is known of errors, rather than none being wrong.
    assert judged["is_error"].null_count() == judged.height


def test_first_month_has_nothing_before_it(folder: Path) -> None:
    dataset = from_folder(folder)
    months = months_of(dataset, 99)
    assert months[0].start_on > dataset.invoices["issued_on"].min()
    with pytest.raises(InputError, match="no whole month"):
        months_of(dataset.before(months[0].start_on), 3)


def test_installation_brings_customers_usage_and_own_documents(
    sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch, tracked: Settings
) -> None:
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    opened = world.install(sqlite_url, home, accounts=30, events=600)
    world.run(opened, shard_customers=50)
    dataset = from_home(home)
    past = past_of_home(dataset, home)
    assert past.inputs.customers.height == 30
    assert not past.inputs.usage_days.is_empty()
    with opened.store.read() as tx:
        issued = {row["document_id"] for row in tx.rows("SELECT document_id FROM documents")}
    assert issued
    assert issued <= set(past.inputs.history.invoices["invoice_id"])
    assert past.verdicts.is_empty()
    assert main(["backtest", "--home", str(home), "--months", "1"]) == 0
