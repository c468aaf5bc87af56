"""Rules that are left out for one customer for a while, each with its reason and end."""

from datetime import datetime
from typing import Final

import polars as pl

from prebill.core.errors import NotFoundError
from prebill.store.codec import canonical_json, instant_text
from prebill.store.drafts import listed
from prebill.store.engine import Row, Tx

_NAMES: Final = {"customer_id": pl.String(), "rule_id": pl.String()}
_IN_FORCE: Final = (
    "entered_at <= {at} AND until_at > {at} AND (ended_at IS NULL OR ended_at > {at})"
)


def snoozed_at_start(tx: Tx, run_id: str, first: str, last: str) -> pl.DataFrame:
    """``customer_id, rule_id`` of customers from first to last, as of when a run was started."""
    at = "(SELECT started_at FROM runs WHERE run_id = :run_id)"
    return tx.frame(
        f"SELECT customer_id, rule_id FROM snoozes WHERE {_IN_FORCE.format(at=at)} "
        "AND customer_id BETWEEN :first AND :last",
        _NAMES,
        {"run_id": run_id, "first": first, "last": last},
    )


def snoozed_now(tx: Tx, customers: list[str], now_at: datetime) -> pl.DataFrame:
    """``customer_id, rule_id`` of what is snoozed for some customers."""
    return tx.frame(
        f"SELECT customer_id, rule_id FROM snoozes WHERE {_IN_FORCE.format(at=':now')} "
        f"AND customer_id IN {listed(tx, 'names')}",
        _NAMES,
        {"now": instant_text(now_at), "names": canonical_json(customers)},
    )


def add_snooze(tx: Tx, row: Row, now_at: datetime) -> str:
    """Store a snooze and return its id; one of the same that is over by itself is ended first.

    Raises
    ------
    ConflictError
        The rule is snoozed for the customer already (raised when the transaction meets the key).
    """
    same = {"rule_id": row["rule_id"], "customer_id": row["customer_id"]}
    tx.execute(
        "UPDATE snoozes SET ended_at = until_at WHERE rule_id = :rule_id "
        "AND customer_id = :customer_id AND ended_at IS NULL AND until_at <= :now",
        {**same, "now": instant_text(now_at)},
    )
    earlier = tx.scalar(
        "SELECT count(*) FROM snoozes WHERE rule_id = :rule_id AND customer_id = :customer_id", same
    )
    snooze_id = f"snooze:{row['rule_id']}:{row['customer_id']}:{int(earlier or 0) + 1}"
    tx.insert("snoozes", {**row, "snooze_id": snooze_id, "entered_at": now_at})
    return snooze_id


def end_snooze(tx: Tx, snooze_id: str, actor: str, now_at: datetime) -> Row:
    """End a snooze before its time and return it as it was.

    Raises
    ------
    NotFoundError
        There is none of that id that still holds.
    """
    now = instant_text(now_at)
    row = tx.first(
        "SELECT * FROM snoozes WHERE snooze_id = :id AND ended_at IS NULL AND until_at > :now",
        {"id": snooze_id, "now": now},
    )
    if row is None:
        message = f"there is no snooze {snooze_id} in force: see `prebill policy snoozes`"
        raise NotFoundError(message, snooze_id=snooze_id)
    tx.execute(
        "UPDATE snoozes SET ended_at = :now, ended_by = :actor WHERE snooze_id = :id",
        {"id": snooze_id, "now": now, "actor": actor},
    )
    return row


def snoozes(tx: Tx, now_at: datetime, *, past: bool = False) -> list[Row]:
    """Return the snoozes in force, the one that ends first first; ``past``: every one there was."""
    is_wanted = "1 = 1" if past else _IN_FORCE.format(at=":now")
    return tx.rows(
        f"SELECT * FROM snoozes WHERE {is_wanted} ORDER BY until_at, snooze_id LIMIT 1000",
        {} if past else {"now": instant_text(now_at)},
    )
