"""A small installation with a company in it, for tests of workflows."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import yaml

from prebill.bootstrap import Installation
from prebill.core import policy as policy_package
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.lake_index import record_batch
from prebill.store.reference import LAKE_FRAMES
from prebill.workflows import plan, runtime
from prebill.workflows.memory import memory
from tests.benchmarks import company

PERIOD = company.PERIOD
#: After the grace days: drafts are final.
FINAL_AT = datetime(2026, 11, 5, 12, tzinfo=UTC)
#: Within the grace days: drafts stay drafts.
EARLY_AT = datetime(2026, 11, 1, 12, tzinfo=UTC)

#: What the present test opened; closed after it (see conftest.py).
OPENED: list[Installation] = []
#: Releases whatever no difference from the contract speaks against.
LENIENT_RULES = [
    {
        "id": "exact-hold",
        "kind": "finding",
        "codes": ["price_differs_from_contract", "quantity_differs_from_contract"],
        "min_score": 0.99,
        "min_share": 0.0,
        "action": "hold",
    }
]


def install(
    database_url: str, home: Path, *, accounts: int = 12, events: int = 600, lenient: bool = True
) -> Installation:
    """Open an installation and load a company into it."""
    policy = {"policy_path": lenient_policy(home)} if lenient else {}
    settings = Settings.load(home, database_url=database_url, **policy)
    opened = Installation(settings, Store(database_url), Lake(settings.lake_dir))
    OPENED.append(opened)
    load(opened, company.frames(accounts, events))
    return opened


def lenient_policy(home: Path) -> Path:
    """Write the default policy with few rules."""
    text = (Path(policy_package.__file__).parent / "default.yaml").read_text(encoding="utf-8")
    document = {**yaml.safe_load(text), "name": "lenient", "rules": LENIENT_RULES}
    path = home / "lenient.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def sample_everything(opened: Installation, *more_rules: dict[str, object]) -> None:
    """Let the policy sample all that it releases, and judge by further rules as well."""
    path = opened.settings.policy_path
    assert path is not None
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["sample"] = {"share": 1.0, "due_hours": 24, "strata": []}
    document["rules"] += more_rules
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def load(opened: Installation, frames: dict[str, pl.DataFrame]) -> None:
    """Store frames as an import would."""
    for name, frame in frames.items():
        if name in LAKE_FRAMES:
            add_batch(opened, name, frame, f"{name}-1")
        else:
            with opened.store.transaction() as tx:
                tx.insert_frame(name, frame)


def add_batch(opened: Installation, name: str, frame: pl.DataFrame, batch_id: str) -> None:
    batch = opened.lake.append(name, frame, batch_id)
    with opened.store.transaction() as tx:
        record_batch(tx, batch)


def run(
    opened: Installation,
    *,
    as_of_at: datetime = FINAL_AT,
    entity_id: str | None = None,
    shard_customers: int = 6,
) -> str:
    """Plan and run with a worker of this process; return the run's id."""
    run_id = plan.open_run(
        opened,
        PERIOD,
        as_of_at=as_of_at,
        now_at=as_of_at,
        entity_id=entity_id,
        actor="tester",
        shard_customers=shard_customers,
    )
    worker = runtime.Worker(opened)
    worker.start()
    try:
        runtime.run_to_end(opened.store, run_id)
    finally:
        worker.stop()
        memory.clear()
    return run_id


def amend(opened: Installation, account: int, **values: object) -> None:
    """Record a new version of a subscription's phase, as an import would."""
    with opened.store.transaction() as tx:
        where = f"WHERE subscription_id = 'S{account:07d}' ORDER BY recorded_at"
        phase = tx.table_frame("subscription_phases", where).row(0, named=True)
        later = datetime(2026, 11, 2, tzinfo=UTC)
        tx.insert("subscription_phases", {**phase, "recorded_at": later, **values})


def engine_draft(draft_id: str, **values: object) -> dict[str, object]:
    """A row of another engine's draft for the period, held."""
    return {
        "draft_id": draft_id,
        "version": "1",
        "system": "stripe",
        "sequence": 1,
        "customer_id": "C1",
        "currency": "EUR",
        "issued_on": date(2026, 11, 1),
        "due_on": date(2026, 11, 15),
        "period_start_on": date(2026, 10, 1),
        "total_minor": 1_000,
        "content_digest": "0",
        "state": "held",
        "lines_json": "[]",
        "entered_at": datetime(2026, 11, 1, tzinfo=UTC),
        "entered_by": "tester",
        **values,
    }


def rows(opened: Installation, statement: str) -> list[dict[str, object]]:
    with opened.store.read() as tx:
        return tx.rows(statement)
