"""What people are alerted about: one entry a kind of cause, with its limits and what to do.

A kind either *waits* (how long something has stood) or *ends* (how long until something ends).
Its limits are minutes; ``alerts.toml`` of an installation may set others.
"""

from dataclasses import dataclass
from typing import Final

_HOUR: Final = 60
_DAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class AlertKind:
    """One kind of cause.

    ``title`` and ``path`` may hold ``{subject}``: the queue, contract, channel or run concerned.
    ``path`` is the console's page to look at. ``fact`` begins the sentence that ends with the
    instant, and may hold ``{count}``. ``critical_minutes`` None: it never becomes critical.
    """

    name: str
    title: str
    fact: str
    advice: str
    path: str
    warn_minutes: int
    critical_minutes: int | None = None
    #: Whether the limit counts down to an end, and not up from a beginning.
    ends: bool = False

    def __post_init__(self) -> None:
        """Refuse limits in the wrong order."""
        if self.critical_minutes is None:
            return
        first, second = self.warn_minutes, self.critical_minutes
        if (first < second) if self.ends else (first > second):
            message = f"{self.name}: it would be critical before it is a warning"
            raise ValueError(message)


_ALL: Final = (
    AlertKind(
        "case_past_due",
        title="Cases are past their deadline: queue {subject}",
        fact="Open cases past due: {count},",
        advice="Decide them, most money first, or let somebody take the queue over.",
        path="/queue?queue={subject}",
        warn_minutes=0,
        critical_minutes=_DAY,
    ),
    AlertKind(
        "case_near_due",
        title="Cases are due soon and nobody works on them: queue {subject}",
        fact="Open cases without an owner: {count},",
        advice="Take the next case, or find somebody who does.",
        path="/queue?queue={subject}&owner=nobody",
        warn_minutes=2 * _HOUR,
        ends=True,
    ),
    AlertKind(
        "approval_waiting",
        title="A second person is needed: {subject}",
        fact="What waits: {count}, waiting",
        advice="Another controller or administrator approves, reviews or withdraws it.",
        path="/alerts",
        warn_minutes=_DAY,
        critical_minutes=3 * _DAY,
    ),
    AlertKind(
        "run_stopped",
        title="A run stops more than its policy expects: {subject}",
        fact="The incident has been open",
        advice="Read its likely cause under Runs, mend that, and close the incident.",
        path="/runs",
        warn_minutes=0,
        critical_minutes=_DAY,
    ),
    AlertKind(
        "draft_stranded",
        title="Held drafts have no open case: {subject}",
        fact="Drafts that wait for a person whom nobody asks: {count},",
        advice="Run the period again (`prebill run`): it makes the case.",
        path="/runs",
        warn_minutes=15,
        critical_minutes=_DAY,
    ),
    AlertKind(
        "draft_overdue",
        title="Drafts are past their issue-by date: {subject}",
        fact="Drafts that no run made final: {count}, due",
        advice="Run the period again (`prebill run`): it issues them or asks a person.",
        path="/runs",
        warn_minutes=_DAY,
        critical_minutes=4 * _DAY,
    ),
    AlertKind(
        "delivery_waiting",
        title="Deliveries wait and nobody tries them",
        fact="Deliveries that are due: {count},",
        advice="Start a worker (`prebill worker`), or look why it stands still.",
        path="/alerts",
        warn_minutes=15,
        critical_minutes=4 * _HOUR,
    ),
    AlertKind(
        "integration_failing",
        title="An integration does not answer: {subject}",
        fact="Deliveries tried again and again: {count},",
        advice="See whether the receiver is up; `prebill doctor` names it. Nothing is lost.",
        path="/alerts",
        warn_minutes=10,
        critical_minutes=4 * _HOUR,
    ),
    AlertKind(
        "integration_failed",
        title="An integration refuses deliveries: {subject}",
        fact="Deliveries that failed for good: {count},",
        advice="`prebill delivery list` says why; mend it, then `prebill delivery retry --all`.",
        path="/alerts",
        warn_minutes=0,
        critical_minutes=0,
    ),
    AlertKind(
        "feed_silent",
        title="A usage source has fallen silent: {subject}",
        fact="It has never paused half as long of late: silent",
        advice="Ask its owner; until it speaks, drafts wait for it or miss usage.",
        path="/runs",
        warn_minutes=36 * _HOUR,
        critical_minutes=4 * _DAY,
    ),
    AlertKind(
        "run_late",
        title="A billing run takes too long: {subject}",
        fact="It has been running",
        advice="See its progress under Runs; is a worker running (`prebill worker`)?",
        path="/runs",
        warn_minutes=_HOUR,
        critical_minutes=6 * _HOUR,
    ),
    AlertKind(
        "run_failed",
        title="A billing run failed: {subject}",
        fact="No run of the period has finished",
        advice="Mend what its error names under Runs, then run the period again.",
        path="/runs",
        warn_minutes=0,
        critical_minutes=0,
    ),
    AlertKind(
        "quarantine_waiting",
        title="Rejected rows wait: {subject}",
        fact="Rows in quarantine: {count},",
        advice="`prebill quarantine list`: mend and retry them, or dismiss them with a reason.",
        path="/alerts",
        warn_minutes=_DAY,
        critical_minutes=7 * _DAY,
    ),
    AlertKind(
        "staging_waiting",
        title="Accepted data is not moved to the lake: {subject}",
        fact="Rows that wait to be moved: {count},",
        advice="Keep `prebill worker` running, for rows of the hook `prebill serve`.",
        path="/alerts",
        warn_minutes=15,
        critical_minutes=4 * _HOUR,
    ),
    AlertKind(
        "credential_ending",
        title="A credential ends: {subject}",
        fact="It ends",
        advice="Make a new one (`prebill token create` or `bind`), then revoke the old one.",
        path="/alerts",
        warn_minutes=14 * _DAY,
        critical_minutes=2 * _DAY,
        ends=True,
    ),
    AlertKind(
        "version_ending",
        title="The interface version of a connector ends: {subject}",
        fact="It ends",
        advice="Look at the vendor's notes and pin a newer version.",
        path="/alerts",
        warn_minutes=30 * _DAY,
        critical_minutes=7 * _DAY,
        ends=True,
    ),
    AlertKind(
        "audit_unsealed",
        title="The audit log is not sealed: {subject}",
        fact="Entries under no seal: {count},",
        advice="Start a worker (`prebill worker`): it seals every few seconds.",
        path="/alerts",
        warn_minutes=10,
        critical_minutes=_DAY,
    ),
    AlertKind(
        "audit_broken",
        title="The audit log was altered",
        fact="Findings: {count},",
        advice="`prebill audit verify` names them. Keep the database as evidence.",
        path="/alerts",
        warn_minutes=0,
        critical_minutes=0,
    ),
    AlertKind(
        "drift",
        title="Data or models drift",
        fact="Limits exceeded for some time: {count},",
        advice="Read the report of `python -m training drift`; it says what each limit asks for.",
        path="/alerts",
        warn_minutes=0,
    ),
    AlertKind(
        "message_failed",
        title="Alerts do not arrive by {subject}",
        fact="Messages that failed for good: {count},",
        advice="Mend the channel, see `prebill alerts test`, then `prebill alerts retry`.",
        path="/alerts",
        warn_minutes=0,
        critical_minutes=0,
    ),
    AlertKind(
        "rules_unreadable",
        title="The file of alerts can't be used",
        fact="The limits that come with Prebill count, and no owner is known,",
        advice="Mend it; `prebill doctor` reads it as well.",
        path="/alerts",
        warn_minutes=0,
        critical_minutes=0,
    ),
)

#: Name → kind, in the order of the documentation.
KINDS: Final[dict[str, AlertKind]] = {one.name: one for one in _ALL}
assert len(KINDS) == len(_ALL), "two kinds of alert have one name"
