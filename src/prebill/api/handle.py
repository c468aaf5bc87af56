"""What somebody does with a case short of deciding it, the same for HTTP, console and terminal."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from prebill.api.auth import require
from prebill.bootstrap import Installation
from prebill.core.errors import InputError
from prebill.store.users import Actor, Role

if TYPE_CHECKING:
    from prebill.store.handling import File

Act = Literal["comment", "ask", "answer", "snooze", "wake", "escalate", "send-back"]

#: Who may: any reader says something; who decides moves a case; who decides escalated ones returns
#: them.
NEEDED: Final[dict[Act, Role]] = {
    "comment": Role.VIEWER,
    "answer": Role.VIEWER,
    "ask": Role.REVIEWER,
    "snooze": Role.REVIEWER,
    "wake": Role.REVIEWER,
    "escalate": Role.REVIEWER,
    "send-back": Role.CONTROLLER,
}
#: Act → what it does.
MEANINGS: Final[dict[Act, str]] = {
    "comment": "Keep words, and a file, on a case",
    "ask": "Ask a colleague; the case leaves the queue until they answer",
    "answer": "Answer what one was asked; the case is back on the queue",
    "snooze": "Take a case off the queue until a time before its deadline",
    "wake": "Put a case that sleeps, or waits for an answer, back on the queue",
    "escalate": "Give a case to those with more authority: a controller decides it",
    "send-back": "Return an escalated case to its queue, with an answer",
}


@dataclass(frozen=True, slots=True)
class Handling:
    """What to do, with its words; ``until_at`` for snooze, ``of`` (an e-mail address) for ask."""

    act: Act
    case_id: str
    text: str = ""
    until_at: datetime | None = None
    of: str = ""
    file: "File | None" = None


def handle(opened: Installation, actor: Actor, asked: Handling) -> None:
    """Carry it out.

    Raises
    ------
    ForbiddenError
        The actor may not do this, or was not asked.
    InputError
        Words, address or instant are absent or can't be used.
    NotFoundError, ConflictError
        There is no such case; it is closed, or somebody else works on it.
    """
    from prebill.workflows import handling

    require(actor, NEEDED[asked.act])
    case_id, user_id, text = asked.case_id, actor.user_id, asked.text
    match asked.act:
        case "comment":
            handling.comment(opened, case_id, user_id, text, file=asked.file)
        case "ask":
            handling.ask(opened, case_id, user_id, asked.of, text)
        case "answer":
            handling.answer(opened, case_id, user_id, text)
        case "snooze":
            if asked.until_at is None or asked.until_at.tzinfo is None:
                message = "say until when, with a time zone: 2026-12-01T09:00Z"
                raise InputError(message)
            handling.snooze(opened, case_id, user_id, asked.until_at, text)
        case "wake":
            handling.wake(opened, case_id, user_id)
        case "escalate":
            handling.escalate(opened, case_id, user_id, text)
        case "send-back":
            handling.send_back(opened, case_id, user_id, text)
