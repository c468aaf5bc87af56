"""Help on a case: similar cases among 100,000 resolved ones, learning, and trying corrections.

``python -m tests.benchmarks.assistance``; PostgreSQL only where it is installed.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from prebill.core.triage.recommend import learn
from prebill.core.triage.resolutions import RESOLUTIONS
from prebill.store import assistance as sql
from prebill.store.console import find_case
from prebill.store.engine import Store
from prebill.workflows.assisting import assistance_of
from prebill.workflows.smallest_change import smallest_change
from tests.api.builders import add_waiting
from tests.servers import DURABLE_OPTIONS, postgresql_binaries, running_postgresql
from tests.workflows import mistaken

CODES = (
    "price_differs_from_contract",
    "quantity_differs_from_contract",
    "discount_past_its_end",
    "duplicate_usage",
    "tax_share_unusual",
    "total_above_history",
    "total_below_history",
    "usage_missing",
    "meter_stuck",
    "composition_unusual",
)


def resolved(cases: int, *, seed: int = 1) -> pl.DataFrame:
    """``RESOLUTIONS`` of so many cases: one reason each, of half of them a second one."""
    draw = np.random.default_rng(seed)
    at = np.datetime64("2026-01-01", "us") + np.arange(cases) * np.timedelta64(300, "s")
    first, second = (draw.integers(0, len(CODES), cases) for _ in range(2))
    names = np.array(CODES)
    whole = pl.DataFrame(
        {
            "case_id": [f"case:R:{number}:v1" for number in range(cases)],
            "codes": np.where(
                (draw.random(cases) < 0.5) & (first != second),
                np.strings.add(np.strings.add(names[first], ","), names[second]),
                names[first],
            ),
            "resolved_at": pl.Series(at).dt.replace_time_zone("UTC"),
            "resolved_by": names[draw.integers(0, 8, cases)],
            "verdict": np.array(["release", "correct", "reject"])[draw.integers(0, 3, cases)],
            "reason_code": np.array(["wrong_price", "duplicate"])[draw.integers(0, 2, cases)],
            "customer_id": [f"CUST-{number:05}" for number in draw.integers(0, 20_000, cases)],
            "queue": np.array(["billing", "contracts", "tax"])[draw.integers(0, 3, cases)],
            "amount_minor": draw.integers(-90_000, 90_000, cases),
            "total_minor": draw.integers(10_000, 900_000, cases),
            "is_exact": first < 5,
            "charges": np.array(["seats", "api_calls", "api_calls,seats"])[
                draw.integers(0, 3, cases)
            ],
            "anomaly_score": draw.uniform(0.98, 1.0, cases),
            "p_error": draw.uniform(0.1, 0.99, cases),
        }
    ).with_columns(kind=pl.lit("draft"), currency=pl.lit("EUR"), first_queue="queue")
    rows = whole.with_columns(code=pl.col("codes").str.split(",")).explode("code")
    return RESOLUTIONS.conform(rows)


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """URLs of an SQLite file and, where it is installed, of a PostgreSQL database."""
    with tempfile.TemporaryDirectory() as folder:
        urls = {"SQLite": f"sqlite:///{folder}/bench.db"}
        binaries = postgresql_binaries()
        if binaries is None:
            yield urls
            return
        with running_postgresql(binaries, DURABLE_OPTIONS) as server:
            server.execute("CREATE DATABASE bench")
            server.execute("CREATE DATABASE mistaken")
            yield urls | {"PostgreSQL": server.url("bench")}


def milliseconds(work: Callable[[], object], times: int) -> pl.Series:
    """How long each of some runs takes, after three that don't count."""
    found = []
    for number in range(times + 3):
        started = time.perf_counter()
        work()
        if number >= 3:
            found.append((time.perf_counter() - started) * 1000)
    return pl.Series(found)


def told(name: str, found: pl.Series) -> None:
    """One row of the table."""
    p50, p99 = found.quantile(0.5), found.quantile(0.99)
    print(f"| {name} | {p50:.1f} ms | {p99:.1f} ms | {found.len()} |", flush=True)


def main(cases: int = 100_000, times: int = 100) -> None:
    """Measure and print the table."""
    rows = resolved(cases)
    print("| | p50 | p99 | n |\n|---|---:|---:|---:|")
    with databases() as urls:
        for engine, url in urls.items():
            store = Store(url)
            store.create_all()
            with store.transaction() as tx:
                case_id = add_waiting(tx, 1)
                tx.insert_frame("resolutions", rows)
                recommender = learn(rows)
                assert recommender is not None
                sql.save_recommender(tx, recommender, datetime.now(UTC))
            if not store.is_sqlite:
                with store.transaction() as tx:
                    tx.execute("ANALYZE")
            _help(engine, store, case_id, times)
            store.close()
    started = time.perf_counter()
    learn(rows)
    print(f"| learning from the newest 20,000 | {(time.perf_counter() - started):.2f} s | | 1 |")
    _changes()


def _help(engine: str, store: Store, case_id: str, times: int) -> None:
    def ask() -> object:
        with store.read() as tx:
            return assistance_of(tx, find_case(tx, case_id), 0.2)

    def find() -> object:
        with store.read() as tx:
            return find_case(tx, case_id)

    told(f"{engine}: the case alone", milliseconds(find, times))
    told(f"{engine}: the case and all help", milliseconds(ask, times))


def _changes() -> None:
    """How long it takes until a change that passes is found, by kind of mistake."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/prebill.db"
        store = Store(url)
        store.create_all()
        store.close()
        opened = mistaken.install(url, Path(folder), accounts=2_000, events=240_000)
        for mistake in mistaken.MISTAKEN:
            case_id = mistaken.case_of(opened, mistake)["case_id"]
            started = time.perf_counter()
            found = smallest_change(opened, case_id)
            seconds = time.perf_counter() - started
            answer = "found" if found.steps else "none"
            print(f"| smallest change, {mistake}: {answer} | {seconds:.2f} s | | {found.tried} |")
        opened.close()


if __name__ == "__main__":
    main()
