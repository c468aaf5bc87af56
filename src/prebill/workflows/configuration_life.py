"""The life of what moves money: draft, simulation, review by another person, live from a time.

Every step is conditional on the version that its author saw and stands in the audit log. What is in
force follows from the rows and the clock alone (`store/configurations.py`); `settle` only writes
down what is so already.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from prebill import audit
from prebill.bootstrap import Installation
from prebill.core.errors import ConflictError, ForbiddenError, InputError
from prebill.store import configurations as store
from prebill.store.codec import canonical_json, instant_text
from prebill.store.configurations import INSTALLER, Status, Version, Wording
from prebill.store.engine import Tx
from prebill.store.model_changes import name_of
from prebill.store.users import Actor, Role
from prebill.workflows.configuration_kinds import KINDS, Kind, kind_named

MAX_CHARACTERS: Final = 200_000
MAX_NOTE: Final = 2_000
#: Nothing of an approval stays with a version that goes back to its author.
_UNDECIDED: Final = dict.fromkeys(
    (
        *("submitted_at", "simulation", "simulated_hash", "simulated_at", "compared_with"),
        *("approved_by", "approved_at", "live_from_at"),
    )
)


class Step(StrEnum):
    """What a person may do with a version."""

    EDIT = "edit"
    SUBMIT = "submit"
    APPROVE = "approve"
    SEND_BACK = "send-back"
    ACTIVATE = "activate"
    WITHDRAW = "withdraw"
    ROLL_BACK = "roll-back"


class Who(StrEnum):
    """Which people of the role a step is for."""

    AUTHOR = "the author"
    OTHER = "somebody other than the author"
    ANYBODY = "anybody"


@dataclass(frozen=True, slots=True)
class Rule:
    """From which statuses a step leads on, and who may take it, from which role on."""

    role: Role
    who: Who
    statuses: tuple[Status, ...]


#: Who drafts moves nothing, so that reviewers may; who lets money move is a controller. Rolling
#: back takes one person: two agreed to what comes back, and a bad night can't wait for a second.
RULES: Final = {
    Step.EDIT: Rule(Role.REVIEWER, Who.AUTHOR, (Status.DRAFT,)),
    Step.SUBMIT: Rule(Role.REVIEWER, Who.AUTHOR, (Status.DRAFT, Status.IN_REVIEW)),
    Step.WITHDRAW: Rule(Role.REVIEWER, Who.AUTHOR, (Status.DRAFT, Status.IN_REVIEW)),
    Step.APPROVE: Rule(Role.CONTROLLER, Who.OTHER, (Status.IN_REVIEW,)),
    Step.SEND_BACK: Rule(Role.CONTROLLER, Who.ANYBODY, (Status.IN_REVIEW, Status.APPROVED)),
    Step.ACTIVATE: Rule(Role.CONTROLLER, Who.ANYBODY, (Status.APPROVED,)),
    Step.ROLL_BACK: Rule(Role.CONTROLLER, Who.ANYBODY, (Status.LIVE,)),
}
DRAFTS_FROM: Final = Role.REVIEWER


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wrote, and why."""

    content: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A step that somebody asks for; ``lock_version`` is the one they saw, None: the present one.

    ``reason`` goes into the audit log; ``live_from_at`` is for activation alone, None: now.
    """

    number: int
    step: Step
    lock_version: int | None = None
    reason: str = ""
    live_from_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Scene:
    """Everything that a step works with."""

    opened: Installation
    kind: Kind
    order: Order
    actor: Actor
    now_at: datetime


# ── Writing ──────────────────────────────────────────────────────────────────────────────────


def draft(opened: Installation, kind: str, given: Draft, actor: Actor) -> Version:
    """Enter a new draft.

    Raises
    ------
    PrebillError
        The text is wrong (the kind's own error names where), or too long.
    ForbiddenError
        The actor may not draft.
    ConflictError
        Somebody else entered one at the same moment.
    """
    _require_at_least(actor, DRAFTS_FROM)
    wording = checked(kind, given)
    with opened.store.transaction() as tx:
        made = store.add(tx, kind, wording, given.note.strip(), actor.user_id)
        _record(tx, actor.user_id, "drafted", made)
    return made


def edit(
    opened: Installation, kind: str, number: int, given: Draft, actor: Actor, *, lock_version: int
) -> Version:
    """Change one's own draft."""
    require_role(actor, Step.EDIT)
    with opened.store.transaction() as tx:
        version = store.find(tx, kind, number)
        _require(tx, version, Step.EDIT, actor, lock_version)
        wording = checked(kind, given)
        values = {"name": wording.name, "digest": wording.digest, "note": given.note.strip()}
        text_hash = store.keep_text(tx, kind, wording)
        done = store.move(tx, version, **values, text_hash=text_hash)
        _record(tx, actor.user_id, "edited", done)
    return done


def checked(kind: str, given: Draft) -> Wording:
    """Read a text as the program would.

    Raises
    ------
    PrebillError
        The kind's own error names what is wrong and where.
    InputError
        It is empty or too long.
    """
    if not given.content.strip() or len(given.content) > MAX_CHARACTERS:
        message = f"the text must have 1 to {MAX_CHARACTERS:,} characters"
        raise InputError(message)
    if len(given.note) > MAX_NOTE:
        message = f"the note must have at most {MAX_NOTE:,} characters"
        raise InputError(message)
    # Browsers send other line ends than files have: a text is the same text either way.
    content = given.content.replace("\r\n", "\n").rstrip() + "\n"
    return kind_named(kind).read(content)


# ── Steps ────────────────────────────────────────────────────────────────────────────────────


def carry_out(opened: Installation, kind: str, order: Order, actor: Actor) -> Version:
    """Take a step; return the version as it is then (of a roll-back: the one that came back).

    Raises
    ------
    ForbiddenError
        Another role, or another person, must do this.
    ConflictError
        Somebody changed or decided it meanwhile, or its status does not allow the step.
    NotFoundError
        There is no such version.
    """
    if order.step not in _STEPS:
        message = f"{order.step} needs a text"
        raise InputError(message)
    require_role(actor, order.step)
    settle(opened, kind)
    return _STEPS[order.step](_Scene(opened, kind_named(kind), order, actor, datetime.now(UTC)))


def next_steps(version: Version, actor: Actor) -> tuple[Step, ...]:
    """Return what this person may do with a version now."""
    return tuple(
        step
        for step, rule in RULES.items()
        if actor.role >= rule.role
        and version.status in rule.statuses
        and _is_for(rule, version, actor)
        and (step is not Step.ROLL_BACK or version.replaces_number is not None)
    )


def _submit(scene: _Scene) -> Version:
    """Simulate the draft against what is in force and hand both to another person."""
    with scene.opened.store.read() as tx:
        version = _seen(tx, scene)
        present = wording_in_force(scene.opened, tx, scene.kind, scene.now_at)
    if present.digest == version.digest:
        message = f"{version.title} says the same as what is in force: there is nothing to review"
        raise InputError(message, number=version.number)
    found = scene.kind.simulate(scene.opened, version.content)
    with scene.opened.store.transaction() as tx:
        store.hold(tx, version.kind)
        _require_in_force(scene, tx, present.digest, version)
        done = store.move(
            tx,
            version,
            status=Status.IN_REVIEW.value,
            submitted_at=instant_text(scene.now_at),
            simulation=canonical_json(found),
            simulated_hash=version.text_hash,
            simulated_at=instant_text(scene.now_at),
            compared_with=present.digest,
        )
        _record(tx, scene.actor.user_id, "submitted", done, compared_with=present.digest)
    return done


def _approve(scene: _Scene) -> Version:
    with _changing(scene) as (tx, version):
        _require_in_force(scene, tx, version.compared_with or "", version)
        waiting = store.with_status(tx, version.kind, Status.APPROVED)
        if waiting is not None:
            message = f"{waiting.title} is approved and waits: activate it or send it back first"
            raise ConflictError(message, number=waiting.number)
        values = {"approved_by": scene.actor.user_id, "approved_at": instant_text(scene.now_at)}
        done = store.move(tx, version, status=Status.APPROVED.value, **values)
        _record(tx, scene.actor.user_id, "approved", done, reason=scene.order.reason)
    return done


def _send_back(scene: _Scene) -> Version:
    _require_reason(scene)
    with _changing(scene) as (tx, version):
        done = store.move(tx, version, status=Status.DRAFT.value, **_UNDECIDED)
        _record(tx, scene.actor.user_id, "sent_back", done, reason=scene.order.reason)
    return done


def _withdraw(scene: _Scene) -> Version:
    with _changing(scene) as (tx, version):
        done = store.move(tx, version, status=Status.WITHDRAWN.value)
        _record(tx, scene.actor.user_id, "withdrawn", done, reason=scene.order.reason)
    return done


def _activate(scene: _Scene) -> Version:
    """Put an approved version in force, now or from an instant on."""
    wanted_at = scene.order.live_from_at or scene.now_at
    if wanted_at.tzinfo is None:
        message = "say the instant with its time zone, for example 2026-12-01T00:00:00+01:00"
        raise InputError(message)
    if wanted_at < scene.now_at:
        message = f"{instant_text(wanted_at)} has passed: leave the time out to activate now"
        raise InputError(message)
    with _changing(scene) as (tx, version):
        _require_in_force(scene, tx, version.compared_with or "", version)
        if wanted_at > scene.now_at:
            done = store.move(tx, version, live_from_at=instant_text(wanted_at))
            _record(
                tx, scene.actor.user_id, "scheduled", done, live_from_at=instant_text(wanted_at)
            )
            return done
        return _go_live(scene.opened, tx, version, wanted_at, scene.actor.user_id)


def _roll_back(scene: _Scene) -> Version:
    """Put what was in force before in force again, at once; what waits for its time is stopped."""
    _require_reason(scene)
    at = instant_text(scene.now_at)
    with _changing(scene) as (tx, version):
        if version.replaces_number is None:
            message = f"{version.title} is the first: there is none to go back to"
            raise ConflictError(message, number=version.number)
        waiting = store.with_status(tx, version.kind, Status.APPROVED)
        if waiting is not None:
            stopped = store.move(tx, waiting, status=Status.DRAFT.value, **_UNDECIDED)
            why = f"{version.title} was rolled back: it was compared with that one"
            _record(tx, scene.actor.user_id, "sent_back", stopped, reason=why)
        gone = store.move(tx, version, status=Status.RETIRED.value, retired_at=at)
        before = store.find(tx, version.kind, version.replaces_number)
        back = store.move(tx, before, status=Status.LIVE.value, live_at=at, retired_at=None)
        detail = {"to": back.number, "reason": scene.order.reason}
        _record(tx, scene.actor.user_id, "rolled_back", gone, **detail)
        _record(tx, scene.actor.user_id, "live_again", back, instead_of=version.number)
    return back


_STEPS: Final[dict[Step, Callable[[_Scene], Version]]] = {
    Step.SUBMIT: _submit,
    Step.APPROVE: _approve,
    Step.SEND_BACK: _send_back,
    Step.WITHDRAW: _withdraw,
    Step.ACTIVATE: _activate,
    Step.ROLL_BACK: _roll_back,
}


# ── What is in force ─────────────────────────────────────────────────────────────────────────


def wording_in_force(opened: Installation, tx: Tx, kind: Kind, now_at: datetime) -> Wording:
    """Return the text in force, from the database or as installed."""
    found = store.in_force(tx, kind.name, now_at)
    if found is not None:
        return Wording(found.name, found.digest, found.content)
    return kind.read(kind.installed(opened.settings))


def settle(opened: Installation, kind: str) -> Version | None:
    """Write down that a version whose time has come is live; None: nothing was due.

    It was in force from its instant on, whether or not this was called. Any number of processes
    may call it: one finds the rows as they were.
    """
    now_at = datetime.now(UTC)
    with opened.store.read() as tx:
        due = store.in_force(tx, kind, now_at)
    if due is None or due.status is not Status.APPROVED:
        return None
    try:
        with opened.store.transaction() as tx:
            store.hold(tx, kind)
            due = store.find(tx, kind, due.number)
            if due.status is not Status.APPROVED or not due.live_from_at:
                return None
            return _go_live(opened, tx, due, _instant(due.live_from_at), INSTALLER)
    except ConflictError:  # another process was faster, or a person stopped it
        return None


def upkeep(opened: Installation) -> None:
    """Settle every kind; keep each text in force, so that what it decided can be derived again."""
    for kind in KINDS.values():
        settle(opened, kind.name)
        with opened.store.read() as tx:
            present = wording_in_force(opened, tx, kind, datetime.now(UTC))
            is_kept = store.text_of(tx, kind.name, present.digest) is not None
        if not is_kept:
            with opened.store.transaction() as tx:
                store.keep_text(tx, kind.name, present)


def _go_live(opened: Installation, tx: Tx, version: Version, at: datetime, actor: str) -> Version:
    """Retire what is live and put the version in its place; the first one replaces number 0."""
    before = store.with_status(tx, version.kind, Status.LIVE)
    if before is None:
        kind = kind_named(version.kind)
        installed = kind.read(kind.installed(opened.settings))
        before = store.add_installed(tx, version.kind, installed, at)
    else:
        at_text = instant_text(at)
        before = store.move(tx, before, status=Status.RETIRED.value, retired_at=at_text)
    _record(tx, actor, "retired", before, by=version.number)
    done = store.move(
        tx,
        version,
        status=Status.LIVE.value,
        live_from_at=instant_text(at),
        live_at=instant_text(at),
        replaces_number=before.number,
    )
    _record(tx, actor, "live", done, instead_of=before.number)
    return done


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ── Who may, and on what ─────────────────────────────────────────────────────────────────────


@contextmanager
def _changing(scene: _Scene) -> Iterator[tuple[Tx, Version]]:
    """Open the transaction of a step, in which nobody else changes what is in force."""
    with scene.opened.store.transaction() as tx:
        store.hold(tx, scene.kind.name)
        yield tx, _seen(tx, scene)


def _seen(tx: Tx, scene: _Scene) -> Version:
    """Return the version, if it is as the actor saw it and they may take the step."""
    version = store.find(tx, scene.kind.name, scene.order.number)
    _require(tx, version, scene.order.step, scene.actor, scene.order.lock_version)
    return version


def _require(tx: Tx, version: Version, step: Step, actor: Actor, lock_version: int | None) -> None:
    rule = RULES[step]
    if lock_version not in (None, version.lock_version):
        raise store.changed_meanwhile(tx, version)
    if version.status not in rule.statuses:
        allowed = " or ".join(status.replace("_", " ") for status in rule.statuses)
        message = (
            f"{version.title} is {version.status.replace('_', ' ')}: "
            f"{step} is for what is {allowed}"
        )
        raise ConflictError(message, number=version.number, status=version.status.value)
    if not _is_for(rule, version, actor):
        author = name_of(tx, version.entered_by)
        message = f"{author} wrote {version.title}: {step} is for {rule.who}"
        raise ForbiddenError(message, number=version.number)


def _is_for(rule: Rule, version: Version, actor: Actor) -> bool:
    if rule.who is Who.ANYBODY:
        return True
    return (version.entered_by == actor.user_id) == (rule.who is Who.AUTHOR)


def require_role(actor: Actor, step: Step) -> None:
    """Refuse a step to whoever has a smaller role than it needs.

    Raises
    ------
    ForbiddenError
        The message says which role is needed.
    """
    _require_at_least(actor, RULES[step].role)


def _require_at_least(actor: Actor, role: Role) -> None:
    if actor.role < role:
        needed, present = role.name.lower(), actor.role.name.lower()
        message = f"this needs the role {needed} or above; you are signed in as {present}"
        raise ForbiddenError(message, needed=needed, present=present)


def _require_in_force(scene: _Scene, tx: Tx, digest: str, version: Version) -> None:
    """An approval is of a comparison: it must be with what is in force now."""
    if wording_in_force(scene.opened, tx, scene.kind, scene.now_at).digest != digest:
        message = (
            f"what is in force changed since {version.title} was simulated: "
            "its author submits it again"
        )
        raise ConflictError(message, number=version.number)


def _require_reason(scene: _Scene) -> None:
    if not scene.order.reason.strip():
        message = f"say why: {scene.order.step} needs a reason"
        raise InputError(message)


def _record(tx: Tx, actor: str, what: str, version: Version, **detail: object) -> None:
    """Write to the audit log; with the hash its text can be found for ever."""
    said: dict[str, object] = {
        "status": version.status.value,
        "digest": version.digest,
        "text_hash": version.text_hash,
        **{name: value for name, value in detail.items() if value != ""},
    }
    audit.record(tx, actor, f"{version.kind}.{what}", version.object_id, said)
