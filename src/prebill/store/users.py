"""Who may act: users with a password, tokens for programs. Nobody else is ever answered."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl

from prebill.core.errors import InputError, NotFoundError, UnauthenticatedError
from prebill.store.codec import now_text
from prebill.store.engine import Tx
from prebill.store.tables import schema_of, users

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_PASSWORD_LENGTH: Final = 12
#: Tokens are recognised by it, also by scanners that look for leaked secrets.
TOKEN_PREFIX: Final = "prebill_"


class Role(IntEnum):
    """What a user may do; each role may do what the smaller ones may."""

    VIEWER = 1
    REVIEWER = 2
    CONTROLLER = 3
    ADMIN = 4

    @classmethod
    def named(cls, name: str) -> "Role":
        """Return the role of that name.

        Raises
        ------
        InputError
            There is none.
        """
        try:
            return cls[name.upper()]
        except KeyError:
            known = ", ".join(role.name.lower() for role in cls)
            message = f"unknown role {name!r}: use one of {known}"
            raise InputError(message, role=name) from None


@dataclass(frozen=True, slots=True)
class Actor:
    """The signed-in user on whose behalf something is done; comes from a credential only."""

    user_id: str
    name: str
    role: Role
    must_change_password: bool = False


def create_user(
    tx: Tx,
    email: str,
    *,
    name: str,
    role: Role,
    password: str,
    must_change_password: bool = False,
) -> Actor:
    """Add a user. The id says nothing of the person: it stands in logs that are never erased.

    Raises
    ------
    InputError
        The address or the password can't be used.
    ConflictError
        The address is taken (raised when the transaction meets the unique key).
    """
    address = _address(email)
    if "@" not in address:
        message = f"{email!r} is no e-mail address"
        raise InputError(message, email=email)
    user_id = f"user-{secrets.token_hex(4)}"
    row = {
        "user_id": user_id,
        "name": name,
        "email": address,
        "role": role.name.lower(),
        "password_hash": _hashed(password),
        "is_active": True,
        "must_change_password": must_change_password,
        "created_at": now_text(),
    }
    tx.insert("users", row)
    return Actor(user_id, name, role, must_change_password)


def one_time_password() -> str:
    """Make a password that its owner must change at the first sign-in."""
    return "-".join(secrets.token_hex(3) for _ in range(4))


def verify_password(tx: Tx, email: str, password: str) -> Actor:
    """Return the user whose password this is.

    Raises
    ------
    UnauthenticatedError
        Unknown, inactive, or another password; the message doesn't tell which.
    """
    from argon2.exceptions import VerificationError

    row = tx.first("SELECT * FROM users WHERE email = :email", {"email": _address(email)})
    # An unknown user costs as much time as a known one: the answer's delay tells nothing.
    known = row["password_hash"] if row else _decoy()
    try:
        _hasher().verify(known, password)
    except VerificationError:
        row = None
    if row is None or not row["is_active"]:
        message = "wrong e-mail address or password"
        raise UnauthenticatedError(message)
    return _actor(row)


def change_password(tx: Tx, user_id: str, password: str) -> None:
    """Set a new password; the one-time password is used up.

    Raises
    ------
    NotFoundError, InputError
        There is no such user; the password is too short.
    """
    values = {"password_hash": _hashed(password), "must_change_password": False}
    if tx.update("users", values, where={"user_id": user_id}) == 0:
        message = f"there is no user {user_id}"
        raise NotFoundError(message, user_id=user_id)


def get_actor(tx: Tx, user_id: str) -> Actor:
    """Return an active user, for example the one that a session cookie names.

    Raises
    ------
    UnauthenticatedError
        There is no such active user (any more).
    """
    row = tx.first("SELECT * FROM users WHERE user_id = :user_id", {"user_id": user_id})
    if row is None or not row["is_active"]:
        message = "this user is unknown or no longer active: sign in again"
        raise UnauthenticatedError(message, user_id=user_id)
    return _actor(row)


def find_user(tx: Tx, email: str) -> Actor:
    """Return the user of that e-mail address, active or not, for administration.

    Raises
    ------
    NotFoundError
        There is none.
    """
    return _actor(tx.get("users", email=_address(email)))


def list_users(tx: Tx) -> pl.DataFrame:
    """Return all users without their password hashes."""
    wanted = [name for name in schema_of(users).names() if name != "password_hash"]
    return tx.table_frame("users", "ORDER BY email", columns=wanted)


def create_token(
    tx: Tx, user_id: str, *, name: str, expires_at: datetime | None = None
) -> tuple[str, str]:
    """Make a token that acts for the user; return its id and the token, which is shown once.

    Raises
    ------
    UnauthenticatedError
        There is no such active user.
    """
    get_actor(tx, user_id)
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token_id = secrets.token_hex(6)
    row = {
        "token_id": token_id,
        "user_id": user_id,
        "digest": _digest(token),
        "name": name,
        "created_at": now_text(),
        "expires_at": expires_at,
    }
    tx.insert("tokens", row)
    return token_id, token


def revoke_token(tx: Tx, token_id: str) -> None:
    """End a token; one that has ended stays as it was.

    Raises
    ------
    NotFoundError
        There is no such token.
    """
    tx.get("tokens", token_id=token_id)
    tx.execute(
        "UPDATE tokens SET revoked_at = :now WHERE token_id = :token_id AND revoked_at IS NULL",
        {"now": now_text(), "token_id": token_id},
    )


def authenticate_token(tx: Tx, token: str) -> Actor:
    """Return the user for whom a token acts.

    A token has 256 random bits: a plain digest of it can't be searched, unlike a password's.

    Raises
    ------
    UnauthenticatedError
        Unknown, expired or revoked token, or its user is no longer active.
    """
    row = _holder(tx, _digest(token))
    if row is None:
        message = "the token is unknown, expired or revoked"
        raise UnauthenticatedError(message)
    return _actor(row)


def bind_secret(tx: Tx, user_id: str, system: str, secret: str, *, expires_at: datetime) -> str:
    """Let the secret with which a system signs its webhooks act for a user; return the token's id.

    Only its digest is kept. It is no bearer token: the digest is one of its own kind.

    Raises
    ------
    UnauthenticatedError
        There is no such active user.
    ConflictError
        The secret is bound already (raised when the transaction meets the unique key).
    """
    get_actor(tx, user_id)
    token_id = secrets.token_hex(6)
    row = {
        "token_id": token_id,
        "user_id": user_id,
        "digest": _secret_digest(system, secret),
        "name": f"webhook {system}",
        "created_at": now_text(),
        "expires_at": expires_at,
    }
    tx.insert("tokens", row)
    return token_id


def authenticate_secret(tx: Tx, system: str, secret: str) -> Actor:
    """Return the user for whom a system's webhooks act, after their signature was verified.

    Raises
    ------
    UnauthenticatedError
        The secret is bound to nobody, the binding has ended, or its user is no longer active.
    """
    row = _holder(tx, _secret_digest(system, secret))
    if row is None:
        message = (
            f"webhooks of {system} act for nobody: bind their secret with `prebill token bind`"
        )
        raise UnauthenticatedError(message, system=system)
    return _actor(row)


def secret_ends_on(tx: Tx, system: str, secret: str) -> date:
    """Return the day on which the binding of a system's secret ends."""
    bound = tx.get("tokens", digest=_secret_digest(system, secret))
    return date.fromisoformat(bound["expires_at"][:10])


def _holder(tx: Tx, digest: str) -> dict[str, object] | None:
    """The active user of a credential that has not ended."""
    row = tx.first(
        """
        SELECT u.* FROM tokens t JOIN users u ON u.user_id = t.user_id
        WHERE t.digest = :digest AND t.revoked_at IS NULL
          AND (t.expires_at IS NULL OR t.expires_at > :now)
        """,
        {"digest": digest, "now": now_text()},
    )
    return row if row is not None and row["is_active"] else None


def _actor(row: dict[str, object]) -> Actor:
    return Actor(
        str(row["user_id"]),
        str(row["name"]),
        Role.named(str(row["role"])),
        bool(row["must_change_password"]),
    )


def _address(email: str) -> str:
    """Addresses that differ in case alone are one."""
    return email.strip().lower()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _secret_digest(system: str, secret: str) -> str:
    return hmac.new(f"prebill webhook {system}".encode(), secret.encode(), "sha256").hexdigest()


def _hashed(password: str) -> str:
    if len(password) < MIN_PASSWORD_LENGTH:
        message = f"the password needs at least {MIN_PASSWORD_LENGTH} characters"
        raise InputError(message)
    return _hasher().hash(password)


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _decoy() -> str:
    return _hasher().hash(secrets.token_hex(16))
