"""Migrations lead to the very tables that the program declares, on both engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from prebill.core.errors import ConflictError, StorageError
from prebill.core.schemas import INBOUND, Frame
from prebill.store.engine import SCHEMA_REVISION, Store
from prebill.store.reference import LAKE_FRAMES
from prebill.store.schema import upgrade
from prebill.store.tables import metadata, schema_of
from tests.servers import Postgresql
from tests.store.test_rules import add, case, document, verdict

#: Everything that the engine itself knows about tables, constraints, indexes and triggers.
CATALOG = {
    "sqlite": ["SELECT name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"],
    "postgresql": [
        (
            "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = 'public'"
        ),
        (
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace"
        ),
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    ],
}


@pytest.fixture
def empty_sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/empty.db"


@pytest.fixture
def empty_postgresql(postgresql: Postgresql) -> Iterator[str]:
    postgresql.execute("CREATE DATABASE prebill_empty")
    yield postgresql.url("prebill_empty")
    postgresql.execute("DROP DATABASE prebill_empty WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A database without tables."""
    store = Store(request.getfixturevalue(f"empty_{request.param}"))
    yield store
    store.close()


def catalog(store: Store) -> list[str]:
    with store.read() as tx:
        return sorted(
            " ".join(str(value) for value in row.values()).replace(" \n", "\n")
            for statement in CATALOG[store.engine.dialect.name]
            for row in tx.rows(statement)
        )


def test_migrations_make_what_the_tables_declare(
    empty: Store, request: pytest.FixtureRequest
) -> None:
    assert upgrade(empty).after == SCHEMA_REVISION
    with Store(request.getfixturevalue(f"{empty.engine.dialect.name}_url")) as declared:
        assert catalog(empty) == catalog(declared)


def test_upgrade_again_changes_nothing(empty: Store) -> None:
    assert upgrade(empty).before is None
    with empty.transaction() as tx:
        tx.insert("workers", {"worker_id": "w", "started_at": "x", "heartbeat_at": "x"})
    assert upgrade(empty).before == SCHEMA_REVISION
    with empty.read() as tx:
        assert tx.get("workers", worker_id="w")


def migrate_to(store: Store, revision: str) -> None:
    """Stop at a revision of the past, as an older program left it."""
    config = Config()
    config.set_main_option("script_location", "prebill.store:migrations")
    store.create_place()
    with store.transaction() as tx:
        config.attributes["connection"] = tx.connection
        command.upgrade(config, revision)


def test_upgrade_keeps_cases_verdicts_and_deliveries(empty: Store) -> None:
    migrate_to(empty, "0001")
    delivery = {"delivery_id": "i1:files", "document_id": "i1", "channel": "files"}
    delivery |= {"payload": "{}", "status": "pending", "attempts": 2, "next_attempt_at": "x"}
    add(empty, ("cases", case()), ("verdicts", verdict()), ("documents", document()))
    add(empty, ("outbox", delivery))
    tables = ("cases", "verdicts", "outbox")
    with empty.read() as tx:
        before = [tx.rows(f"SELECT * FROM {table}") for table in tables]
    assert upgrade(empty).before == "0001"
    with empty.read() as tx:
        after = [tx.rows(f"SELECT * FROM {table}") for table in tables]
    before[2] = [row | {"draft_id": None} for row in before[2]]
    assert before == after
    add(empty, ("cases", case(case_id="c2", kind="gate")))
    add(empty, ("outbox", delivery | {"delivery_id": "gate:1", "document_id": None}))
    with pytest.raises(ConflictError):  # what refers to what is as it was
        add(empty, ("verdicts", verdict(verdict_id="v2", case_id="none")))
    add(empty, ("verdicts", verdict(verdict_id="v2", case_id="c2", verdict="correct")))
    add(empty, ("cases", case(case_id="c3")))
    with pytest.raises(ConflictError, match="may not release"):
        add(empty, ("verdicts", verdict(verdict_id="v3", case_id="c3")))


def test_upgrade_keeps_labels_and_decisions(empty: Store) -> None:
    migrate_to(empty, "0003")
    old = {"label_id": "l1", "draft_id": "d1", "draft_version": "v1", "is_error": True}
    old |= {"source": "verdict", "reason_code": "wrong_price", "entered_by": "ada"}
    old |= {"entered_at": "x", "matures_on": "2026-11-01"}
    decided = {"draft_id": "d1", "draft_version": "v1", "action": "hold", "currency": "EUR"}
    decided |= dict.fromkeys(("p_error_basis", "direction", "confidence", "reasons"), "")
    decided |= dict.fromkeys(("model_versions", "policy_hash", "run_id", "findings_json"), "")
    decided |= dict.fromkeys(("feature_hash", "draft_hash", "decided_at"), "")
    with empty.transaction() as tx:
        for table, row in (("labels", old), ("decisions", decided | {"expected_loss_minor": 7})):
            names = ", ".join(row)
            marks = ", ".join(f":{name}" for name in row)
            tx.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
    assert "0003" == upgrade(empty).before
    with empty.read() as tx:
        label, decision = tx.get("labels", label_id="l1"), tx.get("decisions", draft_id="d1")
    assert (True, None) == (bool(label.pop("was_shown")), label.pop("propensity"))
    assert old == label | {"is_error": bool(label["is_error"])}
    assert (7, None) == (decision["expected_loss_minor"], decision["sample_propensity"])
    add(empty, ("cases", case(kind="sample", action="release")))
    with pytest.raises(ConflictError):
        add(empty, ("labels", {**label, "label_id": "l2", "source": "rumour", "was_shown": True}))


def test_newer_database_is_left_alone(empty: Store) -> None:
    upgrade(empty)
    with empty.transaction() as tx:
        tx.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match="install a newer Prebill"):
        upgrade(empty)


def test_failed_upgrade_leaves_no_table_behind(empty: Store) -> None:
    empty.create_place()
    with empty.transaction() as tx:
        tx.execute("CREATE TABLE postings (something TEXT)")  # a later statement will meet it
    with pytest.raises(StorageError):
        upgrade(empty)
    with empty.read() as tx:
        assert tx.rows("SELECT * FROM postings") == []
        assert empty.revision() is None
    with empty.transaction() as tx:
        tx.execute("DROP TABLE postings")
    assert upgrade(empty).after == SCHEMA_REVISION


@pytest.mark.parametrize(
    "frame", [frame for frame in INBOUND if frame.name not in LAKE_FRAMES], ids=lambda f: f.name
)
def test_reference_table_has_the_columns_of_its_frame(frame: Frame) -> None:
    schema = schema_of(metadata.tables[frame.name])
    assert list(schema.items())[: len(frame.columns)] == list(frame.schema.items())
    keys = [column.name for column in metadata.tables[frame.name].primary_key.columns]
    assert set(keys) == set(frame.key)
