"""What the pages of groups, authority, alerts and the audit log show."""

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


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert; ``acknowledge_path`` is empty where the viewer has nothing to do."""

    severity: str
    title: str
    text: str
    href: str
    since: str
    #: How it stands: who looks after it, when it was escalated, how it ended.
    state: str
    owner: str
    acknowledge_path: str


@dataclass(frozen=True, slots=True)
class AlertsPage:
    """``/alerts``: what is beyond its limit, the worst first, and what was."""

    title: str
    viewer: Viewer
    summary: str
    open_rows: tuple[AlertRow, ...]
    past_rows: tuple[AlertRow, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry of the audit log."""

    seq: str
    at: str
    actor: str
    action: str
    object_id: str
    object_href: str
    detail: str
    is_sealed: bool


@dataclass(frozen=True, slots=True)
class AuditPage:
    """``/audit``: search, proof that nothing was altered, what an auditor takes along."""

    title: str
    viewer: Viewer
    notice: str
    problem: str
    check: str
    is_intact: bool
    may_verify: bool
    object_id: str
    actor: str
    action: str
    since_on: str
    until_on: str
    rows: tuple[AuditRow, ...]
    #: Everything about the object that was searched for; empty: none was.
    evidence_href: str
    csv_href: str
    next_href: str
