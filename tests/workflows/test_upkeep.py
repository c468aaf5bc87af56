from datetime import UTC, datetime, timedelta
from pathlib import Path

from prebill.workflows.upkeep import sweep_orphans
from tests.workflows import world


def test_only_old_batches_that_sql_does_not_name_are_swept(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home, accounts=4, events=80)
    with opened.store.read() as tx:
        named = tx.rows("SELECT batch_id FROM lake_batches WHERE table_name = 'usage_events'")
    events = opened.lake.scan("usage_events", [row["batch_id"] for row in named]).collect()
    opened.lake.append("usage_events", events.head(3), "left by a crash")
    now_at = datetime.now(UTC)
    assert sweep_orphans(opened, now_at) == {}
    swept = sweep_orphans(opened, now_at + timedelta(days=2))
    assert swept == {"usage_events": ["left by a crash"]}
    kept = opened.lake.scan("usage_events", [row["batch_id"] for row in named]).collect()
    assert kept.height == events.height
