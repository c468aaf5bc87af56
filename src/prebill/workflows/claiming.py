"""Who works on which case: claim, next best case, take over, let go; each is audited."""

from datetime import UTC, datetime

from prebill import audit
from prebill.bootstrap import Installation
from prebill.store import claims
from prebill.store.handling import ESCALATED
from prebill.store.users import Actor, Role


def may_decide_escalated(actor: Actor) -> bool:
    """Whether an escalated case may be decided by this person."""
    return actor.role >= Role.CONTROLLER


def claim(opened: Installation, case_id: str, actor: str) -> None:
    """Take or extend the lease of a case; see :func:`prebill.store.claims.claim`."""
    with opened.store.transaction() as tx:
        before = claims.owner_of(tx, case_id, datetime.now(UTC))
        claims.claim(tx, case_id, actor, datetime.now(UTC))
        if before is None:
            audit.record(tx, actor, "case.claimed", case_id)


def claim_next(opened: Installation, actor: Actor, *, queue: str = "") -> str | None:
    """Take the case that is worth most and that nobody else works on; None: nothing waits.

    What one has begun comes first: it is ended before something new. Who may not decide escalated
    cases gets none.
    """
    without = "" if may_decide_escalated(actor) else ESCALATED
    now_at = datetime.now(UTC)
    with opened.store.transaction() as tx:
        mine = claims.begun(tx, actor.user_id, now_at, queue=queue)
        if mine is not None:
            claims.claim(tx, mine, actor.user_id, now_at)
            return mine
        case_id = claims.claim_free(tx, actor.user_id, now_at, queue=queue, without_queue=without)
        if case_id is not None:
            audit.record(tx, actor.user_id, "case.claimed", case_id)
    return case_id


def take_over(opened: Installation, case_id: str, actor: str) -> None:
    """Take a case from whoever works on it."""
    with opened.store.transaction() as tx:
        before = claims.take_over(tx, case_id, actor, datetime.now(UTC))
        audit.record(tx, actor, "case.taken_over", case_id, {"from": before})


def let_go(opened: Installation, case_id: str, actor: str) -> None:
    """End one's own lease."""
    with opened.store.transaction() as tx:
        if claims.let_go(tx, case_id, actor):
            audit.record(tx, actor, "case.let_go", case_id)


def still_here(opened: Installation, case_id: str, actor: str) -> list[str]:
    """Extend one's own lease, if there is one; return the names of who else has the case open."""
    now_at = datetime.now(UTC)
    with opened.store.transaction() as tx:
        owner = claims.owner_of(tx, case_id, now_at)
        if owner is not None and owner["user_id"] == actor:
            claims.claim(tx, case_id, actor, now_at)
        claims.seen(tx, case_id, actor, now_at)
        return claims.viewers_of(tx, case_id, actor, now_at)
