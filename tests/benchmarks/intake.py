"""Measured intake: events from files with every check, dedupe, a million bad rows, staged events.

``python -m tests.benchmarks.intake --events 5000000`` prints one JSON object.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from prebill.lake import Lake
from prebill.store.engine import Store
from prebill.workflows.ingest import FileReport
from prebill.workflows.staging import accept_events, move_staged_events
from tests.workflows import ingest_company as small

CUSTOMERS = 10_000
#: One request of the HTTP bar.
REQUEST = 500


def measure(events: int) -> dict[str, Any]:
    """Import ``events`` as CSV, as many others as Parquet, then the rest of the cases."""
    with tempfile.TemporaryDirectory(prefix="prebill-intake-") as name:
        folder = Path(name)
        store, lake = Store(f"sqlite:///{folder}/prebill.db"), Lake(folder / "lake")
        store.create_all()
        small.run(store, lake, small.write(folder / "company", company()))
        given = {
            "csv": usage(events, 0),
            "parquet": usage(events, events),
        }
        figures: dict[str, Any] = {"events": events}
        for suffix, frame in given.items():
            seconds, _ = timed(store, lake, folder / suffix, frame, suffix)
            figures[f"{suffix}_events_per_second"] = int(events / seconds)
        again, known = timed(store, lake, folder / "again", usage(100_000, 0), "csv")
        figures["seconds_100k_known_ids"] = round(again, 2)
        bad = usage(1_000_000, 2 * events).with_columns(quantity=pl.lit("-1"))
        seconds, refused = timed(store, lake, folder / "bad", bad, "csv")
        figures["seconds_million_bad_rows"] = round(seconds, 2)
        figures["known"], figures["rejected"] = known.known, refused.rejected
        figures.update(over_http(store, lake))
        store.close()
    figures["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return figures


def company() -> dict[str, small.Rows]:
    """The small company with many customers, each with a contract, and no events."""
    rows = small.company()
    del rows["usage_events"]
    contract = rows["contracts"][0]
    names = [f"c{n}" for n in range(CUSTOMERS)]
    rows["customers"] = [{"customer_id": name, "name": name, "country": "DE"} for name in names]
    rows["contracts"] = [
        {**contract, "contract_id": f"k{n}", "customer_id": f"c{n}"} for n in range(CUSTOMERS)
    ]
    return rows


def usage(count: int, first: int) -> pl.DataFrame:
    """Make events of October, numbered from ``first``, as text."""
    number = pl.int_range(first, first + count)
    start_at = pl.lit(small.AS_OF_AT.replace(month=10, day=1))
    moment = start_at + pl.duration(seconds=(number * 31) % (30 * 86_400))
    return pl.select(
        source=pl.lit("app/eu-1"),
        id=pl.format("event-{}", number),
        customer_id=pl.format("c{}", (number * 7919) % CUSTOMERS),
        meter=pl.lit("calls"),
        occurred_at=moment.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        quantity=pl.format("{}.25", number % 900),
    )


def timed(
    store: Store, lake: Lake, folder: Path, frame: pl.DataFrame, suffix: str
) -> tuple[float, FileReport]:
    """Import one file of events; return its seconds and what became of it."""
    folder.mkdir()
    path = folder / f"usage_events.{suffix}"
    frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)
    started = time.perf_counter()
    report = small.run(store, lake, folder)
    return time.perf_counter() - started, report.files[0]


def over_http(store: Store, lake: Lake) -> dict[str, Any]:
    """Accept 50,000 events in requests of 500 (without the HTTP server), then move them."""
    requests = [
        [small.event(f"http-{n}-{k}") for k in range(REQUEST)] for n in range(50_000 // REQUEST)
    ]
    started = time.perf_counter()
    for request in requests:
        accept_events(store, small.CATALOG, request, "benchmark")
    accepted = time.perf_counter() - started
    started = time.perf_counter()
    moved = move_staged_events(small.world(store, lake))
    return {
        "accepted_events_per_second": int(50_000 / accepted),
        "moved_events_per_second": int(moved.entered / (time.perf_counter() - started)),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    json.dump(measure(parser.parse_args().events), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
