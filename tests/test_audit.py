"""The audit log: what the chain proves, on both engines."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from prebill import audit
from prebill.core.errors import ConflictError, StorageError
from prebill.store.engine import Store


def fill(store: Store, numbers: range, stream: audit.Stream = audit.Stream.BOOKS) -> None:
    names = [f"draft {number}" for number in numbers]
    frame = pl.DataFrame({"object_id": names}).select(
        pl.lit("ada").alias("actor"),
        pl.lit("draft.released").alias("action"),
        "object_id",
        pl.lit('{"from":"draft"}').alias("detail"),
    )
    with store.transaction() as tx:
        assert audit.record_many(tx, frame, stream=stream) == len(names)


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    return tmp_path / "heads.log"


@pytest.fixture
def sealed(store: Store, heads: Path) -> Store:
    """Two seals of five entries each in one stream, one seal in another, and an open tail."""
    for numbers in (range(5), range(5, 10)):
        fill(store, numbers)
        assert audit.seal(store, heads) == 5
    fill(store, range(3), audit.Stream.ACCESS)
    audit.seal(store, heads)
    with store.transaction() as tx:
        audit.record(tx, "ada", "case.rejected", "case 1", {"reason": "stale price"})
    return store


def codes(store: Store, heads: Path | None) -> set[str]:
    return {finding.code for finding in audit.verify(store, heads).findings}


def change(store: Store, statement: str) -> None:
    with store.transaction() as tx:
        assert tx.execute(statement) >= 1


def test_untouched_log_is_intact_and_tells_its_tail(sealed: Store, heads: Path) -> None:
    seen = audit.verify(sealed, heads)
    assert seen.is_intact
    assert (seen.sealed, seen.unsealed, seen.seals) == (13, 1, 3)


def test_sealing_again_covers_nothing_twice(sealed: Store, heads: Path) -> None:
    assert audit.seal(sealed, heads) == 1
    assert audit.seal(sealed, heads) == 0
    assert audit.verify(sealed, heads).is_intact


def test_entry_of_a_failed_transaction_is_not_there(sealed: Store, heads: Path) -> None:
    with pytest.raises(ZeroDivisionError), sealed.transaction() as tx:
        audit.record(tx, "ada", str(1 / 0), "case 2")
    assert audit.verify(sealed, heads).unsealed == 1


@pytest.mark.parametrize("column", ["actor", "action", "object_id", "detail", "entered_at"])
def test_altered_entry_is_found(sealed: Store, heads: Path, column: str) -> None:
    change(sealed, f"UPDATE audit_entries SET {column} = 'mallory' WHERE seq = 3")
    found = audit.verify(sealed, heads).findings
    assert [(finding.code, finding.seq) for finding in found] == [("entry_altered", 3)]


def test_altered_entry_in_the_open_tail_is_found(sealed: Store, heads: Path) -> None:
    change(sealed, "UPDATE audit_entries SET actor = 'mallory' WHERE action = 'case.rejected'")
    assert codes(sealed, heads) == {"entry_altered"}


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DELETE FROM audit_entries WHERE seq = 3", "entries_deleted"),
        ("DELETE FROM audit_entries WHERE seq <= 5", "entries_deleted"),
        (
            (
                "INSERT INTO audit_entries (seq, stream, entered_at, actor, action, object_id,"
                " detail, hash) SELECT -1, stream, entered_at, actor, action, object_id, detail,"
                " hash FROM audit_entries WHERE seq = 3"
            ),
            "entries_inserted",
        ),
        ("UPDATE audit_entries SET seq = seq - 100 WHERE seq = 3", "root_differs"),
        (
            (
                "UPDATE audit_entries SET object_id = 'draft 1', hash = (SELECT hash FROM"
                " audit_entries WHERE seq = 2) WHERE seq = 3"
            ),
            "root_differs",
        ),
        ("DELETE FROM audit_seals WHERE seal_id = 1", "chain_broken"),
        ("UPDATE audit_seals SET merkle_root = head WHERE seal_id = 2", "chain_broken"),
        ("UPDATE audit_seals SET sealed_at = '2020' WHERE seal_id = 2", "chain_broken"),
    ],
)
def test_tampering_is_found_without_the_heads(sealed: Store, statement: str, code: str) -> None:
    change(sealed, statement)
    assert code in codes(sealed, None)


def test_truncated_chain_is_found_by_the_exported_heads(sealed: Store, heads: Path) -> None:
    change(sealed, "DELETE FROM audit_entries WHERE stream = 'books' AND seq > 5")
    change(sealed, "DELETE FROM audit_seals WHERE stream = 'books' AND seal_id = 2")
    assert codes(sealed, None) == set()
    assert codes(sealed, heads) == {"truncated"}


def test_wholly_rewritten_chain_is_found_by_the_exported_heads(sealed: Store, heads: Path) -> None:
    change(sealed, "DELETE FROM audit_seals")
    change(sealed, "DELETE FROM audit_entries WHERE seq = 3")
    audit.seal(sealed, heads.with_name("other.log"))
    assert codes(sealed, None) == set()
    assert "rewritten" in codes(sealed, heads)


def test_wholly_emptied_log_is_found_by_the_exported_heads(sealed: Store, heads: Path) -> None:
    change(sealed, "DELETE FROM audit_seals")
    change(sealed, "DELETE FROM audit_entries")
    assert codes(sealed, heads) == {"truncated"}


def test_head_cut_short_by_a_crash_is_written_again(sealed: Store, heads: Path) -> None:
    whole = heads.read_text()
    heads.write_text(whole[:-20])
    audit.seal(sealed, heads)
    lines = [line for line in heads.read_text().splitlines() if len(line.split()[-1]) == 64]
    assert len(lines) == 4
    assert audit.verify(sealed, heads).is_intact


def test_long_file_of_heads_is_continued(
    sealed: Store, heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_TAIL_BYTES", 300)  # two lines: one stream stands before them
    for number in range(20, 24):
        fill(sealed, range(number, number + 1))
        audit.seal(sealed, heads)
    assert len(heads.read_text().splitlines()) == 7
    assert audit.verify(sealed, heads).is_intact


def test_many_entries_go_under_several_seals(
    sealed: Store, heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SEAL_ENTRIES", 4)
    fill(sealed, range(20, 30))
    assert audit.seal(sealed, heads) == 11
    seen = audit.verify(sealed, heads)
    assert (seen.is_intact, seen.seals) == (True, 6)


def test_seal_stands_where_the_heads_can_not_be_written(sealed: Store, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "heads.log").mkdir(parents=True)
    with pytest.raises(StorageError):
        audit.seal(sealed, folder / "heads.log")
    assert audit.verify(sealed).unsealed == 0


def test_entry_can_not_hide_in_an_unknown_stream(sealed: Store) -> None:
    with pytest.raises(ConflictError, match="stream_is_known"):
        change(sealed, "UPDATE audit_entries SET stream = 'hidden' WHERE seq = 3")


def test_merkle_root_tells_order_number_and_shape() -> None:
    roots = [
        audit.merkle_root([1, 2, 3], ["a", "b", "c"]),
        audit.merkle_root([1, 2, 3], ["b", "a", "c"]),
        audit.merkle_root([1, 2, 4], ["a", "b", "c"]),
        audit.merkle_root([1, 2], ["a", "b"]),
        audit.merkle_root([], []),
    ]
    assert len(set(roots)) == len(roots)


def test_seal_waits_for_entries_that_commit_late(postgresql_url: str, heads: Path) -> None:
    # A number is given at the insert: the smaller one may be committed last.
    with Store(postgresql_url) as store, ThreadPoolExecutor(1) as sealer:
        with store.transaction() as slow:
            audit.record(slow, "ada", "draft.released", "draft 1")
            fill(store, range(2, 3))
            covered = sealer.submit(audit.seal, store, heads)
            with pytest.raises(TimeoutError):
                covered.result(timeout=0.2)
        assert covered.result(timeout=20) == 2
        seen = audit.verify(store, heads)
    assert seen.is_intact
    assert seen.unsealed == 0
