"""What the pages of policies show."""

from dataclasses import dataclass

from prebill.console.views import Event, Fact, Viewer


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One version of the policy."""

    href: str
    number: int
    name: str
    status: str
    status_class: str
    author: str
    changed: str
    note: str


@dataclass(frozen=True, slots=True)
class PoliciesPage:
    """``/policies``: what is in force, what waits, what was."""

    title: str
    viewer: Viewer
    in_force: str
    rows: tuple[PolicyRow, ...]


@dataclass(frozen=True, slots=True)
class StepButton:
    """What the viewer may do with a version now."""

    step: str
    label: str
    look: str


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One line of a text; ``look`` says whether a difference adds or removes it."""

    text: str
    look: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure as it is and as it would be."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class SimulationView:
    """What a version would have done with the stored decisions."""

    summary: str
    basis: str
    moves: tuple[str, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """``/policies/{number}``: text, difference, simulation, and what comes next."""

    title: str
    viewer: Viewer
    heading: str
    status: str
    status_class: str
    sentence: str
    note: str
    path: str
    lock_version: int
    buttons: tuple[StepButton, ...]
    may_activate: bool
    may_edit: bool
    #: Where to begin a draft with its text; empty: not for this viewer.
    copy_href: str
    facts: tuple[Fact, ...]
    simulation: SimulationView | None
    diff_title: str
    diff: tuple[CodeLine, ...]
    lines: tuple[str, ...]
    timeline: tuple[Event, ...]
    notice: str
    problem: str


@dataclass(frozen=True, slots=True)
class PolicyFormPage:
    """``/policies/new`` and ``/policies/{number}/edit``: write a text."""

    title: str
    viewer: Viewer
    heading: str
    path: str
    back_href: str
    lock_version: int
    content: str
    note: str
    max_note: int
    problem: str
