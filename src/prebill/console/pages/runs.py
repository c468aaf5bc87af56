"""The latest billing runs with their completeness."""

from datetime import timedelta
from typing import Any, Final

from prebill.console import words
from prebill.console.pages.queue import viewer_of
from prebill.console.sessions import Visitor
from prebill.console.views import RunRow, RunsPage
from prebill.store.codec import parse_instant
from prebill.store.console import draft_states, list_runs
from prebill.store.engine import Tx
from prebill.store.incidents import incidents_of

#: States in which a draft of a run may be; superseded and lapsed versions count no more.
_ISSUED: Final = ("issued", "released")
_WAITING: Final = ("draft",)


def runs_page(tx: Tx, visitor: Visitor) -> RunsPage:
    """Read the latest runs."""
    runs = list_runs(tx)
    states = draft_states(tx, [row["run_id"] for row in runs])
    broken = incidents_of(tx, [row["run_id"] for row in runs])
    rows = tuple(_row(row, states[row["run_id"]], broken.get(row["run_id"])) for row in runs)
    return RunsPage("Runs", viewer_of(visitor), rows)


def _row(run: dict[str, Any], states: dict[str, int], incident: dict[str, Any] | None) -> RunRow:
    living = {name: n for name, n in states.items() if name not in {"superseded", "lapsed"}}
    drafts = sum(living.values())
    issued = sum(living.get(name, 0) for name in _ISSUED)
    waiting = sum(living.get(name, 0) for name in _WAITING)
    started = parse_instant(run["started_at"])
    finished = parse_instant(run["finished_at"]) if run["finished_at"] else None
    return RunRow(
        run_id=run["run_id"],
        period=words.month(run["period"]),
        status=run["status"],
        kind="final" if run["is_final"] else "preliminary",
        started=words.instant(run["started_at"]),
        seconds=f"{(finished - started) / timedelta(seconds=1):,.1f}" if finished else "–",
        drafts=f"{drafts:,}",
        issued=f"{issued:,}",
        review=f"{living.get('in_review', 0):,}",
        held=f"{living.get('held', 0):,}",
        rejected=f"{living.get('rejected', 0):,}",
        skipped=f"{run['skips']:,}",
        balance=_balance(run, waiting),
        is_balanced=run["status"] != "failed",
        error=run["error"] or "",
        incident=incident["text"] if incident and incident["status"] == "open" else "",
    )


def _balance(run: dict[str, Any], waiting: int) -> str:
    if run["status"] != "finished":
        return words.phrase(run["status"])
    if waiting:
        return f"{waiting:,} wait for the final run"
    return "every draft is accounted for"
