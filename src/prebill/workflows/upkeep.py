"""Upkeep of the lake: delete the batches that a crash left without a SQL row."""

from datetime import datetime, timedelta
from typing import Final

from prebill.bootstrap import Installation
from prebill.lake import TABLES
from prebill.store.lake_index import named_batches

#: A run may be between its append and its commit for as long as this.
SPARED_FOR: Final = timedelta(days=1)


def sweep_orphans(opened: Installation, now_at: datetime) -> dict[str, list[str]]:
    """Delete batches that SQL doesn't name and that are older than a day; return their ids."""
    swept = {}
    for table in TABLES:
        with opened.store.read() as tx:
            known = named_batches(tx, table)
        orphans = opened.lake.sweep(table, known, written_before=now_at - SPARED_FOR)
        if orphans:
            swept[table] = orphans
    return swept
