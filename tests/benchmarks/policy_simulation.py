"""Seconds to ask a changed policy about a million stored decisions, from the lake to the summary.

    python -m tests.benchmarks.policy_simulation --decisions 1000000 --batches 50

Beside it: the same question row by row over the reasons as JSON, as one would from an export of the
decision log, on a sample. Numbers are drawn from a seed.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from prebill.bootstrap import Installation, policy_text
from prebill.core.calendar import add_months
from prebill.core.policy.given import KEPT
from prebill.core.policy.model import Policy
from prebill.core.schemas.internal import DECISIONS
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.lake_index import record_batch
from prebill.workflows.policy_simulation import Question, effect_of, read_decisions
from tests.benchmarks.markdown import table

FIRST = date(2025, 12, 1)
CODES = (
    *("level", "usage_missing", "meter_stuck", "price_differs_from_contract"),
    *("duplicate_invoice", "unit_error", "expected_charge_absent"),
)
#: Share of drafts with a finding.
FOUND_SHARE = 0.08


def batch(number: int, rows: int, months: int) -> pl.DataFrame:
    """Decisions of one shard as a run leaves them."""
    rng = np.random.default_rng(number)
    month = number % months
    scores = 1.0 - rng.random(rows)
    p_error = np.clip(0.02 * (1.0 - scores + 1e-4) ** -0.5, 0, 1)
    total = (rng.lognormal(10, 1.2, rows)).astype(int)
    over = np.where(scores > 0.9, (total * rng.random(rows)).astype(int), 0)
    issued, found = add_months(FIRST, month), rng.random(rows) < FOUND_SHARE
    loss = (p_error * over).astype(int)
    frame = pl.DataFrame(
        {
            "invoice_id": [f"DE01:{issued:%Y-%m}:S{number:05}{row:07}" for row in range(rows)],
            "action": np.where(
                scores >= 0.998, "hold", np.where(scores >= 0.985, "review", "release")
            ),
            "anomaly_score": scores,
            "p_error": p_error,
            "p_late": rng.random(rows),
            "days_late_p10": -3.0,
            "days_late_p50": rng.normal(5, 8, rows),
            "days_late_p90": 30.0,
            "expected_loss_minor": loss,
            "currency": rng.choice(["EUR", "USD", "GBP"], rows),
            "customer_id": [f"C{value:07}" for value in rng.integers(0, 100_000, rows)],
            "entity_id": rng.choice(["DE01", "US01", "GB01"], rows),
            "total_minor": total,
            "over_minor": over,
            "p_never": rng.random(rows) * 0.02,
            "open_minor": (total * rng.random(rows) * 3).astype(int),
            "found": [_found(rng) if is_found else [] for is_found in found],
            "tenure_days": rng.integers(0, 2000, rows),
            "ordinary_minor": total,
        }
    )
    schema = {**DECISIONS.schema, **KEPT}
    constant = {
        "p_error_basis": "labels",
        "direction": "over",
        "confidence": "full",
        "model_versions": "{}",
        "policy_hash": Policy.default().digest,
        "run_id": f"run:{month}",
        "draft_version": f"{number:064x}",
        "under_minor": 0,
        "is_person": False,
        "is_unjudged": False,
        "is_usage_late": False,
        "is_blocked": False,
        "issued_on": issued,
        "due_on": issued + timedelta(days=30),
        "decided_at": datetime(issued.year, issued.month, issued.day, 6, tzinfo=UTC),
    }
    texts = [
        json.dumps([{**one, "text": "x" * 80} for one in said]) if len(said) else "[]"
        for said in frame["found"].to_list()
    ]
    whole = frame.with_columns(pl.Series("reasons", texts), overdue_minor=pl.lit(0))
    absent = [
        pl.lit(constant.get(name)).cast(dtype).alias(name)
        for name, dtype in schema.items()
        if name not in whole.columns
    ]
    return whole.with_columns(absent).select(
        pl.col(name).cast(dtype) for name, dtype in schema.items()
    )


def _found(rng: np.random.Generator) -> list[dict[str, object]]:
    code = CODES[int(rng.integers(len(CODES)))]
    finding = {"detector": code, "code": code, "basis": "exact", "score": float(rng.random())}
    return [{**finding, "amount_minor": int(rng.integers(-50_000, 50_000))}]


@contextmanager
def installation(decisions: int, batches: int) -> Iterator[Installation]:
    """An installation whose lake has so many decisions."""
    with tempfile.TemporaryDirectory(prefix="prebill-bench-") as folder:
        settings = Settings.load(Path(folder))
        store = Store(settings.database_url)
        store.create_all()
        lake = Lake(settings.lake_dir)
        for number in range(batches):
            one = lake.append("decisions", batch(number, decisions // batches, 10), f"run#{number}")
            with store.transaction() as tx:
                record_batch(tx, one)
        yield Installation(settings, store, lake)
        store.close()


def changed() -> Policy:
    """The default policy with other limits."""
    document = yaml.safe_load(policy_text(None))
    for rule in document["rules"]:
        if rule["id"] == "anomaly-review":
            rule["at_least"] = 0.99
        if rule["id"] == "loss-review":
            rule["at_least"] = 500
        if rule["id"] == "exposure-review":
            rule["limits"] = {"default": 2_000}
    return Policy.parse(yaml.safe_dump(document))


def row_by_row(rows: pl.DataFrame, limit: float, loss: float) -> int:
    """Count what two limits stop, as a script over an exported decision log does."""
    stopped = 0
    for row in rows.iter_rows(named=True):
        codes = [one["code"] for one in json.loads(row["reasons"])]
        is_wrong = row["p_error"] >= 0.05 and row["expected_loss_minor"] / 100 >= loss
        is_unusual = row["anomaly_score"] is not None and row["anomaly_score"] >= limit
        stopped += is_unusual or is_wrong or "duplicate_invoice" in codes
    return stopped


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--sample", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    with installation(arguments.decisions, arguments.batches) as opened:
        live, candidate, question = Policy.default(), changed(), Question(date(2026, 11, 28))
        whole, read, cpu, summary = [], [], [], {}
        for _ in range(arguments.times):
            started, worked = time.perf_counter(), time.process_time()
            summary = effect_of(opened, live, candidate, question).summary
            whole.append(time.perf_counter() - started)
            cpu.append(time.process_time() - worked)
            started = time.perf_counter()
            read_decisions(opened, question, circumstances=False)
            read.append(time.perf_counter() - started)
        batches = [f"run#{number}" for number in range(arguments.batches)]
        rows = opened.lake.scan("decisions", batches).head(arguments.sample).collect()
        started = time.perf_counter()
        for limit, loss in ((0.985, 5_000), (0.99, 500)):
            row_by_row(rows, limit, loss)
        naive = (time.perf_counter() - started) * arguments.decisions / rows.height
    middle = sorted(whole)[len(whole) // 2]
    moved = f"{summary['moved']:,} moved"
    print(f"{summary['decisions']:,} decisions in {arguments.batches} batches, {moved}")
    print(
        table(
            ("", "seconds"),
            [
                ("simulate: read, decide twice, compare, sum up", f"{middle:.2f}"),
                ("fastest and slowest of these", f"{min(whole):.2f} to {max(whole):.2f}"),
                ("processor seconds of it", f"{sorted(cpu)[len(cpu) // 2]:.2f}"),
                ("of it reading", f"{sorted(read)[len(read) // 2]:.2f}"),
                (f"two limits row by row, from {rows.height:,} rows", f"{naive:.1f}"),
            ],
        )
    )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
