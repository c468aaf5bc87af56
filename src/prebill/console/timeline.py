"""State changes in words."""

from typing import Any

from prebill.console import words
from prebill.console.views import Event


def event_of(row: dict[str, Any]) -> Event:
    """Say what changed, when, by whom."""
    before = words.phrase(row["from_state"] or "")
    after = words.phrase(row["to_state"])
    change = f"{before} → {after}" if before else after
    text = f"{words.phrase(row['object_type'])}: {change}"
    return Event(words.instant(row["entered_at"]), text, row["entered_by"])
