"""Deadlines: they raise priorities step by step, so that the queue's index stays its order."""

from datetime import datetime

import polars as pl

from prebill.store.codec import canonical_json, instant_text
from prebill.store.drafts import listed
from prebill.store.engine import Tx
from prebill.store.handling import ESCALATED

#: Columns of :func:`overdue_cases`.
_OVERDUE = {
    **dict.fromkeys(("case_id", "action", "currency", "policy_class"), pl.String()),
    **dict.fromkeys(("lock_version", "total_minor"), pl.Int64()),
}


def raise_urgency(tx: Tx, due_before_at: datetime, times: float, limit: int) -> int:
    """Let open cases due before an instant count so many times; return how many it were.

    A case that counts as often or more is left. The sample has no urgency: nothing waits for it.
    """
    values = {"before": instant_text(due_before_at), "times": times, "limit": limit}
    rows = tx.rows(
        "SELECT c.case_id FROM cases c LEFT JOIN case_urgencies u ON u.case_id = c.case_id "
        "WHERE c.status = 'open' AND c.due_at <= :before AND c.kind <> 'sample' "
        "AND coalesce(u.times, 1.0) < :times ORDER BY c.due_at, c.case_id LIMIT :limit",
        values,
    )
    chosen = {"ids": canonical_json([row["case_id"] for row in rows]), "times": times}
    if not rows:
        return 0
    tx.execute(
        "UPDATE cases SET priority = priority * :times / coalesce((SELECT u.times "
        "FROM case_urgencies u WHERE u.case_id = cases.case_id), 1.0) "
        f"WHERE status = 'open' AND case_id IN {listed(tx, 'ids')}",
        chosen,
    )
    tx.execute(
        "INSERT INTO case_urgencies (case_id, times) SELECT case_id, :times FROM cases "
        f"WHERE status = 'open' AND case_id IN {listed(tx, 'ids')} "
        "ON CONFLICT (case_id) DO UPDATE SET times = excluded.times",
        chosen,
    )
    return len(rows)


def overdue_cases(tx: Tx, now_at: datetime) -> pl.DataFrame:
    """Return cases past their deadline that are not escalated: what the policy asks of them.

    ``case_id, action, currency, policy_class`` (null: not told), ``lock_version, total_minor``.
    """
    return tx.frame(
        "SELECT c.case_id, c.action, c.currency, e.policy_class, c.lock_version, "
        "coalesce(d.total_minor, g.total_minor) AS total_minor FROM cases c "
        "LEFT JOIN drafts d ON d.draft_id = c.draft_id AND d.version = c.draft_version "
        "LEFT JOIN engine_drafts g ON g.draft_id = c.draft_id AND g.version = c.draft_version "
        "LEFT JOIN decisions e ON e.draft_id = c.draft_id AND e.draft_version = c.draft_version "
        "WHERE c.status = 'open' AND c.kind IN ('draft', 'gate') AND c.due_at <= :now "
        "AND c.queue <> :escalated ORDER BY c.due_at, c.case_id",
        _OVERDUE,
        {"now": instant_text(now_at), "escalated": ESCALATED},
    )
