"""Users and tokens: who is let in, and that nobody else is."""

from datetime import UTC, datetime

import pytest

from prebill.core.errors import ConflictError, InputError, NotFoundError, UnauthenticatedError
from prebill.store import users
from prebill.store.engine import Store
from prebill.store.users import Role

PASSWORD = "correct horse battery"


@pytest.fixture
def ada(store: Store) -> users.Actor:
    with store.transaction() as tx:
        return users.create_user(
            tx, " Ada@Example.com", name="Ada", role=Role.REVIEWER, password=PASSWORD
        )


def test_right_password_lets_in_whatever_the_case_of_the_address(
    store: Store, ada: users.Actor
) -> None:
    with store.read() as tx:
        assert users.verify_password(tx, "ada@example.com", PASSWORD) == ada
        assert users.verify_password(tx, "ADA@example.com ", PASSWORD).role is Role.REVIEWER


@pytest.mark.parametrize(
    ("email", "password"),
    [("ada@example.com", "another password"), ("eve@example.com", PASSWORD), ("", "")],
)
def test_others_are_refused_alike(
    store: Store, ada: users.Actor, email: str, password: str
) -> None:
    with (
        store.read() as tx,
        pytest.raises(UnauthenticatedError, match="wrong e-mail address or password"),
    ):
        users.verify_password(tx, email, password)


def test_inactive_user_is_refused_everywhere(store: Store, ada: users.Actor) -> None:
    with store.transaction() as tx:
        _, token = users.create_token(tx, ada.user_id, name="ci")
        tx.update("users", {"is_active": False}, where={"user_id": ada.user_id})
    with store.read() as tx:
        with pytest.raises(UnauthenticatedError):
            users.verify_password(tx, "ada@example.com", PASSWORD)
        with pytest.raises(UnauthenticatedError):
            users.authenticate_token(tx, token)
        with pytest.raises(UnauthenticatedError):
            users.get_actor(tx, ada.user_id)


def test_one_time_password_is_used_up(store: Store) -> None:
    first = users.one_time_password()
    with store.transaction() as tx:
        actor = users.create_user(
            tx,
            "root@example.com",
            name="Root",
            role=Role.ADMIN,
            password=first,
            must_change_password=True,
        )
        assert users.verify_password(tx, "root@example.com", first).must_change_password
        users.change_password(tx, actor.user_id, PASSWORD)
        assert not users.verify_password(tx, "root@example.com", PASSWORD).must_change_password
        with pytest.raises(UnauthenticatedError):
            users.verify_password(tx, "root@example.com", first)


def test_impossible_users_are_refused(store: Store, ada: users.Actor) -> None:
    def add(email: str, password: str) -> None:
        with store.transaction() as tx:
            users.create_user(tx, email, name="x", role=Role.VIEWER, password=password)

    with pytest.raises(ConflictError):
        add("ADA@example.com", PASSWORD)
    with pytest.raises(InputError, match="12 characters"):
        add("bob@example.com", "short")
    with pytest.raises(InputError, match="no e-mail"):
        add("bob", PASSWORD)
    with pytest.raises(InputError, match="unknown role"):
        Role.named("king")


def test_token_acts_for_its_user_until_it_ends(store: Store, ada: users.Actor) -> None:
    with store.transaction() as tx:
        token_id, token = users.create_token(tx, ada.user_id, name="ci")
        _, old = users.create_token(
            tx, ada.user_id, name="old", expires_at=datetime(2020, 1, 1, tzinfo=UTC)
        )
        assert users.authenticate_token(tx, token) == ada
        for wrong in (old, token[:-1], token_id, ""):
            with pytest.raises(UnauthenticatedError):
                users.authenticate_token(tx, wrong)
        users.revoke_token(tx, token_id)
        users.revoke_token(tx, token_id)
        with pytest.raises(UnauthenticatedError):
            users.authenticate_token(tx, token)
        with pytest.raises(NotFoundError):
            users.revoke_token(tx, "unknown")


def test_secrets_are_never_stored(store: Store, ada: users.Actor) -> None:
    with store.transaction() as tx:
        _, token = users.create_token(tx, ada.user_id, name="ci")
        stored = str(tx.rows("SELECT * FROM users")) + str(tx.rows("SELECT * FROM tokens"))
        assert token not in stored
        assert PASSWORD not in stored
        assert "password_hash" not in users.list_users(tx).columns


def test_user_is_found_by_address_and_the_id_does_not_tell_it(
    store: Store, ada: users.Actor
) -> None:
    with store.read() as tx:
        assert users.find_user(tx, "Ada@example.com") == ada
        assert "ada" not in ada.user_id
        with pytest.raises(NotFoundError):
            users.find_user(tx, "eve@example.com")


def test_roles_are_ordered() -> None:
    assert Role.VIEWER < Role.REVIEWER < Role.CONTROLLER < Role.ADMIN
