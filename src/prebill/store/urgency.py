"""How near deadlines raise priorities, step by step, so that the queue's index stays its order."""

from datetime import datetime

from prebill.store.codec import canonical_json, instant_text
from prebill.store.drafts import listed
from prebill.store.engine import Tx


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
