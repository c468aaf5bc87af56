"""Drafts of other engines: the version that counts, its decision, what the engine is told.

They get no number, no journal and no document here: the engine that drafted them issues them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prebill.core.errors import ConflictError
from prebill.core.schemas.internal import DECISIONS
from prebill.store.codec import canonical_json, now_text
from prebill.store.drafts import listed
from prebill.store.engine import Row, Tx

#: States in which a draft waits for a person.
WAITING: Final = ("in_review", "held")
LIVE: Final = "state <> 'superseded'"

_DECISION: Final = ", ".join(f"e.{name}" for name in DECISIONS.names if name != "invoice_id")
_DECIDED: Final = f"""
    SELECT {_DECISION}, e.draft_id, e.draft_version, e.findings_json, e.decided_at,
           g.system, g.state,
           (SELECT c.case_id FROM cases c WHERE c.draft_id = g.draft_id AND c.kind <> 'sample'
               AND c.draft_version = g.version ORDER BY c.opened_at DESC LIMIT 1) AS case_id
    FROM engine_drafts g
    JOIN decisions e ON e.draft_id = g.draft_id AND e.draft_version = g.version
    WHERE g.{LIVE} AND g.draft_id IN
"""


def decided_now(tx: Tx, versions: Mapping[str, str], system: str) -> dict[str, Row]:
    """Return, by draft, the decisions on those whose present version is exactly the given one."""
    rows = tx.rows(_DECIDED + listed(tx, "ids"), {"ids": canonical_json(list(versions))})
    return {
        row["draft_id"]: row
        for row in rows
        if row["draft_version"] == versions[row["draft_id"]] and row["system"] == system
    }


def lock_drafts(tx: Tx, draft_ids: Iterable[str]) -> None:
    """Let nobody else store a version of these drafts until the end of the transaction.

    Two events about one draft may come at once. SQLite has one writer anyway.
    """
    if not tx.is_sqlite:
        tx.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(draft_id, 0)) FROM (SELECT draft_id "
            "FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) AS one(draft_id) "
            "ORDER BY draft_id) AS sorted",  # in one order everywhere: no deadlock
            {"ids": canonical_json(sorted(draft_ids))},
        )


def known_versions(tx: Tx, draft_ids: Sequence[str]) -> list[Row]:
    """Return every stored version of these drafts."""
    return tx.rows(
        "SELECT draft_id, version, system, sequence, state FROM engine_drafts "
        f"WHERE draft_id IN {listed(tx, 'ids')}",
        {"ids": canonical_json(list(draft_ids))},
    )


def live_engine_draft(tx: Tx, draft_id: str) -> Row | None:
    """Return the version of a draft that counts, or None: it was never scored."""
    return tx.first(
        f"SELECT * FROM engine_drafts WHERE draft_id = :id AND {LIVE}", {"id": draft_id}
    )


def waiting_engine_draft(tx: Tx, case: Row) -> Row:
    """Return the version that a case binds to.

    Raises
    ------
    ConflictError
        It waits no more, or the engine has changed it.
    """
    draft = live_engine_draft(tx, case["draft_id"])
    if draft is None or draft["version"] != case["draft_version"] or draft["state"] not in WAITING:
        message = f"the draft of case {case['case_id']} changed meanwhile: reload the queue"
        raise ConflictError(message, case_id=case["case_id"])
    return draft


def set_engine_state(tx: Tx, draft_ids: Sequence[str], state: str) -> None:
    """Set the state of the versions that count."""
    tx.execute(
        f"UPDATE engine_drafts SET state = :state WHERE {LIVE} AND draft_id IN {listed(tx, 'ids')}",
        {"state": state, "ids": canonical_json(list(draft_ids))},
    )


# ── What the engine is told ──────────────────────────────────────────────────────────────────


def enqueue(tx: Tx, deliveries: Sequence[Row]) -> None:
    """Put decisions into the outbox: ``delivery_id, draft_id, channel, payload``.

    The same delivery again changes nothing.
    """
    now = now_text()
    rows = [
        {**one, "status": "pending", "attempts": 0, "next_attempt_at": now} for one in deliveries
    ]
    tx.insert_rows("outbox", rows, on_conflict="ignore")


def lapse_deliveries(tx: Tx, draft_ids: Sequence[str]) -> None:
    """Take back what was not delivered of a version that no longer counts."""
    tx.execute(
        "UPDATE outbox SET status = 'lapsed' WHERE status IN ('pending', 'failed') "
        f"AND draft_id IN {listed(tx, 'ids')}",
        {"ids": canonical_json(list(draft_ids))},
    )


def retry_failed_decisions(tx: Tx, draft_ids: Sequence[str]) -> None:
    """Try again what had failed for good: the engine asks once more."""
    tx.execute(
        "UPDATE outbox SET status = 'pending', next_attempt_at = :now WHERE status = 'failed' "
        f"AND draft_id IN {listed(tx, 'ids')}",
        {"ids": canonical_json(list(draft_ids)), "now": now_text()},
    )


def repeat_last_delivery(tx: Tx, draft_id: str) -> int:
    """Deliver the last decision on a draft once more: the engine has lost it."""
    return tx.execute(
        "UPDATE outbox SET status = 'pending', attempts = 0, next_attempt_at = :now "
        "WHERE delivery_id = (SELECT delivery_id FROM outbox WHERE draft_id = :id "
        "AND status = 'delivered' ORDER BY delivered_at DESC LIMIT 1)",
        {"id": draft_id, "now": now_text()},
    )


def undelivered(tx: Tx, draft_ids: Sequence[str]) -> list[Row]:
    """Return the deliveries of these drafts that are not made yet, with their last error."""
    return tx.rows(
        "SELECT delivery_id, status, last_error FROM outbox "
        f"WHERE status IN ('pending', 'failed') AND draft_id IN {listed(tx, 'ids')} "
        "ORDER BY delivery_id",
        {"ids": canonical_json(list(draft_ids))},
    )


def told_of(tx: Tx, draft_id: str) -> list[Row]:
    """Return what the engine was told of a draft, or is still to hear, oldest first."""
    return tx.rows(
        "SELECT delivery_id, channel, payload, status, attempts, delivered_at, next_attempt_at, "
        "last_error FROM outbox WHERE draft_id = :id ORDER BY next_attempt_at, delivery_id",
        {"id": draft_id},
    )


def linked_customers(tx: Tx, external_ids: Sequence[str]) -> dict[str, str]:
    """Return our customer of each of the engine's, where the two are linked."""
    rows = tx.rows(
        "SELECT external_id, customer_id FROM customer_links WHERE system = 'engine' "
        f"AND external_id IN {listed(tx, 'ids')}",
        {"ids": canonical_json(list(external_ids))},
    )
    return {row["external_id"]: row["customer_id"] for row in rows}
