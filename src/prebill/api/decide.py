"""A decision on a case, the same for HTTP, console and terminal: who may, what must be said."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from prebill.api.auth import require
from prebill.api.reasons import coded
from prebill.bootstrap import Installation
from prebill.core.errors import ForbiddenError, InputError
from prebill.store.handling import ESCALATED
from prebill.store.users import Actor, Role
from prebill.workflows.claiming import may_decide_escalated

if TYPE_CHECKING:
    from prebill.workflows.resolve import Resolved

Kind = Literal["release", "correct", "reject"]
KINDS: Final[tuple[Kind, ...]] = ("release", "correct", "reject")
MAX_NOTE: Final = 2000


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided, and the version of the case that they saw."""

    kind: Kind
    case_id: str
    lock_version: int
    reason: str
    note: str = ""
    correction: Mapping[str, Any] | None = None
    #: Why a controller releases without the signatures that the policy wants.
    alone_because: str = ""


def decide(opened: Installation, actor: Actor, decision: Decision) -> "Resolved":
    """Carry a decision out.

    Raises
    ------
    ForbiddenError
        The actor may not decide, or corrected this very draft.
    InputError
        The reason or the correction is absent or malformed.
    NotFoundError, ConflictError
        There is no such case, or it changed meanwhile.
    """
    from prebill.workflows import resolve

    require(actor, Role.REVIEWER)
    if not decision.reason.strip():
        message = "say why: a reason becomes the label that the models learn from"
        raise InputError(message)
    code, note = coded(decision.reason, decision.note)
    if len(note) > MAX_NOTE:
        message = f"the note is longer than {MAX_NOTE} characters"
        raise InputError(message)
    case_id, version = decision.case_id, decision.lock_version
    _require_authority(opened, actor, case_id)
    if decision.kind == "release":
        return resolve.release(
            opened,
            case_id,
            actor.user_id,
            version,
            code,
            note=note,
            alone_because=decision.alone_because,
        )
    if decision.kind == "reject":
        return resolve.reject(opened, case_id, actor.user_id, version, code, note=note)
    if not decision.correction:
        message = "a correction says what is right: usage, subscription, tax status or a line"
        raise InputError(message)
    return resolve.correct(
        opened,
        case_id,
        actor.user_id,
        version,
        correction=dict(decision.correction),
        reason=code,
        note=note,
    )


def _require_authority(opened: Installation, actor: Actor, case_id: str) -> None:
    """Refuse who may not decide an escalated case; escalating changes its lock version."""
    if may_decide_escalated(actor):
        return
    with opened.store.read() as tx:
        queue = tx.get("cases", case_id=case_id)["queue"]
    if queue == ESCALATED:
        message = f"case {case_id} was escalated: a controller decides it"
        raise ForbiddenError(message, case_id=case_id)
