"""What the database itself refuses in the life of a policy, on both engines."""

from datetime import UTC, datetime

import pytest

from prebill.core.errors import ConflictError, StorageError
from prebill.store import configurations
from prebill.store.configurations import POLICY, Status, Wording
from prebill.store.engine import Store

AT = datetime(2026, 11, 1, tzinfo=UTC)
WORDING = Wording("one", "digest-1", "one: 1\n")
SIMULATED = {"simulation": "{}", "simulated_at": AT}


def drafted(store: Store, number: int = 1) -> str:
    """Ann's draft; returns the hash of its text."""
    with store.transaction() as tx:
        made = configurations.add(tx, POLICY, WORDING, "", "ann")
        assert number == made.number
        return made.text_hash


def put(store: Store, number: int = 1, **values: object) -> None:
    """Change a row past the program."""
    with store.transaction() as tx:
        tx.update("configurations", values, where={"kind": POLICY, "number": number})


@pytest.mark.parametrize("status", ["approved", "live", "retired"])
def test_author_is_not_approver(store: Store, status: str) -> None:
    text_hash = drafted(store)
    values = {**SIMULATED, "simulated_hash": text_hash, "status": status, "live_at": AT}
    with pytest.raises(ConflictError, match="author_is_not_approver"):
        put(store, **values, approved_by="ann")
    with pytest.raises(ConflictError, match="author_is_not_approver"):
        put(store, **values)
    put(store, **values, approved_by="ben")


def test_approval_needs_a_simulation_of_this_very_text(store: Store) -> None:
    text_hash = drafted(store)
    values = {"status": "approved", "approved_by": "ben"}
    with pytest.raises(ConflictError, match="approval_needs_simulation"):
        put(store, **values)
    with pytest.raises(ConflictError, match="approval_needs_simulation"):
        put(store, **values, **SIMULATED, simulated_hash="another")
    put(store, **values, **SIMULATED, simulated_hash=text_hash)
    with store.transaction() as tx:
        other = configurations.keep_text(tx, POLICY, Wording("two", "digest-2", "two: 2\n"))
    with pytest.raises(ConflictError, match="approval_needs_simulation"):
        put(store, text_hash=other)  # what was approved can't be exchanged for another text


def test_one_is_live_and_one_waits(store: Store) -> None:
    text_hash = drafted(store)
    drafted(store, 2)
    ready = {**SIMULATED, "simulated_hash": text_hash, "approved_by": "ben", "live_at": AT}
    for status in ("live", "approved"):
        put(store, 1, **ready, status=status)
        with pytest.raises(ConflictError):
            put(store, 2, **ready, status=status)
        put(store, 1, status="retired")


def test_only_what_was_installed_has_no_approver(store: Store) -> None:
    with store.transaction() as tx:
        installed = configurations.add_installed(tx, POLICY, WORDING, AT)
    assert (0, Status.RETIRED) == (installed.number, installed.status)
    with pytest.raises(ConflictError, match="installed_is_number_0"):
        put(store, 0, entered_by="ann")
    with pytest.raises(ConflictError):
        put(store, 0, status="approved")
    put(store, 0, status="live", live_at=AT)


def test_altered_text_is_never_in_force(store: Store) -> None:
    text_hash = drafted(store)
    ready = {**SIMULATED, "simulated_hash": text_hash, "approved_by": "ben", "live_at": AT}
    put(store, **ready, status="live")
    with store.read() as tx:
        found = configurations.in_force(tx, POLICY, AT)
    assert found is not None
    assert ("one: 1\n", 1) == (found.content, found.number)
    with store.transaction() as tx:
        tx.execute("UPDATE configuration_texts SET content = 'one: 2'")
    with store.read() as tx, pytest.raises(StorageError, match="policy 1 was altered"):
        configurations.in_force(tx, POLICY, AT)


def test_kinds_live_side_by_side(store: Store) -> None:
    with store.transaction() as tx:
        one = configurations.add(tx, POLICY, WORDING, "", "ann")
        two = configurations.add(tx, "price_book", WORDING, "", "ann")
        assert (1, 1, "policy:1", "price_book:1") == (
            one.number,
            two.number,
            one.object_id,
            two.object_id,
        )
        assert [two] == configurations.versions(tx, "price_book")


def test_unknown_status_is_refused(store: Store) -> None:
    drafted(store)
    with pytest.raises(ConflictError, match="status_is_known"):
        put(store, status="blessed")
