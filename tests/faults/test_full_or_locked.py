"""A database that is full or locked, before or amid the work: told, nothing lost or twice."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from prebill.core.errors import StorageError
from prebill.lake import Lake
from prebill.store.engine import Store
from tests.faults.commands import bill, prebill
from tests.workflows import world
from tests.workflows.ingest_company import company, facts, run, write


def test_full_disk_stops_an_import_and_the_next_one_is_complete(
    sqlite_store: Store, home: Path, tmp_path: Path
) -> None:
    database = Path(str(sqlite_store.url.database))
    sqlite_store.close()
    shutil.copy(database, home / "prebill.db")
    rows = company()
    rows["customers"] += [
        {"customer_id": f"x{n}", "name": "n" * 200, "country": "DE"} for n in range(5_000)
    ]
    folder = write(tmp_path / "in", rows)
    room = (home / "prebill.db").stat().st_size // 1024 + 100
    failed = prebill(home, "import", str(folder), file_blocks=room)
    assert failed.returncode == 3, failed.stderr
    assert "code: storage" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert prebill(home, "import", str(folder), "--as-of", "2026-11-02").returncode == 0
    with Store(f"sqlite:///{home}/prebill.db") as store, store.read() as tx:
        assert tx.scalar("SELECT count(*) FROM customers") == 5_002
    assert facts(store, Lake(home / "lake"), "usage_events").height == 2


def test_locked_database_stops_an_import_and_the_next_one_is_complete(
    sqlite_url: str, lake: Lake, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in", company())
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    with Store(sqlite_url, busy_timeout_ms=20) as store:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another process holds the database: try again"):
            run(store, lake, folder)
        holder.execute("ROLLBACK")
        holder.close()
        assert run(store, lake, folder).is_clean
        assert facts(store, lake, "usage_events").height == 2


def test_full_disk_in_a_run_is_told_and_the_repeat_completes_it(
    sqlite_url: str, home: Path
) -> None:
    opened = world.install(sqlite_url, home)
    failed = bill(opened, file_blocks=195)  # SQLite's log outgrows it in the middle of the run
    assert (failed.returncode, "the disk is full" in failed.stderr) == (3, True), failed.stderr
    assert bill(opened).returncode == 0
    (states,) = world.rows(opened, "SELECT state, count(*) AS drafts FROM drafts GROUP BY state")
    assert states == {"state": "issued", "drafts": 12}
