"""The store on SQLite and PostgreSQL: commit, roll back, frames in and out, faults."""

import ast
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from prebill.core.errors import ConflictError, NotFoundError, StorageError
from prebill.core.money import DECIMAL
from prebill.store.engine import Store, Tx

RATES = pl.DataFrame(
    {
        "base_currency": ["EUR", "EUR"],
        "quote_currency": ["USD", 'J"P,Y'],
        "rate_on": [date(2026, 10, 1), date(2026, 10, 2)],
        "rate": pl.Series([Decimal("1.0850"), Decimal("100")], dtype=DECIMAL),
        "source": ["", "ECB\nline two"],
        "import_id": [None, "import 1"],
    }
)


def rates(store: Store) -> pl.DataFrame:
    with store.read() as tx:
        return tx.table_frame("exchange_rates", "ORDER BY rate_on")


def many(rows: int) -> pl.DataFrame:
    number = pl.int_range(0, rows, eager=True)
    return pl.DataFrame({"number": number}).select(
        pl.format("m{}", pl.col("number").cast(pl.String).str.zfill(6)).alias("meter"),
        pl.lit("").alias("name"),
        pl.lit("sum").alias("aggregation"),
        pl.when(number % 2 == 0).then(pl.lit("a,b")).otherwise(pl.lit('"')).alias("unit"),
        number.cast(DECIMAL).alias("max_quantity"),
    )


def test_frame_returns_as_it_went_in(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.insert_frame("exchange_rates", RATES) == 2
    assert rates(store).equals(RATES)


@pytest.mark.parametrize("rows", [3, 500])  # 500: COPY on PostgreSQL
def test_large_frame_keeps_empty_text_quotes_and_nulls(store: Store, rows: int) -> None:
    with store.transaction() as tx:
        assert tx.insert_frame("meters", many(rows)) == rows
    with store.read() as tx:
        found = tx.table_frame("meters", "ORDER BY meter")
    assert found.drop("import_id").equals(many(rows))
    assert found["import_id"].null_count() == rows


@pytest.mark.parametrize("rows", [3, 500])
def test_conflicts_are_raised_ignored_or_replaced(store: Store, rows: int) -> None:
    with store.transaction() as tx:
        tx.insert_frame("meters", many(rows))
    with pytest.raises(ConflictError), store.transaction() as tx:
        tx.insert_frame("meters", many(rows))
    changed = many(rows + 1).with_columns(name=pl.lit("new"))
    with store.transaction() as tx:
        assert tx.insert_frame("meters", changed, on_conflict="ignore") == 1
        assert tx.scalar("SELECT count(*) FROM meters WHERE name = 'new'") == 1
        assert tx.insert_frame("meters", changed, on_conflict="replace") == rows + 1
        assert tx.scalar("SELECT count(*) FROM meters WHERE name = 'new'") == rows + 1


def test_frames_with_other_columns_follow_in_one_transaction(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.insert_frame("meters", many(100), on_conflict="ignore") == 100
        known = many(200).with_columns(import_id=pl.lit("i"))
        assert tx.insert_frame("meters", known, on_conflict="ignore") == 100
        assert tx.insert_frame("meters", many(150), on_conflict="replace") == 150


def test_failed_block_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(ConflictError), store.transaction() as tx:
        assert [tx.insert_frame("exchange_rates", RATES) for _ in range(2)]
    assert rates(store).is_empty()


def test_reading_block_can_not_write(store: Store) -> None:
    with pytest.raises(StorageError), store.read() as tx:
        tx.insert_frame("exchange_rates", RATES)
    with store.transaction() as tx:  # the same connection writes again afterwards
        tx.insert_frame("exchange_rates", RATES)


def test_reader_sees_one_moment(store: Store) -> None:
    with store.read() as reading:
        assert reading.scalar("SELECT count(*) FROM exchange_rates") == 0
        with store.transaction() as writing:
            writing.insert_frame("exchange_rates", RATES)
        assert reading.scalar("SELECT count(*) FROM exchange_rates") == 0
    assert rates(store).height == 2


def test_single_rows_are_encoded_like_frames(store: Store) -> None:
    began_at = datetime(2026, 10, 1, 12, tzinfo=UTC)
    row = {"worker_id": "w1", "started_at": began_at, "heartbeat_at": began_at}
    with store.transaction() as tx:
        assert tx.insert("workers", row) == 1
        assert tx.insert("workers", row, on_conflict="ignore") == 0
        later_at = began_at.replace(hour=13)
        assert tx.update("workers", {"heartbeat_at": later_at}, where={"worker_id": "w1"}) == 1
    with store.read() as tx:
        found = tx.get("workers", worker_id="w1")
        assert found["heartbeat_at"] == "2026-10-01T13:00:00.000000Z"
        with pytest.raises(NotFoundError):
            tx.get("workers", worker_id="w2")
        statement = "SELECT started_at FROM workers WHERE started_at = :at"
        frame = tx.frame(statement, {"started_at": pl.Datetime("us", "UTC")}, {"at": began_at})
    assert frame["started_at"].to_list() == [began_at]


def test_empty_result_has_the_types(store: Store) -> None:
    assert rates(store).schema == RATES.schema


def test_work_inside_a_foreign_transaction_is_committed_by_its_owner(store: Store) -> None:
    with store.engine.connect() as connection, connection.begin() as transaction:
        Tx.inside(connection).insert_frame("exchange_rates", RATES)
        transaction.rollback()
    assert rates(store).is_empty()


def test_broken_rule_of_the_database_is_a_conflict(store: Store) -> None:
    row = {"quarantine_id": "q", "import_id": "i", "contract": "c", "file": "f", "line": 1}
    row |= {"rule": "r", "row_json": "{}", "status": "lost", "entered_at": "2026"}
    with pytest.raises(ConflictError, match="status_is_known"), store.transaction() as tx:
        tx.insert("quarantine", row)


def test_unknown_column_never_reaches_sql(store: Store) -> None:
    with pytest.raises(ValueError, match="no columns"), store.transaction() as tx:
        tx.insert("workers", {"worker_id; DROP TABLE workers": 1})


def test_nobody_but_the_engine_begins_or_commits() -> None:
    # One request or one step is one transaction: code inside it can't end it early.
    source = Path(__file__).parents[2] / "src" / "prebill"
    ends = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"commit", "begin", "begin_nested"}
    }
    assert ends == {"store/engine.py"}
