from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.runs import run_summary
from tests.benchmarks import company
from tests.workflows import world

SILENT_SINCE = datetime(2026, 10, 20, tzinfo=UTC)
AFTER_ISSUE_BY = datetime(2026, 11, 20, 12, tzinfo=UTC)


def install_with_silent_source(database_url: str, home: Path) -> Installation:
    settings = Settings.load(
        home, database_url=database_url, policy_path=world.lenient_policy(home)
    )
    opened = Installation(settings, Store(database_url), Lake(settings.lake_dir))
    world.OPENED.append(opened)
    frames = company.frames(6, 600)
    usage = frames["usage_events"].filter(pl.col("occurred_at") < SILENT_SINCE)
    world.load(opened, {**frames, "usage_events": usage})
    return opened


def test_drafts_wait_for_a_silent_source_until_their_issue_by_date(
    database_url: str, home: Path
) -> None:
    opened = install_with_silent_source(database_url, home)
    waiting = run_summary(opened.store, world.run(opened, as_of_at=world.FINAL_AT))
    assert {"draft": 6} == waiting.states
    assert 6 == waiting.counts["waiting_for_usage"]
    due = run_summary(opened.store, world.run(opened, as_of_at=AFTER_ISSUE_BY))
    assert {"in_review": 6} == due.states
    reasons = world.rows(opened, "SELECT reasons FROM decisions")
    assert all("usage_late" in row["reasons"] for row in reasons)
