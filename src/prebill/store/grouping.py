"""Cases with one cause, what was found in a sample of them, and decisions on the rest."""

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from prebill.core.triage.causes import LEAST_GROUP
from prebill.store.codec import now_text
from prebill.store.engine import Row, Tx

#: Stands for whoever acts where nobody did in time.
POLICY: Final = "policy"
#: Members of a group: not detached.
_MEMBERS: Final = "FROM case_causes g JOIN cases c ON c.case_id = g.case_id"
_OPEN: Final = "c.status = 'open' AND g.detached_at IS NULL"


def save_causes(tx: Tx, causes: pl.DataFrame) -> None:
    """Keep ``case_id, cause`` of new cases; a case that came again keeps what people did to it."""
    rows = causes.with_columns(
        detached_at=pl.lit(None, dtype=pl.String), detached_by=pl.lit(None, dtype=pl.String)
    )
    tx.insert_frame("case_causes", rows, on_conflict="ignore")


def list_groups(tx: Tx) -> list[Row]:
    """Return the causes that several open cases have, the most money per reviewer minute first.

    One row a cause and currency: ``cause, currency, cases, expected_loss_minor, priority``
    (of all currencies together), ``due_at`` (the earliest).
    """
    return tx.rows(
        "SELECT cause, currency, cases, expected_loss_minor, due_at, "
        "sum(worth) OVER (PARTITION BY cause) AS priority, "
        "sum(cases) OVER (PARTITION BY cause) AS in_all FROM ("
        "SELECT g.cause, c.currency, count(*) AS cases, sum(c.priority) AS worth, "
        "sum(c.expected_loss_minor) AS expected_loss_minor, min(c.due_at) AS due_at "
        f"{_MEMBERS} WHERE {_OPEN} GROUP BY g.cause, c.currency) grouped "
        "ORDER BY priority DESC, cause, currency",
    )


def groups_of(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of :func:`list_groups` by cause, those of too few cases left out, in the same order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["in_all"] >= LEAST_GROUP:
            found.setdefault(row["cause"], []).append(row)
    return found


def cause_of(tx: Tx, case_id: str) -> tuple[str, int] | None:
    """Return the cause of a case and how many open cases have it; None: it stands alone."""
    row = tx.first(
        "SELECT g.cause, (SELECT count(*) FROM case_causes o JOIN cases c "
        f"ON c.case_id = o.case_id WHERE o.cause = g.cause AND {_OPEN.replace('g.', 'o.')}) "
        "AS cases FROM case_causes g WHERE g.case_id = :case_id AND g.detached_at IS NULL",
        {"case_id": case_id},
    )
    return (row["cause"], row["cases"]) if row and row["cases"] >= LEAST_GROUP else None


def members(tx: Tx, cause: str) -> list[Row]:
    """Return the open members of a cause: ``case_id, lock_version, queue``, by id."""
    return tx.rows(
        f"SELECT c.case_id, c.lock_version, c.queue {_MEMBERS} "
        f"WHERE g.cause = :cause AND {_OPEN} ORDER BY c.case_id",
        {"cause": cause},
    )


def judged_members(tx: Tx, cause: str) -> list[Row]:
    """Return the members that are open or that a person looked at: ``case_id, status, verdict``.

    What a decision on the group settled, or the policy after a deadline, nobody looked at. What
    comes after such a decision is sampled anew: what was found before says nothing of it.
    """
    return tx.rows(
        f"SELECT c.case_id, c.status, v.verdict {_MEMBERS} "
        "LEFT JOIN verdicts v ON v.case_id = c.case_id AND v.entered_by <> :policy "
        "WHERE g.cause = :cause AND g.detached_at IS NULL AND (c.status = 'open' OR v.entered_at > "
        "coalesce((SELECT max(entered_at) FROM group_decisions WHERE cause = :cause), '')) "
        "AND NOT EXISTS (SELECT 1 FROM group_members m WHERE m.case_id = c.case_id "
        "AND m.status = 'done') ORDER BY c.case_id",
        {"cause": cause, "policy": POLICY},
    )


def detach(tx: Tx, case_id: str, actor: str) -> bool:
    """Let a case stand alone; False: it does."""
    return (
        tx.execute(
            "UPDATE case_causes SET detached_at = :now, detached_by = :actor "
            "WHERE case_id = :case_id AND detached_at IS NULL",
            {"case_id": case_id, "actor": actor, "now": now_text()},
        )
        == 1
    )


@dataclass(frozen=True, slots=True)
class GroupDecision:
    """A verdict on all open members of a cause."""

    decision_id: str
    cause: str
    verdict: str
    reason_code: str
    note: str
    sampled: int


def keep(tx: Tx, decision: GroupDecision, cases: list[Row], actor: str) -> None:
    """Write down what is to be done; each member is then decided in a transaction of its own."""
    row: dict[str, Any] = {
        **{name: getattr(decision, name) for name in GroupDecision.__slots__},
        "status": "running",
        "entered_at": now_text(),
        "entered_by": actor,
        "finished_at": None,
    }
    tx.insert("group_decisions", row)
    tx.insert_rows(
        "group_members",
        [
            {
                "decision_id": decision.decision_id,
                "case_id": one["case_id"],
                "lock_version": one["lock_version"],
                "status": "pending",
                "message": None,
            }
            for one in cases
        ],
    )


def pending(tx: Tx, decision_id: str, limit: int) -> list[Row]:
    """Return members that were not decided yet: ``case_id, lock_version``."""
    return tx.rows(
        "SELECT case_id, lock_version FROM group_members WHERE decision_id = :id "
        "AND status = 'pending' ORDER BY case_id LIMIT :limit",
        {"id": decision_id, "limit": limit},
    )


def settled(tx: Tx, decision_id: str, case_id: str, status: str, message: str | None) -> None:
    """Say what came of a member."""
    where = {"decision_id": decision_id, "case_id": case_id}
    tx.update("group_members", {"status": status, "message": message}, where=where)


def finish(tx: Tx, decision_id: str) -> None:
    """Every member was decided or refused."""
    values = {"status": "finished", "finished_at": now_text()}
    tx.update("group_decisions", values, where={"decision_id": decision_id})


def running(tx: Tx) -> list[Row]:
    """Return the decisions that are not finished, with who made them."""
    return tx.rows("SELECT * FROM group_decisions WHERE status = 'running' ORDER BY entered_at")


def progress(tx: Tx, decision_id: str) -> Row:
    """Return a decision with how many members are ``pending``, ``done`` and ``refused``.

    Raises
    ------
    NotFoundError
        There is no such decision.
    """
    decision = tx.get("group_decisions", decision_id=decision_id)
    rows = tx.rows(
        "SELECT status, count(*) AS cases FROM group_members WHERE decision_id = :id "
        "GROUP BY status",
        {"id": decision_id},
    )
    counts = dict.fromkeys(("pending", "done", "refused"), 0)
    return {**decision, **counts, **{row["status"]: row["cases"] for row in rows}}


def refused(tx: Tx, decision_id: str, limit: int = 50) -> list[Row]:
    """Return members that were refused and why."""
    return tx.rows(
        "SELECT case_id, message FROM group_members WHERE decision_id = :id "
        "AND status = 'refused' ORDER BY case_id LIMIT :limit",
        {"id": decision_id, "limit": limit},
    )


def decisions_on(tx: Tx, cause: str) -> list[Row]:
    """Return the decisions on a cause, the newest first."""
    return tx.rows(
        "SELECT d.*, u.name AS author FROM group_decisions d "
        "LEFT JOIN users u ON u.user_id = d.entered_by WHERE d.cause = :cause "
        "ORDER BY d.entered_at DESC",
        {"cause": cause},
    )
