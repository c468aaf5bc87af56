"""A lake that is absent, incomplete or damaged: told by table and file, and nothing is billed."""

from datetime import timedelta
from pathlib import Path

import pytest

from prebill.core.errors import StorageError
from prebill.lake import Lake
from prebill.store.engine import Store
from prebill.store.runs import run_summary
from tests.faults.commands import away, bill, broken
from tests.workflows import world
from tests.workflows.ingest_company import bring, event, facts


@pytest.mark.parametrize("lost", ["lake", "lake/usage_events"])
def test_absent_lake_bills_nothing_and_the_run_is_complete_once_it_is_back(
    database_url: str, home: Path, lost: str
) -> None:
    opened = world.install(database_url, home)
    with (
        away(home / lost),
        pytest.raises(StorageError, match="mount or restore the folder and repeat"),
    ):
        world.run(opened)
    assert world.rows(opened, "SELECT run_id FROM runs") == []
    summary = run_summary(opened.store, world.run(opened))
    assert summary.states == {"issued": 12}
    assert summary.counts["metered_events"] == 600


def test_lost_file_of_the_lake_bills_nothing(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home)
    file = next((home / "lake" / "usage_events").rglob("*.parquet"))
    with away(file), pytest.raises(StorageError, match="lacks 1 of 1 batches of usage_events"):
        world.run(opened)
    assert run_summary(opened.store, world.run(opened)).states == {"issued": 12}


@pytest.mark.parametrize("table", ["usage_events", "payments"])
@pytest.mark.parametrize("kind", ["cut off", "garbled", "one bit"])
def test_damaged_file_of_the_lake_bills_nothing_and_the_run_is_complete_once_it_is_back(
    database_url: str, home: Path, table: str, kind: str
) -> None:
    opened = world.install(database_url, home)
    path = next((home / "lake" / table).rglob("*.parquet"))
    whole = path.read_bytes()
    middle = len(whole) // 2
    content = {
        "cut off": whole[:middle],
        "garbled": whole[:4] + bytes(255 - byte for byte in whole[4:]),
        "one bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    }[kind]
    with broken(path, content):
        failed = bill(opened)
    assert (failed.returncode, failed.stdout) == (3, "")
    assert f"the file {path} of the lake table {table} " in failed.stderr
    assert "restore it from your backup" in failed.stderr
    assert "code: storage" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "panicked" not in failed.stderr
    assert world.rows(opened, "SELECT run_id FROM runs") == []
    assert bill(opened).returncode == 0
    assert world.rows(opened, "SELECT state, count(*) AS drafts FROM drafts GROUP BY state") == [
        {"state": "issued", "drafts": 12}
    ]


def test_damage_in_the_middle_of_a_run_is_told_and_the_repeat_completes_it(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan found the file whole; a shard meets it damaged."""
    opened = world.install(database_url, home)
    path = next((home / "lake" / "payments").rglob("*.parquet"))
    whole = path.read_bytes()
    garbled = whole[:4] + bytes(255 - byte for byte in whole[4:])
    monkeypatch.setattr(Lake, "require_intact", lambda *_: path.write_bytes(garbled))
    failed = run_summary(opened.store, world.run(opened))
    monkeypatch.undo()
    assert failed.status == "failed"
    assert f"the file {path} of the lake table payments is damaged" in str(failed.error)
    path.write_bytes(whole)
    later = run_summary(
        opened.store, world.run(opened, as_of_at=world.FINAL_AT + timedelta(hours=1))
    )
    assert (later.status, later.states) == ("finished", {"issued": 12})


def test_damaged_log_of_the_lake_bills_nothing(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home)
    path = home / "lake" / "usage_events" / "_delta_log" / f"{0:020}.json"
    with (
        broken(path, path.read_bytes()[:400]),
        pytest.raises(StorageError, match=r"lake table usage_events is damaged .*backup"),
    ):
        world.run(opened)
    assert world.rows(opened, "SELECT run_id FROM runs") == []
    assert run_summary(opened.store, world.run(opened)).states == {"issued": 12}


def test_damaged_file_of_the_lake_stops_an_import(store: Store, lake: Lake, tmp_path: Path) -> None:
    bring(store, lake, tmp_path / "in")
    path = next((lake.folder / "usage_events").rglob("*.parquet"))
    whole = path.read_bytes()
    with (
        broken(path, whole[:4] + bytes(255 - byte for byte in whole[4:])),
        pytest.raises(StorageError, match="lake table usage_events is damaged"),
    ):
        bring(store, lake, tmp_path / "in")
    again = bring(store, lake, tmp_path / "in", usage_events=[event("e1"), event("e3")])
    assert again.is_clean
    assert facts(store, lake, "usage_events").height == 3


def test_absent_lake_stops_an_import(store: Store, lake: Lake, tmp_path: Path) -> None:
    bring(store, lake, tmp_path / "in")
    with away(lake.folder), pytest.raises(StorageError, match="mount or restore"):
        bring(store, lake, tmp_path / "in")
    assert bring(store, lake, tmp_path / "in").is_clean
    assert facts(store, lake, "usage_events").height == 2
