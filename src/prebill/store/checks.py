"""What must be remembered between looks: results of checks, and when usage sources last spoke."""

from datetime import datetime, timedelta

from prebill.core.triage.alerts import longest_pause
from prebill.store.codec import instant_text, parse_instant
from prebill.store.engine import Row, Store, Tx


def take_turn(store: Store, name: str, now_at: datetime, every: timedelta) -> bool:
    """Whether it is this process's turn to make a check that is made every so often."""
    due = {"name": name, "before": now_at - every}
    with store.read() as tx:
        row = tx.first("SELECT begun_at FROM checks WHERE check_name = :name", due)
    if row is not None and row["begun_at"] > instant_text(due["before"]):  # type: ignore[arg-type]
        return False
    with store.transaction() as tx:
        first = {"check_name": name, "begun_at": now_at, "problems": 0, "detail": ""}
        if tx.insert("checks", first, on_conflict="ignore"):
            return True
        statement = "UPDATE checks SET begun_at = :now WHERE check_name = :name "
        return tx.execute(f"{statement} AND begun_at <= :before", due | {"now": now_at}) == 1


def record(tx: Tx, name: str, problems: int, detail: str, now_at: datetime) -> None:
    """Keep what a check found; problems that it found before stand since then."""
    first = {"check_name": name, "begun_at": now_at, "problems": 0, "detail": ""}
    tx.insert("checks", first, on_conflict="ignore")
    tx.execute(
        "UPDATE checks SET checked_at = :now, detail = :detail, since_at = CASE "
        "WHEN :problems = 0 THEN NULL WHEN problems > 0 THEN since_at ELSE :now END, "
        "problems = :problems WHERE check_name = :name",
        {"name": name, "problems": problems, "detail": detail, "now": now_at},
    )


def last_result(tx: Tx, name: str) -> Row | None:
    """Return ``problems, detail, checked_at`` of the latest check; None: it was never made."""
    return tx.first(
        "SELECT problems, detail, checked_at FROM checks "
        "WHERE check_name = :name AND checked_at IS NOT NULL",
        {"name": name},
    )


def heard(tx: Tx, sources: list[str], now_at: datetime) -> None:
    """Note that sources of usage events spoke."""
    known = tx.listed(sources)
    rows = tx.rows(f"SELECT * FROM feeds WHERE source IN ({known.sql})", known.values)
    pauses = {row["source"]: _pause(row, now_at) for row in rows}
    tx.insert_rows(
        "feeds",
        [{"source": s, "last_at": now_at, "pause_seconds": pauses.get(s)} for s in sources],
        on_conflict="replace",
    )


def _pause(row: dict[str, object], now_at: datetime) -> int:
    elapsed = now_at - parse_instant(str(row["last_at"]))
    before = row["pause_seconds"]
    seconds = max(0, int(elapsed.total_seconds()))
    return longest_pause(None if before is None else int(str(before)), seconds)
