"""The lake: batches go in once, only named ones are read, orphans go, damage is seen."""

import errno
import multiprocessing
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from prebill.core.errors import ConflictError, StorageError
from prebill.core.schemas.inbound import PAYMENTS, USAGE_EVENTS
from prebill.lake import TABLES, Lake
from prebill.store import lake_index
from prebill.store.engine import Store


def payments(*ids: str) -> pl.DataFrame:
    return PAYMENTS.conform(
        pl.DataFrame({"payment_id": ids}).with_columns(
            invoice_id=pl.lit("i"),
            paid_on=pl.lit(date(2026, 10, 1)),
            amount_minor=pl.lit(5, pl.Int64),
        )
    )


def events(*occurred_at: datetime) -> pl.DataFrame:
    return USAGE_EVENTS.conform(
        pl.DataFrame({"occurred_at": occurred_at}).select(
            pl.lit("app").alias("source"),
            pl.int_range(pl.len()).cast(pl.String).alias("id"),
            pl.lit("c").alias("customer_id"),
            pl.lit("api").alias("meter"),
            pl.col("occurred_at").cast(pl.Datetime("us", "UTC")),
            pl.lit("1.5").cast(pl.Decimal(38, 12)).alias("quantity"),
        )
    )


def ids(lake: Lake, *batches: str) -> list[str]:
    return sorted(lake.scan("payments", batches).collect()["payment_id"].to_list())


def test_only_named_batches_are_read(lake: Lake) -> None:
    lake.append("payments", payments("a", "b"), "one")
    lake.append("payments", payments("c"), "two")
    assert ids(lake, "one") == ["a", "b"]
    assert ids(lake, "one", "two") == ["a", "b", "c"]
    assert ids(lake, "three") == []
    assert ids(lake) == []
    scanned = lake.scan("payments", ["one"]).collect()
    assert scanned.schema == PAYMENTS.schema


def test_same_batch_goes_in_once(lake: Lake) -> None:
    first = lake.append("payments", payments("a", "b"), "import:1/it's")
    second = Lake(lake.folder).append("payments", payments("a", "b"), "import:1/it's")
    assert first == second
    assert first.rows == 2
    assert ids(lake, "import:1/it's") == ["a", "b"]


def test_id_used_for_other_content_is_a_conflict(lake: Lake) -> None:
    lake.append("payments", payments("a"), "one")
    with pytest.raises(ConflictError, match="other content"):
        lake.append("payments", payments("a", "b"), "one")


def test_empty_batch_and_absent_table_are_ordinary(lake: Lake) -> None:
    batch = lake.append("payments", payments(), "none")
    assert (batch.rows, batch.version) == (0, -1)
    assert lake.damages([batch]) == {}
    assert lake.versions() == dict.fromkeys(TABLES, -1)
    assert lake.scan("payments", ["none"]).collect().equals(PAYMENTS.empty())


def test_frame_of_wrong_types_is_refused(lake: Lake) -> None:
    wrong = payments("a").with_columns(amount_minor=pl.lit(1.5))
    with pytest.raises(StorageError, match="amount_minor"):
        lake.append("payments", wrong, "one")


def test_further_columns_are_kept_and_may_differ(lake: Lake) -> None:
    lake.append("feature_rows", pl.DataFrame({"invoice_id": ["a"], "x": [1.0]}), "one")
    lake.append("feature_rows", pl.DataFrame({"invoice_id": ["b"], "y": [2.0]}), "two")
    rows = lake.scan("feature_rows", ["one", "two"]).collect().sort("invoice_id")
    assert rows.to_dicts() == [
        {"invoice_id": "a", "x": 1.0, "y": None},
        {"invoice_id": "b", "x": None, "y": 2.0},
    ]


def test_period_is_cut_at_its_very_ends(lake: Lake) -> None:
    start_at, end_at = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
    inside = [start_at, datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=UTC)]
    outside = [datetime(2026, 9, 30, 23, 59, 59, 999_999, tzinfo=UTC), end_at]
    batch = lake.append("usage_events", events(*inside, *outside), "one")
    found = lake.scan_between("usage_events", ["one"], start_at, end_at).collect()
    assert sorted(found["occurred_at"].to_list()) == inside
    assert found.schema == USAGE_EVENTS.schema
    folders = [path.name for path in (lake.folder / "usage_events").glob("*/occurred_month=*")]
    assert len(folders) == 3
    assert batch.rows == 4


@pytest.mark.parametrize(
    ("start_at", "end_at"),
    [
        (datetime(2026, 1, 31, 22, tzinfo=UTC), datetime(2026, 2, 28, 22, tzinfo=UTC)),
        (datetime(2026, 1, 31, 23, tzinfo=UTC), datetime(2026, 2, 1, 1, tzinfo=UTC)),
    ],
)
def test_span_over_two_months_opens_both(lake: Lake, start_at: datetime, end_at: datetime) -> None:
    lake.append("usage_events", events(start_at, datetime(2026, 2, 1, tzinfo=UTC)), "one")
    assert lake.scan_between("usage_events", ["one"], start_at, end_at).collect().height == 2


def test_orphans_are_swept_and_named_batches_stay(lake: Lake) -> None:
    kept = lake.append("payments", payments("a"), "named")
    lake.append("payments", payments("b"), "orphan'1")
    assert lake.sweep("payments", ["named"]) == ["orphan'1"]
    assert lake.sweep("payments", ["named"]) == []
    assert lake.batch_ids("payments") == {"named"}
    assert ids(lake, "named", "orphan'1") == ["a"]
    assert lake.damages([kept]) == {}


def test_young_orphans_are_spared(lake: Lake) -> None:
    lake.append("payments", payments("a"), "young")
    began_at = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert lake.sweep("payments", [], written_before=began_at - hour) == []
    assert lake.sweep("payments", [], written_before=began_at + hour) == ["young"]


def test_swept_batch_may_come_again(lake: Lake) -> None:
    lake.append("payments", payments("b"), "orphan")
    lake.sweep("payments", [])
    lake.append("payments", payments("b", "c"), "orphan")
    assert ids(lake, "orphan") == ["b", "c"]


def test_altered_and_lost_files_are_found(lake: Lake) -> None:
    altered = lake.append("payments", payments("a"), "altered:1")
    lost = lake.append("payments", payments("b"), "lost")
    whole = lake.append("payments", payments("c"), "whole")
    for path in (lake.folder / "payments").glob("*/*.parquet"):
        if "altered" in path.parent.name:
            content = bytearray(path.read_bytes())
            content[20] ^= 1
            path.write_bytes(content)
        elif "lost" in path.parent.name:
            path.unlink()
    assert list(lake.damages([altered, lost, whole])) == [altered, lost]


def test_absent_and_unwritable_lake_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lake = Lake(tmp_path / "file")
    with pytest.raises(StorageError, match="lake"):
        lake.append("payments", payments("a"), "one")


def only_file(lake: Lake, batch_id: str = "one") -> Path:
    (path,) = (lake.folder / "payments" / f"batch_id={batch_id}").glob("*.parquet")
    return path


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def garbled(content: bytes) -> bytes:
    return content[:4] + bytes(255 - byte for byte in content[4:])


def emptied(_: bytes) -> bytes:
    return b""


def one_bit_flipped(content: bytes) -> bytes:
    place = content.index(b"p-0000")  # a value: other ids are read, and no error
    return content[:place] + b"q" + content[place + 1 :]


def numbered(count: int) -> pl.DataFrame:
    return payments(*(f"p-{number:04}" for number in range(count)))


@pytest.mark.parametrize("broken", [cut_off, emptied])
def test_file_of_another_size_is_named_before_it_is_read(
    lake: Lake, broken: Callable[[bytes], bytes]
) -> None:
    lake.append("payments", numbered(20), "one")
    path = only_file(lake)
    whole = path.read_bytes()
    path.write_bytes(broken(whole))
    with pytest.raises(StorageError, match=r"lake table payments is damaged: .*backup") as caught:
        lake.require({"payments": ["one"]})
    assert str(path) in str(caught.value)
    path.write_bytes(whole)
    lake.require({"payments": ["one"]})


def test_file_that_can_not_be_read_is_named_with_its_table(lake: Lake) -> None:
    lake.append("payments", numbered(20), "one")
    lake.append("payments", numbered(20), "two")
    path = only_file(lake, "two")
    path.write_bytes(garbled(path.read_bytes()))
    with pytest.raises(StorageError, match="prebill doctor") as caught, lake.reading():
        lake.scan("payments", ["one", "two"]).collect()
    assert f"the file {path} of the lake table payments is damaged" in str(caught.value)
    assert caught.value.facts["batch_id"] == "two"


def test_another_failure_while_reading_passes_unchanged(lake: Lake) -> None:
    lake.append("payments", numbered(20), "one")
    with pytest.raises(pl.exceptions.ColumnNotFoundError), lake.reading():
        lake.scan("payments", ["one"]).select("absent").collect()


@pytest.mark.parametrize("broken", [cut_off, emptied, garbled, one_bit_flipped])
def test_what_is_not_as_it_was_written_is_refused(
    lake: Lake, broken: Callable[[bytes], bytes]
) -> None:
    whole = lake.append("payments", numbered(20), "whole")
    batch = lake.append("payments", numbered(20), "one")
    path = only_file(lake)
    path.write_bytes(broken(path.read_bytes()))
    with pytest.raises(StorageError, match="lake table payments") as caught:
        lake.require_intact([whole, batch])
    assert str(path) in str(caught.value)
    lake.require_intact([whole])


@pytest.mark.parametrize("content", [b"{broken", b"", bytes(300), b'{"add":'])
@pytest.mark.parametrize("place", [0, -1])
def test_broken_log_is_a_clear_error(lake: Lake, content: bytes, place: int) -> None:
    lake.append("payments", payments("a"), "one")
    lake.append("payments", payments("b"), "two")
    path = sorted((lake.folder / "payments" / "_delta_log").glob("*.json"))[place]
    whole = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"lake table payments|batches of payments") as caught:
        lake.require({"payments": ["one", "two"]})
    assert "restore" in str(caught.value)
    assert "stack" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    path.write_bytes(whole)
    assert ids(lake, "one", "two") == ["a", "b"]


def test_full_disk_is_a_clear_error(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Lake, "_write", full)
    with pytest.raises(StorageError, match="disk is full"):
        lake.append("payments", payments("a"), "one")
    monkeypatch.undo()
    lake.append("payments", payments("a"), "one")
    assert ids(lake, "one") == ["a"]


def _append(folder: Path, batch_id: str) -> None:
    Lake(folder).append("payments", payments("a", "b"), batch_id)


def test_two_processes_add_a_batch_once(lake: Lake) -> None:
    context = multiprocessing.get_context("spawn")
    names = ["same", "same", "other"]
    writers = [context.Process(target=_append, args=(lake.folder, name)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert ids(lake, "same") == ["a", "b"]
    assert ids(lake, "other") == ["a", "b"]


def test_batch_counts_once_the_transaction_that_names_it_commits(store: Store, lake: Lake) -> None:
    batch = lake.append("payments", payments("a"), "one")
    with store.transaction() as tx:
        assert lake_index.named_batches(tx, "payments") == []
        assert lake_index.record_batch(tx, batch)
        assert not lake_index.record_batch(tx, batch)
    with store.read() as tx:
        assert lake_index.named_batches(tx, "payments") == ["one"]
        assert lake_index.is_named(tx, "payments", "one")
        assert not lake_index.is_named(tx, "payments", "two")
