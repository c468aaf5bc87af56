"""A database that is full or locked, before or amid the work: told, nothing lost or twice."""

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import psycopg
import pytest

from prebill.bootstrap import Installation
from prebill.core.errors import StorageError
from prebill.lake import Lake
from prebill.store.engine import Store
from tests.faults.commands import bill, finish, prebill, require_books_in_order, start
from tests.servers import (
    MISSING_POSTGRESQL,
    Postgresql,
    postgresql_binaries,
    running_postgresql,
)
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


@pytest.fixture
def small_postgresql() -> Iterator[Postgresql]:
    """A server of its own, whose files a test may limit. Its log comes in files of 1 MiB."""
    binaries = postgresql_binaries()
    if binaries is None:
        pytest.skip(MISSING_POSTGRESQL)
    with running_postgresql(binaries, initdb_options=["--wal-segsize=1"]) as server:
        yield server


def fill_up(server: Postgresql, store: Store, free_bytes: int) -> None:
    """Leave room for a few rows in the table of state changes: its file may not grow further."""
    padding = pl.DataFrame({"object_id": [f"{n:0500}" for n in range(3_000)]}).with_columns(
        *(pl.lit("x").alias(name) for name in ("object_type", "to_state", "entered_by")),
        entered_at=pl.lit("2026"),
    )
    with store.transaction() as tx:
        tx.insert_frame("state_changes", padding)
        tx.execute("DELETE FROM state_changes WHERE object_type = 'x'")
    with store.read() as tx:
        size = tx.scalar("SELECT pg_relation_size('state_changes')")
    assert size > 1024 * 1024, "the server's log must still fit"
    limit(server, size + free_bytes)


def limit(server: Postgresql, file_bytes: int | str) -> None:
    """Limit the files of the server: PostgreSQL answers as on a full disk."""
    command = ["prlimit", f"--pid={server.pid}", f"--fsize={file_bytes}:"]
    owner = server.data.stat()  # root may not limit another user's process everywhere
    subprocess.run(command, check=True, user=owner.st_uid, group=owner.st_gid)


def test_full_postgresql_in_a_run_is_told_and_the_repeat_completes_it(
    small_postgresql: Postgresql, home: Path
) -> None:
    small_postgresql.execute("CREATE DATABASE prebill")
    url = small_postgresql.url("prebill")
    with Store(url) as store:
        store.create_all()
    opened = world.install(url, home, accounts=300, events=600)
    fill_up(small_postgresql, opened.store, free_bytes=2 * 8192)
    failed = bill(opened)
    assert (failed.returncode, "the disk is full" in failed.stderr) == (3, True), failed.stderr
    assert "Traceback" not in failed.stderr
    (left,) = world.rows(opened, "SELECT status, (SELECT count(*) FROM drafts) AS drafts FROM runs")
    assert left == {"status": "running", "drafts": 0}
    limit(small_postgresql, "unlimited")
    opened.store.close()  # a server process keeps the limit that it was born with
    repeated = bill(opened)
    assert repeated.returncode == 0, repeated.stderr
    assert len(world.rows(opened, "SELECT run_id FROM runs")) == 1
    require_books_in_order(opened, 300)


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold what a shard writes next, as another process does."""
    if url.startswith("sqlite"):
        holder = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
    else:
        holder = psycopg.connect(url.replace("+psycopg", ""))
        holder.execute("LOCK TABLE drafts IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        holder.rollback()
        holder.close()


def paused(opened: Installation) -> "subprocess.Popen[str]":
    """A run that waits for a line after it has stored a part of the first shard."""
    process = start(opened, "pause", 2)
    assert process.stdout is not None
    assert process.stdout.readline() == "paused\n", finish(process)
    return process


def go_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_lock_in_the_middle_of_a_shard_is_told_and_the_repeat_completes_the_run(
    database_url: str, home: Path
) -> None:
    opened = world.install(database_url, home, accounts=12, events=120)
    process = paused(opened)
    with locked(database_url):
        go_on(process)
        code, told = finish(process)
    assert (code, "another process holds" in told, "try again" in told) == (3, True, True), told
    assert "Traceback" not in told
    (run,) = world.rows(opened, "SELECT status FROM runs")
    assert run["status"] == "running"
    code, told = finish(start(opened, "-", 0))
    assert (code, told.strip().splitlines()[-1:]) == (0, ["finished"]), told
    require_books_in_order(opened, 12)


def test_short_lock_in_the_middle_of_a_shard_is_waited_for(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home, accounts=12, events=120)
    process = paused(opened)
    with locked(database_url):
        go_on(process)
        time.sleep(0.7)  # longer than SQLite waits at once, shorter than patience
    code, told = finish(process)
    assert (code, told.strip().splitlines()[-1:]) == (0, ["finished"]), told
    require_books_in_order(opened, 12)
