"""Who works on a case: a lease that one person holds, and who else has it open.

A lease is a row whose end is extended while its owner is there. It ends by itself, so that nobody
who went home holds work up; until then nobody else decides the case unless they take it over.
"""

from datetime import datetime, timedelta
from typing import Final

from prebill.core.errors import ConflictError
from prebill.store.codec import instant_text
from prebill.store.engine import Row, Tx

#: How long a lease holds without a sign of its owner.
LEASE: Final = timedelta(minutes=15)
#: Who was seen on a case within this time has it open.
HERE: Final = timedelta(minutes=2)


def claim(tx: Tx, case_id: str, user_id: str, now_at: datetime) -> None:
    """Take the lease of an open case, or extend one's own.

    Raises
    ------
    ConflictError
        The case is closed, or somebody else works on it: the message says who and until when.
    """
    if not _lease(tx, case_id, user_id, now_at, is_forced=False):
        require_mine(tx, case_id, user_id, now_at)
        message = f"case {case_id} waits no more: it was decided, or its draft changed"
        raise ConflictError(message, case_id=case_id)


def take_over(tx: Tx, case_id: str, user_id: str, now_at: datetime) -> str | None:
    """Take the lease whoever holds it; return who lost it, None if nobody did.

    Raises
    ------
    ConflictError
        The case is closed.
    """
    before = owner_of(tx, case_id, now_at)
    if not _lease(tx, case_id, user_id, now_at, is_forced=True):
        message = f"case {case_id} waits no more: it was decided, or its draft changed"
        raise ConflictError(message, case_id=case_id)
    return before["user_id"] if before and before["user_id"] != user_id else None


def let_go(tx: Tx, case_id: str, user_id: str) -> bool:
    """End one's own lease; False: there was none."""
    return (
        tx.execute(
            "DELETE FROM claims WHERE case_id = :case_id AND user_id = :user_id",
            {"case_id": case_id, "user_id": user_id},
        )
        == 1
    )


def begun(tx: Tx, user_id: str, now_at: datetime, *, queue: str = "") -> str | None:
    """Return the case that is worth most of those that somebody works on; None: on none."""
    found = tx.scalar(
        "SELECT c.case_id FROM claims l JOIN cases c ON c.case_id = l.case_id "
        "LEFT JOIN case_pauses p ON p.case_id = c.case_id AND p.until_at > :now "
        "WHERE l.user_id = :user_id AND l.expires_at > :now AND c.status = 'open' "
        f"AND p.case_id IS NULL {_in(queue)} "
        "ORDER BY c.priority DESC NULLS LAST, c.case_id LIMIT 1",
        {"user_id": user_id, "now": instant_text(now_at)} | _named(queue),
    )
    return None if found is None else str(found)


def claim_free(
    tx: Tx, user_id: str, now_at: datetime, *, queue: str = "", without_queue: str = ""
) -> str | None:
    """Take the case that is worth most of those that wait and nobody works on; None: none does.

    ``without_queue``: a queue that this person may not decide.
    """
    free = tx.rows(
        "SELECT c.case_id FROM cases c LEFT JOIN claims l ON l.case_id = c.case_id "
        "AND l.expires_at > :now LEFT JOIN case_pauses p ON p.case_id = c.case_id "
        "AND p.until_at > :now WHERE c.status = 'open' AND l.user_id IS NULL "
        f"AND p.case_id IS NULL AND c.queue <> :without {_in(queue)} "
        "ORDER BY c.priority DESC NULLS LAST, c.case_id LIMIT :limit",
        {"now": instant_text(now_at), "limit": _TRIED, "without": without_queue} | _named(queue),
    )
    for row in free:
        if _lease(tx, row["case_id"], user_id, now_at, is_forced=False):
            return str(row["case_id"])
    return None


#: So many cases are tried before "there is none": others may take them at the same moment.
_TRIED: Final = 100


def _in(queue: str) -> str:
    return "AND c.queue = :queue" if queue else ""


def _named(queue: str) -> dict[str, object]:
    return {"queue": queue} if queue else {}


def owner_of(tx: Tx, case_id: str, now_at: datetime) -> Row | None:
    """Return ``user_id, name, claimed_at, expires_at`` of who works on a case; None: nobody."""
    return tx.first(
        "SELECT l.user_id, u.name, l.claimed_at, l.expires_at FROM claims l "
        "LEFT JOIN users u ON u.user_id = l.user_id "
        "WHERE l.case_id = :case_id AND l.expires_at > :now",
        {"case_id": case_id, "now": instant_text(now_at)},
    )


def require_mine(tx: Tx, case_id: str, user_id: str, now_at: datetime) -> None:
    """Refuse where somebody else works on the case.

    Raises
    ------
    ConflictError
        It says who, until when, and what to do.
    """
    owner = owner_of(tx, case_id, now_at)
    if owner is not None and owner["user_id"] != user_id:
        message = (
            f"{owner['name'] or owner['user_id']} works on case {case_id} until "
            f"{owner['expires_at'][11:16]} UTC: take it over, or choose another"
        )
        raise ConflictError(message, case_id=case_id, owner=owner["user_id"])


def seen(tx: Tx, case_id: str, user_id: str, now_at: datetime) -> None:
    """Note that somebody has an open case before them."""
    tx.execute(
        "INSERT INTO viewers (case_id, user_id, seen_at) SELECT case_id, :user_id, :now "
        "FROM cases WHERE case_id = :case_id AND status = 'open' "
        "ON CONFLICT (case_id, user_id) DO UPDATE SET seen_at = excluded.seen_at",
        {"case_id": case_id, "user_id": user_id, "now": instant_text(now_at)},
    )


def viewers_of(tx: Tx, case_id: str, user_id: str, now_at: datetime) -> list[str]:
    """Return the names of who else has the case open."""
    found = tx.rows(
        "SELECT v.user_id, u.name FROM viewers v LEFT JOIN users u ON u.user_id = v.user_id "
        "WHERE v.case_id = :case_id AND v.user_id <> :user_id AND v.seen_at > :since "
        "ORDER BY u.name, v.user_id",
        {"case_id": case_id, "user_id": user_id, "since": instant_text(now_at - HERE)},
    )
    return [str(one["name"] or one["user_id"]) for one in found]


def _lease(tx: Tx, case_id: str, user_id: str, now_at: datetime, *, is_forced: bool) -> bool:
    """One conditional statement: of many at the same moment one succeeds."""
    condition = "" if is_forced else "WHERE claims.user_id = :user_id OR claims.expires_at <= :now"
    return (
        tx.execute(
            "INSERT INTO claims (case_id, user_id, claimed_at, expires_at) "
            "SELECT case_id, :user_id, :now, :expires_at FROM cases "
            "WHERE case_id = :case_id AND status = 'open' "
            "ON CONFLICT (case_id) DO UPDATE SET user_id = excluded.user_id, "
            "claimed_at = CASE WHEN claims.user_id = excluded.user_id "
            "THEN claims.claimed_at ELSE excluded.claimed_at END, "
            f"expires_at = excluded.expires_at {condition}",
            {
                "case_id": case_id,
                "user_id": user_id,
                "now": instant_text(now_at),
                "expires_at": instant_text(now_at + LEASE),
            },
        )
        == 1
    )
