"""Raise what is due soon: server and worker call it once a minute, a few cases a transaction."""

from datetime import datetime
from typing import Final

from prebill.bootstrap import Installation
from prebill.core.triage.priority import URGENCY
from prebill.store.urgency import raise_urgency

CHUNK: Final = 500


def raise_due(opened: Installation, now_at: datetime) -> int:
    """Bring every open case to the urgency of its deadline; return how many were raised."""
    raised = 0
    for left, times in URGENCY.items():  # what is past its deadline first: it skips a step
        while True:
            with opened.store.transaction() as tx:
                count = raise_urgency(tx, now_at + left, times, CHUNK)
            raised += count
            if count < CHUNK:
                break
    return raised
