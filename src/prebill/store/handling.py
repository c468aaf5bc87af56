"""What people do with a case before they decide it: notes, pauses, escalations."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prebill.core.errors import ConflictError, NotFoundError
from prebill.store.codec import canonical_json, now_text
from prebill.store.drafts import listed
from prebill.store.engine import Row, Tx

#: Where escalated cases wait; who decides them needs more authority than a reviewer.
ESCALATED: Final = "escalated"
#: Rows that last as long as a case is open.
_PASSING: Final = (*("claims", "viewers", "case_pauses", "case_escalations", "case_urgencies"),)


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was sent. ``name`` is only ever shown, never a path."""

    name: str
    media_type: str
    content: bytes


def add_note(
    tx: Tx, case_id: str, kind: str, text: str, actor: str, *, file: File | None = None
) -> None:
    """Keep words on a case, with a file or without; equal files are kept once."""
    digest = None
    if file is not None:
        digest = hashlib.sha256(file.content).hexdigest()
        row = {
            "digest": digest,
            "media_type": file.media_type,
            "size": len(file.content),
            "content": file.content,
        }
        tx.insert("case_files", row, on_conflict="ignore")
    note = {
        "case_id": case_id,
        "kind": kind,
        "text": text,
        "file_name": file.name if file else None,
        "file_digest": digest,
        "entered_at": now_text(),
        "entered_by": actor,
    }
    tx.insert("case_notes", note)


def notes_of(tx: Tx, case_id: str) -> list[Row]:
    """Return the notes of a case, the oldest first, with author, media type and size of a file."""
    return tx.rows(
        "SELECT n.seq, n.kind, n.text, n.file_name, n.entered_at, n.entered_by, "
        "u.name AS author, f.media_type, f.size FROM case_notes n "
        "LEFT JOIN users u ON u.user_id = n.entered_by "
        "LEFT JOIN case_files f ON f.digest = n.file_digest "
        "WHERE n.case_id = :case_id ORDER BY n.seq",
        {"case_id": case_id},
    )


def file_of(tx: Tx, case_id: str, seq: int) -> File:
    """Return the file of a note.

    Raises
    ------
    NotFoundError
        The case has no such note, or the note no file.
    """
    row = tx.first(
        "SELECT n.file_name, f.media_type, f.content FROM case_notes n "
        "JOIN case_files f ON f.digest = n.file_digest WHERE n.case_id = :id AND n.seq = :seq",
        {"id": case_id, "seq": seq},
    )
    if row is None:
        message = f"case {case_id} has no file {seq}"
        raise NotFoundError(message, case_id=case_id, seq=seq)
    return File(row["file_name"], row["media_type"], bytes(row["content"]))


def open_case(tx: Tx, case_id: str) -> Row:
    """Return a case that still waits.

    Raises
    ------
    NotFoundError, ConflictError
        There is no such case; it was decided, or its draft changed.
    """
    case = tx.get("cases", case_id=case_id)
    if case["status"] != "open":
        message = f"case {case_id} waits no more: it was decided, or its draft changed"
        raise ConflictError(message, case_id=case_id)
    return case


def pause(
    tx: Tx, case_id: str, until_at: datetime, actor: str, *, asked_user_id: str | None = None
) -> None:
    """Take a case off the queue until an instant, or until somebody answers; replaces another."""
    row = {
        "case_id": case_id,
        "kind": "question" if asked_user_id else "snooze",
        "until_at": until_at,
        "asked_user_id": asked_user_id,
        "entered_at": now_text(),
        "entered_by": actor,
    }
    tx.insert("case_pauses", row, on_conflict="replace")


def end_pause(tx: Tx, case_id: str) -> bool:
    """Put a paused case back on the queue; False: it was there."""
    return tx.execute("DELETE FROM case_pauses WHERE case_id = :id", {"id": case_id}) == 1


def escalate(tx: Tx, case: Row, actor: str) -> None:
    """Move a case to the queue of those with more authority; who decides it now sees a change.

    Raises
    ------
    ConflictError
        It is there already, or changed meanwhile.
    """
    if case["queue"] == ESCALATED:
        message = f"case {case['case_id']} is escalated already"
        raise ConflictError(message, case_id=case["case_id"])
    row = {
        "case_id": case["case_id"],
        "from_queue": case["queue"],
        "entered_at": now_text(),
        "entered_by": actor,
    }
    tx.insert("case_escalations", row)
    _requeued(tx, case, ESCALATED)


def send_back(tx: Tx, case: Row) -> str:
    """Return an escalated case to the queue where it was; return its name.

    Raises
    ------
    ConflictError
        It is not escalated, or changed meanwhile.
    """
    found = tx.scalar(
        "SELECT from_queue FROM case_escalations WHERE case_id = :id", {"id": case["case_id"]}
    )
    if found is None:
        message = f"case {case['case_id']} is not escalated"
        raise ConflictError(message, case_id=case["case_id"])
    tx.execute("DELETE FROM case_escalations WHERE case_id = :id", {"id": case["case_id"]})
    _requeued(tx, case, str(found))
    return str(found)


def end_handling(tx: Tx, case_ids: list[str]) -> None:
    """Nobody works on cases that are closed, and they neither sleep nor wait. Their notes stay."""
    for table in _PASSING:
        tx.execute(
            f"DELETE FROM {table} WHERE case_id IN {listed(tx, 'ids')}",
            {"ids": canonical_json(case_ids)},
        )


def first_queue(tx: Tx, case: Row) -> str:
    """Return the queue in which an open case was opened: another one only while it is escalated."""
    found = tx.scalar(
        "SELECT from_queue FROM case_escalations WHERE case_id = :id", {"id": case["case_id"]}
    )
    return str(found or case["queue"])


def _requeued(tx: Tx, case: Row, queue: str) -> None:
    values = {"queue": queue, "lock_version": case["lock_version"] + 1}
    where = {"case_id": case["case_id"], "lock_version": case["lock_version"], "status": "open"}
    if tx.update("cases", values, where=where) != 1:
        message = f"case {case['case_id']} changed meanwhile: reload it"
        raise ConflictError(message, case_id=case["case_id"])
