"""Versions of what moves money, by kind: a draft, what became of it, and which one is in force.

Every move is conditional on the version that its author saw, so that two people can't decide one
thing. What was done to a version, by whom and when, is its part of the audit log.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from prebill.core.errors import ConflictError, NotFoundError, StorageError
from prebill.store.codec import instant_text, now_text
from prebill.store.engine import Row, Tx
from prebill.store.model_changes import name_of

#: Who installed what was in force before the first version.
INSTALLER: Final = "system"
INSTALLED: Final = 0
#: The first kind; others are named where they are registered.
POLICY: Final = "policy"


class Status(StrEnum):
    """Where a version stands. Only a live one is in force."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    LIVE = "live"
    RETIRED = "retired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Version:
    """One version with its text; its simulation, which may be long, is read by itself."""

    kind: str
    number: int
    name: str
    digest: str
    text_hash: str
    content: str
    note: str
    status: Status
    lock_version: int
    entered_by: str
    entered_at: str
    submitted_at: str | None
    simulated_at: str | None
    compared_with: str | None
    approved_by: str | None
    approved_at: str | None
    live_from_at: str | None
    live_at: str | None
    retired_at: str | None
    replaces_number: int | None

    @classmethod
    def of(cls, row: Row) -> Self:
        """Read a row."""
        given = {name: row[name] for name in cls.__slots__}
        return cls(**given | {"status": Status(row["status"])})

    @property
    def object_id(self) -> str:
        """Its name in the audit log, for example ``policy:3``."""
        return f"{self.kind}:{self.number}"

    @property
    def title(self) -> str:
        """Its name in a sentence, for example ``policy 3``."""
        return f"{self.kind.replace('_', ' ')} {self.number}"


_COLUMNS: Final = ", ".join(f"c.{name}" for name in Version.__slots__ if name != "content")
_SELECT: Final = (
    f"SELECT {_COLUMNS}, t.content FROM configurations c "
    "JOIN configuration_texts t ON t.kind = c.kind AND t.text_hash = c.text_hash"
)


@dataclass(frozen=True, slots=True)
class Wording:
    """A text that was read without an error: what it calls itself, and the hash of its meaning."""

    name: str
    digest: str
    content: str


def keep_text(tx: Tx, kind: str, wording: Wording) -> str:
    """Keep a text for ever; return its hash. What is kept already stays."""
    text_hash = hash_of(wording.content)
    row = {
        "kind": kind,
        "text_hash": text_hash,
        "digest": wording.digest,
        "content": wording.content,
        "entered_at": now_text(),
    }
    tx.insert("configuration_texts", row, on_conflict="ignore")
    return text_hash


def hash_of(content: str) -> str:
    """SHA-256 of a text's bytes."""
    return hashlib.sha256(content.encode()).hexdigest()


def text_of(tx: Tx, kind: str, digest: str) -> str | None:
    """Return a text of that meaning, the first that was kept."""
    found = tx.scalar(
        "SELECT content FROM configuration_texts WHERE kind = :kind AND digest = :digest "
        "ORDER BY entered_at, text_hash LIMIT 1",
        {"kind": kind, "digest": digest},
    )
    return None if found is None else str(found)


def in_force(tx: Tx, kind: str, now_at: datetime) -> Version | None:
    """Return what is in force: the approved version whose time has come, else the live one.

    None: no version ever went live, so that what was installed is in force.

    Raises
    ------
    StorageError
        Its text is not the one that was approved.
    """
    row = tx.first(
        f"{_SELECT} WHERE c.kind = :kind AND (c.status = 'live' "
        "OR (c.status = 'approved' AND c.live_from_at <= :now)) ORDER BY c.status LIMIT 1",
        {"kind": kind, "now": instant_text(now_at)},
    )
    if row is None:
        return None
    found = Version.of(row)
    if hash_of(found.content) != found.text_hash:
        message = f"the text of {found.title} was altered in the database: restore a backup"
        raise StorageError(message, kind=kind, number=found.number)
    return found


def hold(tx: Tx, kind: str) -> None:
    """Let nobody else change what is in force until the end of the transaction.

    SQLite has one writer. On PostgreSQL the oldest rows stand for all of the kind.
    """
    if not tx.is_sqlite:
        tx.rows(
            "SELECT number FROM configurations WHERE kind = :kind AND number <= 1 "
            "ORDER BY number FOR UPDATE",
            {"kind": kind},
        )


def find(tx: Tx, kind: str, number: int) -> Version:
    """Return a version.

    Raises
    ------
    NotFoundError
        There is none.
    """
    row = tx.first(
        f"{_SELECT} WHERE c.kind = :kind AND c.number = :number", {"kind": kind, "number": number}
    )
    if row is None:
        message = f"there is no {kind.replace('_', ' ')} {number}"
        raise NotFoundError(message, kind=kind, number=number)
    return Version.of(row)


def simulation_of(tx: Tx, version: Version) -> dict[str, Any] | None:
    """Return the simulation that is attached; None: it was not submitted."""
    found = tx.scalar(
        "SELECT simulation FROM configurations WHERE kind = :kind AND number = :number",
        {"kind": version.kind, "number": version.number},
    )
    return None if found is None else dict(json.loads(found))


def with_status(tx: Tx, kind: str, status: Status) -> Version | None:
    """Return the newest version of a status; of live and of approved there is one at most."""
    row = tx.first(
        f"{_SELECT} WHERE c.kind = :kind AND c.status = :status ORDER BY c.number DESC LIMIT 1",
        {"kind": kind, "status": status.value},
    )
    return Version.of(row) if row else None


def versions(tx: Tx, kind: str) -> list[Version]:
    """Return every version, the newest first."""
    rows = tx.rows(f"{_SELECT} WHERE c.kind = :kind ORDER BY c.number DESC", {"kind": kind})
    return [Version.of(row) for row in rows]


def add(tx: Tx, kind: str, wording: Wording, note: str, author: str) -> Version:
    """Add a draft under the next number.

    Raises
    ------
    ConflictError
        Somebody else took that number at the same moment (raised by the unique key).
    """
    last = tx.scalar("SELECT max(number) FROM configurations WHERE kind = :kind", {"kind": kind})
    return _inserted(tx, kind, (last or INSTALLED) + 1, wording, note=note, entered_by=author)


def add_installed(tx: Tx, kind: str, wording: Wording, at: datetime) -> Version:
    """Keep, as number 0 and retired, what was in force before the first version."""
    known: dict[str, object] = {"status": Status.RETIRED.value, "retired_at": instant_text(at)}
    note = "what was installed before the first version"
    return _inserted(tx, kind, INSTALLED, wording, note=note, entered_by=INSTALLER, **known)


def move(tx: Tx, version: Version, **values: object) -> Version:
    """Change a version that is still as it was seen.

    Raises
    ------
    ConflictError
        Somebody changed or decided it meanwhile; the message says who and when.
    """
    where = {
        "kind": version.kind,
        "number": version.number,
        "lock_version": version.lock_version,
        "status": version.status.value,
    }
    values["lock_version"] = version.lock_version + 1
    if tx.update("configurations", values, where=where) != 1:
        raise changed_meanwhile(tx, version)
    return find(tx, version.kind, version.number)


def changed_meanwhile(tx: Tx, version: Version) -> ConflictError:
    """Say who changed a version last, and when."""
    facts = {"kind": version.kind, "number": version.number}
    last = tx.first(
        "SELECT actor, action, entered_at FROM audit_entries WHERE object_id = :object_id "
        "ORDER BY seq DESC LIMIT 1",
        {"object_id": version.object_id},
    )
    if last is None:
        return ConflictError(f"{version.title} changed meanwhile: look at it again", **facts)
    what = last["action"].partition(".")[2].replace("_", " ")
    message = (
        f"{version.title} changed meanwhile: {name_of(tx, last['actor'])} did “{what}” at "
        f"{last['entered_at'][11:16]} UTC; look at it again"
    )
    return ConflictError(message, **facts)


def changes(tx: Tx, kind: str, number: int | None = None) -> list[Row]:
    """Return who did what to a version (to every one) and when, the oldest first.

    ``seq, entered_at, actor, action, object_id, detail``; ``detail`` is JSON.
    """
    within = "object_id >= :first AND object_id < :end"
    bounds = {"first": f"{kind}:", "end": f"{kind};"}
    if number is not None:
        within, bounds = "object_id = :first", {"first": f"{kind}:{number}"}
    return tx.rows(
        "SELECT seq, entered_at, actor, action, object_id, detail FROM audit_entries "
        f"WHERE {within} AND action LIKE :action ORDER BY seq",
        {**bounds, "action": f"{kind}.%"},
    )


def texts_of(tx: Tx, kind: str) -> dict[str, str]:
    """Return every kept text by its hash."""
    rows = tx.rows(
        "SELECT text_hash, content FROM configuration_texts WHERE kind = :kind", {"kind": kind}
    )
    return {row["text_hash"]: row["content"] for row in rows}


def _inserted(
    tx: Tx, kind: str, number: int, wording: Wording, *, entered_by: str, note: str, **known: object
) -> Version:
    row: dict[str, Any] = {
        "kind": kind,
        "number": number,
        "name": wording.name,
        "digest": wording.digest,
        "text_hash": keep_text(tx, kind, wording),
        "note": note,
        "status": Status.DRAFT.value,
        "lock_version": 1,
        "entered_by": entered_by,
        "entered_at": now_text(),
        **known,
    }
    tx.insert("configurations", row)
    return find(tx, kind, number)
