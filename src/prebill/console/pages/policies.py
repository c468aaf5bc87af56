"""Policies: what is in force, one version with its text, difference and simulation, the editor."""

from datetime import UTC, datetime
from typing import Final

from prebill.bootstrap import Installation
from prebill.console import words
from prebill.console.pages.queue import viewer_of
from prebill.console.policy_views import (
    CodeLine,
    PoliciesPage,
    PolicyFormPage,
    PolicyPage,
    PolicyRow,
    StepButton,
)
from prebill.console.sessions import Visitor
from prebill.console.simulation import simulation_view
from prebill.console.views import Event, Fact
from prebill.core.errors import PrebillError
from prebill.store.configurations import (
    POLICY,
    Status,
    Version,
    find,
    in_force,
    simulation_of,
    versions,
)
from prebill.store.console import names_of
from prebill.store.engine import Tx
from prebill.workflows.configuration_history import Change, history, unified
from prebill.workflows.configuration_kinds import KINDS
from prebill.workflows.configuration_life import (
    DRAFTS_FROM,
    MAX_NOTE,
    Step,
    next_steps,
    wording_in_force,
)

#: What the address may say was done → the sentence.
NOTICES: Final = {
    "saved": "Saved. Submit it when it is ready.",
    "submit": "Submitted: another person is asked to approve it.",
    "approve": "Approved. It is in force once it is activated.",
    "send-back": "Sent back to its author.",
    "activate": "Activated.",
    "withdraw": "Withdrawn.",
    "roll-back": "Rolled back: this one is in force again.",
}
_BUTTONS: Final = {
    Step.APPROVE: ("Approve", "primary"),
    Step.ACTIVATE: ("Activate", "primary"),
    Step.SUBMIT: ("Submit for approval", "primary"),
    Step.SEND_BACK: ("Send back", "danger"),
    Step.WITHDRAW: ("Withdraw", "danger"),
    Step.ROLL_BACK: ("Roll back", "danger"),
}
_LOOKS: Final = {"+": "added", "-": "removed", "@": "place"}


def policies_page(tx: Tx, opened: Installation, visitor: Visitor) -> PoliciesPage:
    """Read every version."""
    now_at = datetime.now(UTC)
    live, names = in_force(tx, POLICY, now_at), names_of(tx)
    present = wording_in_force(opened, tx, KINDS[POLICY], now_at)
    source = f"version {live.number}" if live else "as installed: no version was activated yet"
    listed = sorted(versions(tx, POLICY), key=lambda one: one.status is not Status.LIVE)
    return PoliciesPage(
        title="Policies",
        viewer=viewer_of(visitor),
        in_force=f"In force: {present.name} {present.digest[:12]}, {source}.",
        rows=tuple(_row(one, names) for one in listed),
    )


def _row(version: Version, names: dict[str, str]) -> PolicyRow:
    return PolicyRow(
        href=policy_href(version.number),
        number=version.number,
        name=version.name,
        status=words.phrase(version.status),
        status_class=version.status.value,
        author=names.get(version.entered_by, version.entered_by),
        changed=words.instant(
            version.live_at or version.approved_at or version.submitted_at or version.entered_at
        ),
        note=version.note,
    )


def policy_page(
    tx: Tx,
    opened: Installation,
    visitor: Visitor,
    number: int,
    *,
    told: str = "",
    problem: str = "",
) -> PolicyPage:
    """Read one version with everything that whoever decides must see."""
    version, names = find(tx, POLICY, number), names_of(tx)
    steps = next_steps(version, visitor.actor)
    changes = history(tx, POLICY, number)
    diff_title, before = _compared(tx, opened, version)
    simulation = simulation_of(tx, version)
    return PolicyPage(
        title=f"Policy {number}",
        viewer=viewer_of(visitor),
        heading=f"Policy {number}: {version.name}",
        status=words.phrase(version.status),
        status_class=version.status.value,
        sentence=_sentence(version, names),
        note=version.note,
        path=policy_href(number),
        lock_version=version.lock_version,
        buttons=tuple(_button(one, version) for one in _BUTTONS if one in steps),
        may_activate=Step.ACTIVATE in steps,
        may_edit=Step.EDIT in steps,
        copy_href=f"/policies/new?number={number}" * (visitor.actor.role >= DRAFTS_FROM),
        facts=_facts(version, names),
        simulation=simulation_view(simulation) if simulation else None,
        diff_title=diff_title,
        diff=tuple(
            CodeLine(line, _LOOKS.get(line[:1], ""))
            for line in unified(before, version.content).splitlines()
        ),
        lines=tuple(version.content.splitlines()),
        timeline=tuple(_event(one) for one in reversed(changes)),
        notice=NOTICES.get(told, ""),
        problem=problem,
    )


def _button(step: Step, version: Version) -> StepButton:
    label, look = _BUTTONS[step]
    if step is Step.SUBMIT and version.status is Status.IN_REVIEW:
        label, look = "Simulate again", ""
    return StepButton(step.value, label, look)


def _compared(tx: Tx, opened: Installation, version: Version) -> tuple[str, str]:
    """With what a version is compared: what it replaced, before that with what is in force."""
    if version.replaces_number is not None:
        before = find(tx, POLICY, version.replaces_number)
        return f"Against policy {before.number}, which it replaced", before.content
    present = wording_in_force(opened, tx, KINDS[POLICY], datetime.now(UTC))
    return f"Against {present.name} {present.digest[:12]}, which is in force", present.content


def _sentence(version: Version, names: dict[str, str]) -> str:
    """Say what must happen next."""
    author = names.get(version.entered_by, version.entered_by)
    match version.status:
        case Status.DRAFT:
            return f"{author} is writing it; it does nothing yet."
        case Status.IN_REVIEW:
            return f"Waits for the approval of somebody other than {author}."
        case Status.APPROVED if version.live_from_at:
            return f"Approved; in force from {words.instant(version.live_from_at)}."
        case Status.APPROVED:
            return "Approved; waits to be activated."
        case Status.LIVE:
            return f"In force since {words.instant(version.live_at)}."
        case Status.RETIRED:
            return f"Retired {words.instant(version.retired_at)}."
        case Status.WITHDRAWN:
            return f"{author} took it back."


def _facts(version: Version, names: dict[str, str]) -> tuple[Fact, ...]:
    approver = names.get(version.approved_by or "", version.approved_by or "–")
    facts = [
        Fact("Author", names.get(version.entered_by, version.entered_by)),
        Fact("Entered", words.instant(version.entered_at)),
        Fact("Submitted", words.instant(version.submitted_at)),
        Fact("Approved by", approver),
        Fact("Approved", words.instant(version.approved_at)),
        Fact("In force from", words.instant(version.live_from_at)),
    ]
    if version.replaces_number is not None:
        number = version.replaces_number
        facts.append(Fact("Replaced", f"policy {number}", policy_href(number)))
    return (*facts, Fact("Hash", version.digest))


def _event(change: Change) -> Event:
    reason = f": “{change.reason}”" if change.reason else ""
    return Event(words.instant(change.at), f"{words.phrase(change.what)}{reason}", change.name)


def policy_form_page(
    visitor: Visitor,
    *,
    content: str,
    note: str = "",
    version: Version | None = None,
    error: PrebillError | None = None,
) -> PolicyFormPage:
    """Ask for a text: a new one, or that of one's own draft."""
    path = policy_href(version.number) if version else "/policies"
    problem = words.sentence(error) if error else ""
    return PolicyFormPage(
        title=f"Edit policy {version.number}" if version else "New policy",
        viewer=viewer_of(visitor),
        heading=f"Edit policy {version.number}" if version else "New policy",
        path=f"{path}/edit" if version else "/policies/new",
        back_href=path,
        lock_version=version.lock_version if version else 0,
        content=content,
        note=note,
        max_note=MAX_NOTE,
        problem=problem,
    )


def policy_href(number: int) -> str:
    """Path of a version's page."""
    return f"/policies/{number}"
