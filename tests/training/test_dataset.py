"""Training data from an installation: what the database names, nothing else."""

from datetime import timedelta

import polars as pl
import pytest

from prebill.core.errors import InputError
from prebill.core.schemas import Frame
from prebill.core.schemas.inbound import INVOICES, PAYMENTS
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.lake_index import record_batch
from tests.core.scoring.payers import payers
from training.dataset import from_home


@pytest.fixture
def installed(settings: Settings, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    return Settings.load()


def imported(settings: Settings, frame: Frame, rows: pl.DataFrame, *, is_named: bool) -> None:
    batch = Lake(settings.lake_dir).append(frame.name, rows, f"{frame.name}-{is_named}")
    if is_named:
        with Store.open(settings.database_url) as store, store.transaction() as tx:
            record_batch(tx, batch)


def test_named_batches_are_read_and_orphans_are_not(installed: Settings) -> None:
    given = payers(customers=4)
    known = given.invoices.filter(pl.col("customer_id") < "C002")
    orphan = given.invoices.filter(pl.col("customer_id") >= "C002")
    imported(installed, INVOICES, known, is_named=True)
    imported(installed, INVOICES, orphan, is_named=False)
    imported(installed, PAYMENTS, given.payments, is_named=True)

    dataset = from_home(installed.home)
    assert dataset.invoices["customer_id"].unique().sort().to_list() == ["C000", "C001"]
    latest = max(dataset.payments["paid_on"].max(), dataset.invoices["issued_on"].max())
    assert dataset.as_of_on == latest + timedelta(days=1)
    shuffled = type(dataset)(
        dataset.source,
        dataset.invoices.reverse(),
        dataset.lines,
        dataset.payments,
        dataset.credit_notes,
    )
    assert shuffled.fingerprint == dataset.fingerprint


def test_installation_without_invoices_says_what_to_do(installed: Settings) -> None:
    with pytest.raises(InputError, match="prebill import"):
        from_home(installed.home)
