"""Signatures, delegations and broken glass: what stands between a decision and its effect."""

from dataclasses import dataclass
from datetime import datetime

from prebill.core.errors import ConflictError
from prebill.store.codec import instant_text, now_text
from prebill.store.engine import Row, Tx


def sign(tx: Tx, case: Row, user_id: str, role: str, on_behalf_of: str | None) -> None:
    """Keep that somebody agrees to let a case's draft go; twice is once."""
    row = {
        "draft_id": case["draft_id"],
        "draft_version": case["draft_version"],
        "user_id": user_id,
        "case_id": case["case_id"],
        "role": role,
        "on_behalf_of": on_behalf_of,
        "entered_at": now_text(),
    }
    tx.insert("signatures", row, on_conflict="ignore")


def signatures_on(tx: Tx, draft_id: str, draft_version: str) -> list[Row]:
    """Return who agreed to a version: ``user_id, name, role, on_behalf_of, entered_at``."""
    return tx.rows(
        "SELECT s.user_id, u.name, s.role, s.on_behalf_of, s.entered_at FROM signatures s "
        "LEFT JOIN users u ON u.user_id = s.user_id "
        "WHERE s.draft_id = :id AND s.draft_version = :version ORDER BY s.entered_at, s.user_id",
        {"id": draft_id, "version": draft_version},
    )


def total_of(tx: Tx, case: Row) -> int | None:
    """Return the total of a case's draft in minor units; None: nothing was drafted."""
    table = "engine_drafts" if case["kind"] == "gate" else "drafts"
    found = tx.scalar(
        f"SELECT total_minor FROM {table} WHERE draft_id = :id AND version = :version",
        {"id": case["draft_id"], "version": case["draft_version"]},
    )
    return None if found is None else int(found)


@dataclass(frozen=True, slots=True)
class Delegation:
    """Somebody stands in for somebody else, from one instant to another."""

    delegation_id: str
    from_user_id: str
    to_user_id: str
    from_at: datetime
    until_at: datetime
    reason: str


def delegate(tx: Tx, delegation: Delegation, actor: str) -> None:
    """Keep a delegation."""
    given = {name: getattr(delegation, name) for name in Delegation.__slots__}
    row = {**given, "ended_at": None, "entered_at": now_text(), "entered_by": actor}
    tx.insert("delegations", row)


def end_delegation(tx: Tx, delegation_id: str) -> Row:
    """End a delegation now; return it.

    Raises
    ------
    NotFoundError, ConflictError
        There is none; it has ended.
    """
    row = tx.get("delegations", delegation_id=delegation_id)
    if row["ended_at"] is not None or row["until_at"] <= now_text():
        message = f"the delegation {delegation_id} has ended already"
        raise ConflictError(message, delegation_id=delegation_id)
    tx.update("delegations", {"ended_at": now_text()}, where={"delegation_id": delegation_id})
    return row


def stands_in_for(tx: Tx, user_id: str, now_at: datetime) -> list[Row]:
    """Return the active users for whom somebody stands in now: ``user_id, name, role``."""
    return tx.rows(
        "SELECT u.user_id, u.name, u.role FROM delegations d "
        "JOIN users u ON u.user_id = d.from_user_id AND u.is_active "
        "WHERE d.to_user_id = :user_id AND d.ended_at IS NULL "
        "AND d.from_at <= :now AND d.until_at > :now ORDER BY u.user_id",
        {"user_id": user_id, "now": instant_text(now_at)},
    )


def list_delegations(tx: Tx, now_at: datetime) -> list[Row]:
    """Return the delegations that hold or will, with the names of both."""
    return tx.rows(
        "SELECT d.*, f.name AS from_name, t.name AS to_name FROM delegations d "
        "LEFT JOIN users f ON f.user_id = d.from_user_id "
        "LEFT JOIN users t ON t.user_id = d.to_user_id "
        "WHERE d.ended_at IS NULL AND d.until_at > :now ORDER BY d.from_at, d.delegation_id",
        {"now": instant_text(now_at)},
    )


def break_glass(tx: Tx, case: Row, actor: str, reason: str) -> None:
    """Keep that somebody let a draft go alone; somebody else reviews it later."""
    row = {
        "case_id": case["case_id"],
        "draft_id": case["draft_id"],
        "reason": reason,
        "entered_at": now_text(),
        "entered_by": actor,
        "reviewed_at": None,
        "reviewed_by": None,
        "review": None,
    }
    tx.insert("broken_glass", row)


def unreviewed_glass(tx: Tx) -> list[Row]:
    """Return what was let go alone and nobody has looked at since, the oldest first."""
    return tx.rows(
        "SELECT b.*, u.name FROM broken_glass b LEFT JOIN users u ON u.user_id = b.entered_by "
        "WHERE b.reviewed_at IS NULL ORDER BY b.entered_at"
    )


def review_glass(tx: Tx, case_id: str, actor: str, review: str) -> None:
    """Keep what somebody else found; the database refuses the review of one's own.

    Raises
    ------
    NotFoundError, ConflictError
        The glass was not broken there; it was reviewed.
    """
    tx.get("broken_glass", case_id=case_id)
    touched = tx.execute(
        "UPDATE broken_glass SET reviewed_at = :now, reviewed_by = :actor, review = :review "
        "WHERE case_id = :case_id AND reviewed_at IS NULL",
        {"case_id": case_id, "actor": actor, "review": review, "now": now_text()},
    )
    if touched != 1:
        message = f"what was let go at {case_id} was reviewed already"
        raise ConflictError(message, case_id=case_id)


def active_roles(tx: Tx) -> dict[str, int]:
    """Return how many active users each role has."""
    rows = tx.rows("SELECT role, count(*) AS users FROM users WHERE is_active GROUP BY role")
    return {row["role"]: row["users"] for row in rows}
