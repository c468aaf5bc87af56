"""One decision for all cases of one cause, after a sample of them was looked at one by one.

The decision is written down with its members first; then each member is decided in a transaction of
its own, as a person would have done it. A crash leaves members pending, and :func:`carry_on`, which
server and worker call now and then, goes on where it ended.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from prebill import audit
from prebill.bootstrap import Installation
from prebill.core.errors import ConflictError, InputError, NotFoundError, PrebillError
from prebill.core.triage.causes import LEAST_GROUP, agrees, sample_size
from prebill.store import grouping
from prebill.store.cases import verdicts_on
from prebill.store.engine import Row, Tx
from prebill.store.grouping import GroupDecision
from prebill.store.handling import ESCALATED, open_case
from prebill.store.users import Actor
from prebill.workflows import resolve
from prebill.workflows.claiming import may_decide_escalated

GroupVerdict = Literal["release", "reject"]
#: Members that are decided before the list of pending ones is read again.
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Sampled:
    """The members of a cause that are looked at one by one, and what was found there."""

    case_ids: tuple[str, ...]
    verdicts: tuple[str, ...]
    #: Members that still wait, sampled ones included.
    waiting: int

    @property
    def is_complete(self) -> bool:
        """Whether every sampled case was decided."""
        return len(self.verdicts) == len(self.case_ids)

    def supports(self, verdict: GroupVerdict) -> bool:
        """Whether the rest may follow with this verdict."""
        return self.is_complete and agrees(verdict, self.verdicts)


def sampled(tx: Tx, cause: str) -> Sampled:
    """Draw the sample of a cause by hash, so that nobody chooses what is looked at.

    It is of all members that wait or were decided by a person: who decides some does not change
    which ones were to be looked at, unless new members come.
    """
    every = grouping.judged_members(tx, cause)
    drawn = sorted(every, key=lambda one: _place(cause, one))[: sample_size(len(every))]
    return Sampled(
        tuple(str(one["case_id"]) for one in drawn),
        tuple(str(one["verdict"]) for one in drawn if one["verdict"]),
        sum(one["status"] == "open" for one in every),
    )


def _place(cause: str, member: Row) -> str:
    return hashlib.sha256(f"{cause}|{member['case_id']}".encode()).hexdigest()


def decide_group(
    opened: Installation, actor: Actor, cause: str, verdict: GroupVerdict, reason: str, note: str
) -> str:
    """Write down one verdict for all waiting members of a cause; return its id.

    :func:`carry_on` then does it. Members that are escalated stay, for who may not decide those.

    Raises
    ------
    InputError
        No reason was given.
    NotFoundError
        Fewer than ``LEAST_GROUP`` cases of that cause wait.
    ConflictError
        The sample was not looked at, or it says otherwise.
    """
    if not reason.strip():
        raise InputError("say why: a reason becomes the label of every case of the group")
    with opened.store.transaction() as tx:
        found = sampled(tx, cause)
        if found.waiting < LEAST_GROUP and not found.verdicts:
            message = f"no group of cases waits with the cause {cause}"
            raise NotFoundError(message, cause=cause)
        if not found.is_complete:
            left = len(found.case_ids) - len(found.verdicts)
            message = f"look at {left} more of the {len(found.case_ids)} sampled cases first"
            raise ConflictError(message, cause=cause)
        if not found.supports(verdict):
            wrong = sum(one != "release" for one in found.verdicts)
            message = (
                f"{wrong} of {len(found.verdicts)} sampled cases were found to be wrong: "
                f"the rest can't be decided at once by {verdict}"
            )
            raise ConflictError(message, cause=cause)
        waiting = grouping.members(tx, cause)
        if not may_decide_escalated(actor):
            waiting = [one for one in waiting if one["queue"] != ESCALATED]
        if not waiting:
            message = f"no case of the cause {cause} waits for you"
            raise NotFoundError(message, cause=cause)
        decision_id = f"group:{secrets.token_hex(6)}"
        decision = GroupDecision(decision_id, cause, verdict, reason, note, len(found.case_ids))
        grouping.keep(tx, decision, waiting, actor.user_id)
        detail: dict[str, object] = {
            "cause": cause,
            "verdict": verdict,
            "cases": len(waiting),
            "sampled": list(found.case_ids),
        }
        audit.record(tx, actor.user_id, "group.decided", decision_id, detail)
    return decision_id


def carry_on(opened: Installation, decision_id: str) -> None:
    """Decide what is pending of a decision, one case a transaction; safe to call at once twice."""
    with opened.store.read() as tx:
        decision = tx.get("group_decisions", decision_id=decision_id)
    while True:
        with opened.store.read() as tx:
            batch = grouping.pending(tx, decision_id, _BATCH)
        if not batch:
            break
        for member in batch:
            _decide_member(opened, decision, member)
    with opened.store.transaction() as tx:
        grouping.finish(tx, decision_id)


def carry_on_all(opened: Installation) -> int:
    """Go on with every decision that is not finished; return how many there were."""
    with opened.store.read() as tx:
        unfinished = grouping.running(tx)
    for decision in unfinished:
        carry_on(opened, decision["decision_id"])
    return len(unfinished)


def _decide_member(opened: Installation, decision: Row, member: Row) -> None:
    work = resolve.release if decision["verdict"] == "release" else resolve.reject
    case_id, actor = member["case_id"], decision["entered_by"]
    note = f"{decision['note']} [{decision['decision_id']}]".strip()
    status, message = "done", None
    try:
        done = work(
            opened, case_id, actor, member["lock_version"], decision["reason_code"], note=note
        )
        if done.left:
            status, message = "refused", f"signed; {done.left} more must sign"
    except PrebillError as error:
        if not _was_done(opened, case_id, decision["decision_id"]):
            status, message = "refused", str(error)
    with opened.store.transaction() as tx:
        grouping.settled(tx, decision["decision_id"], case_id, status, message)


def _was_done(opened: Installation, case_id: str, decision_id: str) -> bool:
    """Whether this very decision closed the case before a crash, or in another process."""
    with opened.store.read() as tx:
        case = tx.get("cases", case_id=case_id)
        found = [one for one in verdicts_on(tx, case["draft_id"]) if one["case_id"] == case_id]
    return any(f"[{decision_id}]" in (one["note"] or "") for one in found)


def detach(opened: Installation, case_id: str, actor: str) -> None:
    """Let a case stand alone: a decision on its group does not reach it.

    Raises
    ------
    NotFoundError, ConflictError
        There is no such case; it is closed, or stands alone.
    """
    with opened.store.transaction() as tx:
        open_case(tx, case_id)
        if not grouping.detach(tx, case_id, actor):
            message = f"case {case_id} stands alone already"
            raise ConflictError(message, case_id=case_id)
        audit.record(tx, actor, "case.detached", case_id)
