"""State changes in words."""

from typing import Any

from prebill.console import words
from prebill.console.views import Event
from prebill.store.console import names_of, timeline_of
from prebill.store.engine import Tx


def timeline(tx: Tx, *object_ids: str, opened_at: str = "") -> tuple[Event, ...]:
    """Say what changed, when, by whom, for some objects together.

    ``opened_at``: the beginning to show where no change was written down.
    """
    names = names_of(tx)
    events = tuple(_event(row, names) for row in timeline_of(tx, *object_ids))
    if opened_at and not events:
        return (Event(words.instant(opened_at), "case: open", ""),)
    return events


def _event(row: dict[str, Any], names: dict[str, str]) -> Event:
    before = words.phrase(row["from_state"] or "")
    after = words.phrase(row["to_state"])
    change = f"{before} → {after}" if before else after
    text = f"{words.phrase(row['object_type'])}: {change}"
    actor = names.get(row["entered_by"], row["entered_by"])
    return Event(words.instant(row["entered_at"]), text, actor)
