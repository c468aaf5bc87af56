"""Changes of the models in use: proposed by one person, approved by another, then live.

The table is the record of what is live; pointers on disk and aliases in MLflow follow it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from prebill.core.errors import ConflictError, NotFoundError
from prebill.store.codec import canonical_json, now_text
from prebill.store.engine import Tx

_LAST: Final = "ORDER BY sequence DESC LIMIT 1"


class Kind(StrEnum):
    """What a change does. ``challenge``: score beside the champion, without effect."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    CHALLENGE = "challenge"


class Basis(StrEnum):
    """Why the change may go live."""

    SECOND_PERSON = "second_person"
    FIRST_CHAMPION = "first_champion"
    UNATTENDED = "unattended"
    EVALUATION = "evaluation"


@dataclass(frozen=True, slots=True)
class Change:
    """One change as stored; ``replaces_digest`` is the champion at the proposal, or empty."""

    model: str
    sequence: int
    kind: Kind
    version: int
    digest: str
    replaces_digest: str
    basis: Basis
    status: str
    proposed_at: str
    proposed_by: str
    decided_at: str | None
    decided_by: str | None
    live_at: str | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """Read a row."""
        given = {name: row[name] for name in cls.__slots__}
        return cls(**given | {"kind": Kind(row["kind"]), "basis": Basis(row["basis"])})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change that somebody asks for; ``evidence`` is what they saw."""

    model: str
    kind: Kind
    version: int
    digest: str
    replaces_digest: str
    basis: Basis
    evidence: dict[str, object]


def propose(tx: Tx, wanted: Wanted, actor: str) -> Change:
    """Ask for a change. Another open one of the model is a conflict (unique key)."""
    return _inserted(tx, wanted, actor, "proposed")


def challenge(tx: Tx, wanted: Wanted, actor: str) -> Change:
    """Write down a new challenger. It moves nothing, so nobody has to agree."""
    return _inserted(tx, wanted, actor, "live")


def approve(tx: Tx, change: Change, actor: str) -> Change:
    """Agree to a change; the database refuses the author's own agreement."""
    return _moved(
        tx, change, "proposed", status="approved", decided_by=actor, decided_at=now_text()
    )


def went_live(tx: Tx, change: Change) -> Change:
    """Write down that an approved change has taken effect."""
    return _moved(tx, change, "approved", status="live", live_at=now_text())


def withdraw(tx: Tx, change: Change, actor: str) -> Change:
    """Take a proposal back, or end a challenger."""
    return _moved(
        tx, change, change.status, status="withdrawn", decided_by=actor, decided_at=now_text()
    )


def open_change(tx: Tx, model: str) -> Change | None:
    """Return the change that waits for approval or for taking effect."""
    row = tx.first(
        "SELECT * FROM model_changes WHERE model = :model AND status IN ('proposed', 'approved')",
        {"model": model},
    )
    return Change.of(row) if row else None


def live_champion(tx: Tx, model: str) -> Change | None:
    """Return the change that made the present champion."""
    return _last(tx, model, "kind IN ('promote', 'rollback')")


def champion_before(tx: Tx, model: str) -> Change | None:
    """Return the last change that made another champion than the present one."""
    present = live_champion(tx, model)
    if present is None:
        return None
    where = "kind IN ('promote', 'rollback') AND digest <> :digest"
    return _last(tx, model, where, digest=present.digest)


def live_challenger(tx: Tx, model: str) -> Change | None:
    """Return the latest challenge, unless it was ended or that version has been promoted since."""
    row = tx.first(
        "SELECT * FROM model_changes c WHERE model = :model AND kind = 'challenge' "
        "AND NOT EXISTS (SELECT 1 FROM model_changes p WHERE p.model = c.model "
        "AND p.digest = c.digest AND p.status = 'live' AND p.kind <> 'challenge' "
        f"AND p.sequence > c.sequence) {_LAST}",
        {"model": model},
    )
    return Change.of(row) if row and row["status"] == "live" else None


def history(tx: Tx, model: str) -> list[Change]:
    """Return every change of a model, newest first."""
    rows = tx.rows(
        "SELECT * FROM model_changes WHERE model = :model ORDER BY sequence DESC", {"model": model}
    )
    return [Change.of(row) for row in rows]


def count_approvers(tx: Tx) -> int:
    """Return how many active people may approve."""
    statement = "SELECT count(*) FROM users WHERE is_active AND role IN ('controller', 'admin')"
    return int(tx.scalar(statement))


def name_of(tx: Tx, actor: str) -> str:
    """Return the name of a user for a sentence; another actor's id as it is."""
    try:
        return str(tx.get("users", user_id=actor)["name"])
    except NotFoundError:
        return actor


def _inserted(tx: Tx, wanted: Wanted, actor: str, status: str) -> Change:
    last = tx.scalar(
        "SELECT max(sequence) FROM model_changes WHERE model = :model", {"model": wanted.model}
    )
    now = now_text()
    row = {
        "model": wanted.model,
        "sequence": (last or 0) + 1,
        "kind": wanted.kind.value,
        "version": wanted.version,
        "digest": wanted.digest,
        "replaces_digest": wanted.replaces_digest,
        "basis": wanted.basis.value,
        "status": status,
        "evidence": canonical_json(wanted.evidence),
        "proposed_at": now,
        "proposed_by": actor,
        "decided_at": None,
        "decided_by": None,
        "live_at": now if status == "live" else None,
    }
    tx.insert("model_changes", row)
    return Change.of(row)


def _last(tx: Tx, model: str, where: str, **values: object) -> Change | None:
    row = tx.first(
        f"SELECT * FROM model_changes WHERE model = :model AND status = 'live' AND {where} {_LAST}",
        {"model": model, **values},
    )
    return Change.of(row) if row else None


def _moved(tx: Tx, change: Change, from_status: str, **values: object) -> Change:
    where = {"model": change.model, "sequence": change.sequence, "status": from_status}
    if tx.update("model_changes", values, where=where) != 1:
        message = f"the change of {change.model} was decided meanwhile: `prebill models list`"
        raise ConflictError(message, model=change.model, sequence=change.sequence)
    return Change.of(tx.get("model_changes", model=change.model, sequence=change.sequence))
