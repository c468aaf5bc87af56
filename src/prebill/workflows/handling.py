"""What people do with a case before they decide it: comment, ask, answer, snooze, escalate.

A deadline stays what it was when the case was opened: nothing here moves it, and a case can't
sleep past it. Each act is a note with its author, and is audited without its words.
"""

from datetime import UTC, datetime
from typing import Final

from prebill import audit
from prebill.bootstrap import Installation
from prebill.core.errors import ForbiddenError, InputError
from prebill.store import handling
from prebill.store.claims import require_mine
from prebill.store.codec import parse_instant
from prebill.store.engine import Row, Tx
from prebill.store.handling import File

MAX_TEXT: Final = 2_000
MAX_FILE: Final = 5_000_000
MAX_FILE_NAME: Final = 200


def comment(
    opened: Installation, case_id: str, actor: str, text: str, *, file: File | None = None
) -> None:
    """Keep words, and a file, on a case; also on one that is closed.

    Raises
    ------
    InputError
        There are no words, or too many; the file is empty or too large.
    NotFoundError
        There is no such case.
    """
    said = _said(text, "write the comment")
    if file is not None and not 0 < len(file.content) <= MAX_FILE:
        message = f"a file has 1 byte to {MAX_FILE // 1_000_000} MB: {file.name} does not"
        raise InputError(message)
    if file is not None and not 0 < len(file.name) <= MAX_FILE_NAME:
        message = f"a file's name has 1 to {MAX_FILE_NAME} characters"
        raise InputError(message)
    with opened.store.transaction() as tx:
        tx.get("cases", case_id=case_id)
        handling.add_note(tx, case_id, "comment", said, actor, file=file)
        audit.record(tx, actor, "case.commented", case_id)


def snooze(opened: Installation, case_id: str, actor: str, until_at: datetime, text: str) -> None:
    """Take a case off the queue until an instant before its deadline, and say why.

    Raises
    ------
    InputError
        There is no reason; the instant is past, or not before the deadline.
    NotFoundError, ConflictError
        There is no such case; it is closed, or somebody else works on it.
    """
    said = _said(text, "say why it may wait")
    with opened.store.transaction() as tx:
        case = _mine(tx, case_id, actor)
        if until_at <= datetime.now(UTC):
            message = "a case sleeps until a time to come"
            raise InputError(message, until=until_at.isoformat())
        if until_at >= parse_instant(case["due_at"]):
            message = (
                f"a case can't sleep past its deadline, {case['due_at'][:16]} UTC: escalate it"
            )
            raise InputError(message, due_at=case["due_at"])
        handling.pause(tx, case_id, until_at, actor)
        _noted(tx, case_id, actor, "snooze", said)


def ask(opened: Installation, case_id: str, actor: str, of: str, text: str) -> None:
    """Ask a colleague; the case leaves the queue until they answer, or until its deadline.

    Raises
    ------
    InputError
        There is no question; ``of`` is nobody's e-mail address, or one's own.
    NotFoundError, ConflictError
        There is no such case; it is closed, or somebody else works on it.
    """
    said = _said(text, "write the question")
    with opened.store.transaction() as tx:
        case = _mine(tx, case_id, actor)
        asked = tx.first(
            "SELECT user_id FROM users WHERE email = :email AND is_active",
            {"email": of.strip().lower()},
        )
        if asked is None or asked["user_id"] == actor:
            message = f"{of.strip()!r} is no e-mail address of a colleague who may sign in"
            raise InputError(message)
        due_at = parse_instant(case["due_at"])
        handling.pause(tx, case_id, due_at, actor, asked_user_id=asked["user_id"])
        _noted(tx, case_id, actor, "question", said, {"of": asked["user_id"]})


def answer(opened: Installation, case_id: str, actor: str, text: str) -> None:
    """Answer what one was asked; the case is back on the queue.

    Raises
    ------
    InputError
        There are no words.
    ForbiddenError
        Somebody else was asked, or nobody.
    NotFoundError, ConflictError
        There is no such case; it is closed.
    """
    said = _said(text, "write the answer")
    with opened.store.transaction() as tx:
        handling.open_case(tx, case_id)
        asked = tx.scalar(
            "SELECT asked_user_id FROM case_pauses WHERE case_id = :id", {"id": case_id}
        )
        if asked != actor:
            message = f"you were not asked about case {case_id}: comment instead"
            raise ForbiddenError(message, case_id=case_id)
        handling.end_pause(tx, case_id)
        _noted(tx, case_id, actor, "answer", said)


def wake(opened: Installation, case_id: str, actor: str) -> None:
    """Put a case that sleeps, or waits for an answer, back on the queue; else nothing happens."""
    with opened.store.transaction() as tx:
        handling.open_case(tx, case_id)
        if handling.end_pause(tx, case_id):
            _noted(tx, case_id, actor, "wake", "")


def escalate(opened: Installation, case_id: str, actor: str, text: str) -> None:
    """Give a case to those with more authority: a controller decides it, nobody below.

    Raises
    ------
    InputError
        There is no reason.
    NotFoundError, ConflictError
        There is no such case; it is closed, escalated, or somebody else works on it.
    """
    said = _said(text, "say why it needs more authority")
    with opened.store.transaction() as tx:
        case = _mine(tx, case_id, actor)
        handling.escalate(tx, case, actor)
        handling.end_pause(tx, case_id)
        tx.execute("DELETE FROM claims WHERE case_id = :id", {"id": case_id})
        _noted(tx, case_id, actor, "escalation", said)


def send_back(opened: Installation, case_id: str, actor: str, text: str) -> None:
    """Return an escalated case to its queue, with an answer.

    Raises
    ------
    InputError
        There are no words.
    NotFoundError, ConflictError
        There is no such case; it is closed, not escalated, or somebody else works on it.
    """
    said = _said(text, "say what the reviewer should do")
    with opened.store.transaction() as tx:
        case = _mine(tx, case_id, actor)
        queue = handling.send_back(tx, case)
        tx.execute("DELETE FROM claims WHERE case_id = :id", {"id": case_id})
        _noted(tx, case_id, actor, "sent_back", said, {"queue": queue})


def _mine(tx: Tx, case_id: str, actor: str) -> Row:
    case = handling.open_case(tx, case_id)
    require_mine(tx, case_id, actor, datetime.now(UTC))
    return case


def _said(text: str, otherwise: str) -> str:
    said = text.strip()
    if not said:
        raise InputError(otherwise)
    if len(said) > MAX_TEXT:
        message = f"that is longer than {MAX_TEXT} characters: attach it as a file"
        raise InputError(message)
    return said


def _noted(
    tx: Tx,
    case_id: str,
    actor: str,
    kind: str,
    text: str,
    detail: dict[str, object] | None = None,
) -> None:
    """The words go where they can be erased, the act into the audit log."""
    handling.add_note(tx, case_id, kind, text, actor)
    audit.record(tx, actor, _ACTIONS[kind], case_id, detail)


_ACTIONS: Final = {
    "snooze": "case.snoozed",
    "question": "case.asked",
    "answer": "case.answered",
    "wake": "case.woken",
    "escalation": "case.escalated",
    "sent_back": "case.sent_back",
}
