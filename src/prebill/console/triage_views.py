"""What the pages of cases with one cause, and of authority, show."""

from dataclasses import dataclass

from prebill.console.views import Fact, Option, Viewer


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One cause that several open cases have."""

    href: str
    title: str
    cases: str
    expected_loss: str
    due: str
    is_late: bool
    priority: str


@dataclass(frozen=True, slots=True)
class GroupsPage:
    """``/groups``: what several cases have in common, the most money first."""

    title: str
    viewer: Viewer
    rows: tuple[GroupRow, ...]


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A case of a group; ``found`` is what a person said of it, empty while it waits."""

    href: str
    case_id: str
    found: str


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """What came of one decision on a group; ``refused`` says why for the first few."""

    text: str
    is_running: bool
    refused: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class GroupPage:
    """``/groups/{cause}``: the sample, the decision on the rest, the members."""

    title: str
    viewer: Viewer
    summary: str
    path: str
    notice: str
    problem: str
    sample: tuple[MemberRow, ...]
    sample_summary: str
    may_release: bool
    may_reject: bool
    release_reasons: tuple[Option, ...]
    error_reasons: tuple[Option, ...]
    members: tuple[MemberRow, ...]
    more_members: str
    outcomes: tuple[GroupOutcome, ...]
    is_running: bool


@dataclass(frozen=True, slots=True)
class DelegationRow:
    """Who stands in for whom; ``end_path`` is empty where the visitor may not end it."""

    text: str
    reason: str
    end_path: str


@dataclass(frozen=True, slots=True)
class GlassRow:
    """A release that somebody made alone; ``review_path`` is empty where it was the visitor."""

    text: str
    reason: str
    case_id: str
    case_href: str
    review_path: str


@dataclass(frozen=True, slots=True)
class AuthorityPage:
    """``/authority``: delegations, and releases made alone that nobody has reviewed."""

    title: str
    viewer: Viewer
    notice: str
    problem: str
    delegations: tuple[DelegationRow, ...]
    #: Whether the visitor may delegate for somebody else.
    for_others: bool
    glass: tuple[GlassRow, ...]
    may_review: bool
    missing: tuple[str, ...]
