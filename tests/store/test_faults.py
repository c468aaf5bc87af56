"""A database that is absent, locked, full, damaged or of another version: clear, and lossless."""

from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy.pool import QueuePool

from prebill.core.errors import StorageError
from prebill.store.engine import Store
from tests.servers import Postgresql

WORKER = {"worker_id": "w", "started_at": "2026", "heartbeat_at": "2026"}


def count(store: Store, table: str = "workers") -> int:
    with store.read() as tx:
        found: int = tx.scalar(f"SELECT count(*) FROM {table}")
    return found


def set_revision(store: Store, revision: str) -> None:
    with store.transaction() as tx:
        tx.execute("UPDATE alembic_version SET version_num = :revision", {"revision": revision})


@pytest.mark.parametrize(
    "url",
    ["oracle://host/db", "sqlite://", "nonsense", "", "mysql://user:hush-hush@host/db"],
)
def test_wrong_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(StorageError, match="must be sqlite") as caught:
        Store(url)
    assert "hush" not in str(caught.value)


def test_absent_file_is_not_made_by_a_mistyped_path(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/typo.db")
    with pytest.raises(StorageError, match="prebill init"), store.transaction():
        pass
    with pytest.raises(StorageError, match="prebill init"), store.read():
        pass
    assert list(tmp_path.iterdir()) == []


def test_empty_database_asks_for_init(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(StorageError, match="no tables yet: run `prebill init`"):
        Store.open(f"sqlite:///{tmp_path}/empty.db")


def test_absent_postgresql_database_is_an_error(postgresql: Postgresql) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        Store.open(postgresql.url("absent"))


def test_unreachable_server_is_an_error_and_shows_no_password() -> None:
    with pytest.raises(StorageError, match="no server answers") as caught:
        Store.open("postgresql+psycopg://prebill:hush-hush@127.0.0.1:9/prebill")
    assert "hush" not in str(caught.value)


def test_older_and_newer_tables_are_refused(store: Store) -> None:
    store.check()
    set_revision(store, "0000")
    with pytest.raises(StorageError, match=r"older than .*run `prebill init`"):
        store.check()
    set_revision(store, "9999")
    with pytest.raises(StorageError, match=r"newer than .*install a newer Prebill"):
        store.check()


def test_locked_database_is_an_error_and_loses_nothing(sqlite_url: str) -> None:
    with Store(sqlite_url) as first, Store(sqlite_url, busy_timeout_ms=20) as second:
        with first.transaction() as tx:
            tx.insert("workers", WORKER)
            with (
                pytest.raises(StorageError, match="another process holds the database"),
                second.transaction(),
            ):
                pass
            assert count(second) == 0  # readers go on meanwhile
        with second.transaction() as tx:
            tx.insert("workers", WORKER | {"worker_id": "w2"})
        assert count(first) == 2


def test_full_disk_is_an_error_and_loses_nothing(sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        tx.insert("workers", WORKER)
    big = pl.DataFrame({"worker_id": [str(n) * 500 for n in range(5_000)]}).with_columns(
        started_at=pl.lit("2026"), heartbeat_at=pl.lit("2026")
    )

    def fill(most_pages: int) -> None:
        with sqlite_store.transaction() as tx:
            tx.execute(f"PRAGMA max_page_count = {most_pages}")
            tx.insert_frame("workers", big)

    with sqlite_store.read() as tx:
        pages = tx.scalar("PRAGMA page_count")
    with pytest.raises(StorageError, match="the disk is full"):
        fill(pages + 5)
    assert count(sqlite_store) == 1
    fill(1_000_000)
    assert count(sqlite_store) == 5_001


def test_exhausted_connections_are_an_error(sqlite_store: Store) -> None:
    pool = sqlite_store.engine.pool
    assert isinstance(pool, QueuePool)
    pool._timeout = 0.02  # instead of half a minute
    with ExitStack() as everybody:
        for _ in range(48):
            everybody.enter_context(sqlite_store.read())
        with pytest.raises(StorageError, match="connections are in use"), sqlite_store.read():
            pass


def test_damaged_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("this is no database " * 500)
    with pytest.raises(StorageError, match="no SQLite database"):
        Store.open(f"sqlite:///{tmp_path}/broken.db")


def test_missing_tables_ask_for_init(store: Store) -> None:
    with pytest.raises(StorageError, match="prebill init"), store.read() as tx:
        tx.rows("SELECT * FROM absent")


def test_place_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't be made"):
        Store(f"sqlite:///{tmp_path}/file/prebill.db").create_all()


def test_sqlite_is_durable_and_checks_references(sqlite_store: Store) -> None:
    with sqlite_store.read() as tx:
        found = {
            name: tx.scalar(f"PRAGMA {name}")
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    # synchronous 2 is FULL: every commit waits for the disk.
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    assert found == expected
