"""Who may let a draft go, alone or together, as the policy's approval matrix says.

A release by somebody whom the matrix does not count is refused and told whom it needs. One by
somebody whom it counts is a signature; the last one needed issues. Signatures bind to a version.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from prebill import audit
from prebill.bootstrap import Installation
from prebill.core.errors import ForbiddenError, InputError
from prebill.core.policy.approvals import ROLES, Approvals
from prebill.store import approvals as store
from prebill.store.approvals import Delegation
from prebill.store.engine import Row, Tx
from prebill.store.users import Actor, Role, find_user, get_actor

#: Kinds of cases whose release issues something.
_ISSUES: Final = ("draft", "gate")


@dataclass(frozen=True, slots=True)
class Standing:
    """How many people of which roles a release needs, and who has signed."""

    people: int
    roles: tuple[str, ...]
    signed: tuple[Row, ...]

    @property
    def left(self) -> int:
        """How many signatures are missing."""
        return max(self.people - len(self.signed), 0)

    @property
    def needs(self) -> str:
        """In words, for example ``2 of controller, admin``."""
        return f"{self.people} of {', '.join(self.roles)}" if self.roles else "nobody may"


def standing(tx: Tx, opened: Installation, case: Row) -> Standing | None:
    """Say what a release of a case needs; None: one person of any role."""
    rules = opened.load_policy().approvals
    if case["kind"] not in _ISSUES or not (rules.limits or rules.matrix):
        return None
    total_minor = store.total_of(tx, case)
    asked = pl.DataFrame(
        {
            "action": [case["action"]],
            "currency": [case["currency"]],
            "total_minor": pl.Series([total_minor or 0], dtype=pl.Int64),
        }
    )
    found = rules.needed(asked).row(0, named=True)
    roles = tuple(sorted(one for one in found["roles"].split(",") if one))
    signed = store.signatures_on(tx, case["draft_id"], case["draft_version"])
    return Standing(found["people"], roles, tuple(one for one in signed if one["role"] in roles))


def sign(tx: Tx, opened: Installation, case: Row, user_id: str) -> Standing | None:
    """Count somebody's release; return what it stands at then. None: it needs no one else.

    Raises
    ------
    ForbiddenError
        The matrix or a limit does not count this person: the message says whom it needs.
    """
    needed = standing(tx, opened, case)
    if needed is None:
        return None
    actor = get_actor(tx, user_id)
    counted = _counted_as(tx, opened.load_policy().approvals, needed, case, actor)
    if counted is None:
        message = (
            f"releasing this takes {needed.needs}; you are {actor.role.name.lower()}: escalate it"
        )
        raise ForbiddenError(message, case_id=case["case_id"], needs=needed.needs)
    role, on_behalf_of = counted
    store.sign(tx, case, user_id, role, on_behalf_of)
    after = standing(tx, opened, case)
    assert after is not None
    if after.people > 1 or on_behalf_of:
        detail: dict[str, object] = {"role": role, "left": after.left}
        detail |= {"on_behalf_of": on_behalf_of} if on_behalf_of else {}
        audit.record(tx, user_id, "case.signed", case["case_id"], detail)
    return after


def may_sign(tx: Tx, opened: Installation, case: Row, actor: Actor) -> bool:
    """Whether this person's release would count."""
    needed = standing(tx, opened, case)
    if needed is None:
        return True
    return _counted_as(tx, opened.load_policy().approvals, needed, case, actor) is not None


def _counted_as(
    tx: Tx, rules: Approvals, needed: Standing, case: Row, actor: Actor
) -> tuple[str, str | None] | None:
    """The role in which somebody counts, and for whom they stand in; the lower limit applies."""
    own = actor.role.name.lower()
    if own in needed.roles:
        return own, None
    total_minor = store.total_of(tx, case) or 0
    if not rules.is_within(own, case["currency"], total_minor):
        return None
    for other in store.stands_in_for(tx, actor.user_id, datetime.now(UTC)):
        if other["role"] in needed.roles:
            return str(other["role"]), str(other["user_id"])
    return None


def break_glass(tx: Tx, case: Row, user_id: str, reason: str) -> None:
    """Let a draft go without the signatures it needs, for somebody else to review later.

    Raises
    ------
    InputError
        No reason was given.
    ForbiddenError
        The actor is no controller.
    """
    if not reason.strip():
        raise InputError("say why this can't wait for the others")
    if get_actor(tx, user_id).role < Role.CONTROLLER:
        raise ForbiddenError("only a controller may release without the others")
    store.break_glass(tx, case, user_id, reason.strip())
    audit.record(tx, user_id, "case.glass_broken", case["case_id"])


def review_glass(opened: Installation, case_id: str, actor: Actor, review: str) -> None:
    """Say what one found about a release that somebody made alone.

    Raises
    ------
    InputError, ForbiddenError
        There are no words; it was one's own.
    NotFoundError, ConflictError
        The glass was not broken there; it was reviewed.
    """
    if not review.strip():
        raise InputError("say what you found")
    with opened.store.transaction() as tx:
        broken = tx.get("broken_glass", case_id=case_id)
        if broken["entered_by"] == actor.user_id:
            message = "you released this alone: somebody else must review it"
            raise ForbiddenError(message, case_id=case_id)
        store.review_glass(tx, case_id, actor.user_id, review.strip())
        audit.record(tx, actor.user_id, "case.glass_reviewed", case_id)


def delegate(
    opened: Installation,
    actor: Actor,
    to_email: str,
    from_at: datetime,
    until_at: datetime,
    *,
    reason: str,
    from_email: str = "",
) -> str:
    """Let a colleague stand in, from one instant to another; return the delegation's id.

    Raises
    ------
    InputError
        No reason, no colleague, or no time to come.
    ForbiddenError
        It is for somebody else and the actor is no administrator.
    NotFoundError
        There is no such user.
    """
    if not reason.strip():
        raise InputError("say why somebody stands in")
    if from_at >= until_at or until_at <= datetime.now(UTC):
        raise InputError("a delegation ends after it begins, at a time to come")
    with opened.store.transaction() as tx:
        absent = find_user(tx, from_email) if from_email else actor
        if absent.user_id != actor.user_id and actor.role < Role.ADMIN:
            raise ForbiddenError("only an administrator delegates for somebody else")
        stand_in = find_user(tx, to_email)
        if stand_in.user_id == absent.user_id:
            raise InputError("nobody stands in for themselves")
        get_actor(tx, stand_in.user_id)
        made = Delegation(
            f"delegation:{secrets.token_hex(6)}",
            *(absent.user_id, stand_in.user_id, from_at, until_at, reason.strip()),
        )
        store.delegate(tx, made, actor.user_id)
        detail: dict[str, object] = {
            "from": absent.user_id,
            "to": stand_in.user_id,
            "until_at": until_at.isoformat(),
        }
        audit.record(
            tx,
            actor.user_id,
            "authority.delegated",
            made.delegation_id,
            detail,
            stream=audit.Stream.ACCESS,
        )
    return made.delegation_id


def end_delegation(opened: Installation, actor: Actor, delegation_id: str) -> None:
    """End a delegation of one's own; an administrator ends any.

    Raises
    ------
    ForbiddenError
        It is somebody else's.
    NotFoundError, ConflictError
        There is none; it has ended.
    """
    with opened.store.transaction() as tx:
        row = store.end_delegation(tx, delegation_id)
        if actor.user_id != row["from_user_id"] and actor.role < Role.ADMIN:
            raise ForbiddenError("only who delegated, or an administrator, ends it")
        audit.record(
            tx,
            actor.user_id,
            "authority.delegation_ended",
            delegation_id,
            stream=audit.Stream.ACCESS,
        )


def nobody_may(tx: Tx, opened: Installation) -> list[str]:
    """Say which drafts nobody could let go with the users that there are now; before each run."""
    rules = opened.load_policy().approvals
    there = store.active_roles(tx)
    said = []
    for line in rules.matrix:
        people = sum(there.get(role, 0) for role in line.roles)
        if people < line.people:
            over = _limits_text(line.over)
            said.append(
                f"a {line.action} over {over} takes {line.people} of {', '.join(line.roles)}, and "
                f"there are {people}: add users, or change the policy"
            )
    unlimited = {role for role in ROLES if role not in rules.limits and there.get(role)}
    if rules.limits and not unlimited:
        said.append(
            "every role that has a user has a limit: a total above all of them can't be released"
        )
    return said


def _limits_text(over: Mapping[str, float]) -> str:
    shown = (
        f"{value:,.0f}" + (f" {name}" if name != "default" else "") for name, value in over.items()
    )
    return ", ".join(shown)
