"""Leave a rule out for one customer for a while; open and close incidents of runs. Audited."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from prebill import audit
from prebill.bootstrap import Installation
from prebill.core.errors import InputError
from prebill.core.policy.breaker import tripped
from prebill.store import incidents, snoozes
from prebill.store.codec import instant_text
from prebill.store.engine import Tx

if TYPE_CHECKING:
    from prebill.core.policy.model import Policy

#: Nobody remembers a longer one; a rule that is never right belongs into a class of the policy.
LONGEST: Final = timedelta(days=366)


def snooze(
    opened: Installation,
    rule_id: str,
    customer_id: str,
    *,
    until_at: datetime,
    reason: str,
    by: str,
) -> str:
    """Leave a rule out for a customer until an instant; return the snooze's id.

    Raises
    ------
    InputError
        The policy in force has no such rule, the reason is empty, or the end is past or too far.
    ConflictError
        It is snoozed already.
    """
    now_at = datetime.now(UTC)
    known = [rule.rule_id for rule in opened.load_policy().rules]
    if rule_id not in known:
        message = f"the policy in force has no rule {rule_id!r}; it has {', '.join(known)}"
        raise InputError(message, rule_id=rule_id)
    if not customer_id.strip() or not reason.strip():
        message = "a snooze needs a customer and a reason"
        raise InputError(message)
    if not now_at < until_at <= now_at + LONGEST:
        message = f"a snooze ends after now and within {LONGEST.days} days, not {until_at}"
        raise InputError(message, until_at=str(until_at))
    row = {"rule_id": rule_id, "customer_id": customer_id, "reason": reason.strip()}
    with opened.store.transaction() as tx:
        named = {**row, "until_at": until_at, "entered_by": by}
        snooze_id = snoozes.add_snooze(tx, named, now_at)
        detail: dict[str, object] = {**row, "until_at": instant_text(until_at)}
        audit.record(tx, by, "rule.snoozed", snooze_id, detail)
    return snooze_id


def end_snooze(opened: Installation, snooze_id: str, by: str) -> None:
    """Let a rule judge a customer again before the snooze is over.

    Raises
    ------
    NotFoundError
        There is no such snooze in force.
    """
    with opened.store.transaction() as tx:
        row = snoozes.end_snooze(tx, snooze_id, by, datetime.now(UTC))
        detail: dict[str, object] = {name: row[name] for name in ("rule_id", "customer_id")}
        audit.record(tx, by, "rule.snooze_ended", snooze_id, detail)


def break_if_needed(tx: Tx, run_id: str, policy: "Policy", actor: str) -> None:
    """Open the one incident of a run that stopped more than its policy expects."""
    if policy.breaker is None:
        return
    drafts, stopped = incidents.stopped_counts(tx, run_id)
    if not policy.breaker.is_over(stopped, drafts):
        return
    incident = tripped(incidents.in_common(tx, run_id), policy.breaker)
    if incident is None:
        return
    incidents.open_incident(tx, run_id, incident, datetime.now(UTC))
    detail: dict[str, object] = {"text": incident.text, "cause": incident.cause}
    audit.record(tx, actor, "incident.opened", run_id, detail)


def close_incident(opened: Installation, run_id: str, note: str, by: str) -> None:
    """Note that somebody has dealt with a run's incident, and how.

    Raises
    ------
    InputError
        It is not said how.
    NotFoundError
        The run has no open incident.
    """
    if not note.strip():
        message = "say in a few words what was done about the incident"
        raise InputError(message)
    with opened.store.transaction() as tx:
        now_at = datetime.now(UTC)
        incidents.close_incident(tx, run_id, note.strip(), actor=by, now_at=now_at)
        audit.record(tx, by, "incident.closed", run_id, {"note": note.strip()})
