"""A case short of its decision: what people said, who was asked, until when it sleeps."""

from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from prebill.bootstrap import Installation
from prebill.console import words
from prebill.console.links import case_href, group_href
from prebill.console.sessions import Visitor
from prebill.console.views import Handled, NoteRow, Option
from prebill.store.codec import instant_text, parse_instant
from prebill.store.engine import Tx
from prebill.store.grouping import cause_of
from prebill.store.handling import ESCALATED, notes_of
from prebill.store.users import Role
from prebill.workflows import approving
from prebill.workflows.approving import Standing
from prebill.workflows.claiming import may_decide_escalated

#: Hours that a reviewer may let a case sleep, as long as its deadline is later.
_SLEEPS: Final = {1: "1 hour", 4: "4 hours", 24: "1 day", 72: "3 days", 168: "1 week"}
_SAID: Final = {
    "comment": "commented",
    "question": "asked",
    "answer": "answered",
    "snooze": "let it sleep",
    "wake": "put it back on the queue",
    "escalation": "escalated",
    "sent_back": "sent it back",
}
_KIB: Final = 1024


def handled(
    tx: Tx, opened: Installation, case: dict[str, Any], visitor: Visitor, now_at: datetime
) -> Handled:
    """Say where a case stands, and what this visitor may do with it."""
    standing = approving.standing(tx, opened, case) if case["status"] == "open" else None
    shared = cause_of(tx, case["case_id"]) if case["status"] == "open" else None
    is_escalated = case["queue"] == ESCALATED
    return Handled(
        pause=_pause(case),
        is_paused=bool(case["pause"]),
        is_asked=case["asked_id"] == visitor.actor.user_id,
        is_escalated=is_escalated,
        needs_authority=is_escalated and not may_decide_escalated(visitor.actor),
        sleeps=_sleeps(case, now_at),
        group_href=group_href(shared[0]) if shared else "",
        group=f"One of {words.counted(shared[1], 'case')} with one cause" if shared else "",
        approval=_approval(standing),
        may_release=standing is None or approving.may_sign(tx, opened, case, visitor.actor),
        may_break_glass=standing is not None and visitor.actor.role >= Role.CONTROLLER,
        notes=tuple(_note(case["case_id"], row) for row in notes_of(tx, case["case_id"])),
    )


def _approval(standing: Standing | None) -> str:
    """Say what a release takes where one person of any role is not enough."""
    if standing is None:
        return ""
    if not standing.roles:
        return "Nobody may release this: its total is above every limit of the policy."
    if standing.people == 1:
        return f"Releasing this takes a {' or '.join(standing.roles)}."
    signed = ", ".join(str(one["name"] or one["user_id"]) for one in standing.signed)
    said = f" Signed by {signed}, {standing.left} more." if signed else ""
    return f"Releasing this takes {standing.needs}.{said}"


def _pause(case: dict[str, Any]) -> str:
    if not case["pause"]:
        return ""
    until = words.instant(case["paused_until"])
    if case["pause"] == "question":
        return (
            f"Waits for an answer from {case['asked'] or case['asked_id']}, at most until {until}."
        )
    return f"Sleeps until {until}."


def _sleeps(case: dict[str, Any], now_at: datetime) -> tuple[Option, ...]:
    due_at = parse_instant(case["due_at"])
    return tuple(
        Option(instant_text(now_at + timedelta(hours=hours)), name, is_chosen=False)
        for hours, name in _SLEEPS.items()
        if now_at + timedelta(hours=hours) < due_at
    )


def _note(case_id: str, row: dict[str, Any]) -> NoteRow:
    size = -(-(row["size"] or 0) // _KIB)
    return NoteRow(
        at=words.instant(row["entered_at"]),
        author=row["author"] or row["entered_by"],
        said=_SAID[row["kind"]],
        text=row["text"],
        file_name=row["file_name"] or "",
        file_size=f"{size:,} KiB",
        file_href=f"{case_href(case_id)}/files/{quote(str(row['seq']))}",
    )
