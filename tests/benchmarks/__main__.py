"""Every benchmark, one after the other: ``make bench``, or ``python -m tests.benchmarks NAME…``.

Each runs in a process of its own, so that memory and caches are its own. Figures are printed as
tables and raw output; ``docs/benchmarks.md`` keeps the latest of them with what they mean.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.servers import DURABLE_OPTIONS, postgresql_binaries, running_postgresql

#: Accounts and events of the measured runs.
SIZES = ((10_000, 500_000), (100_000, 5_000_000))
STAGES = ("gather", "learn", "meter", "price", "score", "post", "rows", "lake", "store")


def runs() -> None:
    """Billing runs on SQLite and PostgreSQL."""
    results = [_run(accounts, events, None) for accounts, events in SIZES]
    binaries = postgresql_binaries()
    if binaries is None:
        print("PostgreSQL is not installed: its runs are left out (`make test-deps`)")
    else:
        with running_postgresql(binaries, DURABLE_OPTIONS) as server:
            for number, (accounts, events) in enumerate(SIZES):
                server.execute(f"CREATE DATABASE bench{number}")
                results.append(_run(accounts, events, server.url(f"bench{number}")))
    _print_runs(results)


def _run(accounts: int, events: int, database: str | None) -> dict[str, Any]:
    where = ["--database", database] if database else []
    arguments = ["--accounts", str(accounts), "--events", str(events), *where]
    text = _module("tests.benchmarks.billing_run", *arguments)
    return dict(json.loads(text.splitlines()[-1]))


def _print_runs(results: list[dict[str, Any]]) -> None:
    names = [f"{one['database']} {one['accounts']:,}" for one in results]
    print("| | " + " | ".join(names) + " |")
    print("|---|" + "---:|" * len(results))
    for stage in STAGES:
        cells = [f"{one['stage_seconds'].get(stage, 0):.1f} s" for one in results]
        print(f"| {stage} | " + " | ".join(cells) + " |")
    rows: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("all stages", lambda one: f"{sum(one['stage_seconds'].values()):.1f} s"),
        ("the run, start to end", lambda one: f"{one['run_seconds']:.1f} s"),
        (
            "the command, with start and deliveries",
            lambda one: f"{one['command']['seconds']:.1f} s",
        ),
        ("**invoices/s of the run**", lambda one: _rate(one, one["run_seconds"])),
        ("peak memory", lambda one: f"{one['command']['peak_mb'] / 1024:.2f} GiB"),
        ("import before it", lambda one: f"{one['import']['seconds']:.1f} s"),
        ("issued", lambda one: f"{one['states'].get('issued', 0):,}"),
    ]
    for title, cell in rows:
        print(f"| {title} | " + " | ".join(cell(one) for one in results) + " |")


def _rate(one: dict[str, Any], seconds: float) -> str:
    return f"**{one['accounts'] / seconds:,.0f}**"


def core() -> None:
    """Metering, pricing, tax and drafting in memory."""
    print(_module("tests.benchmarks.billing_core", "100000", "5000000"))


def scoring() -> None:
    """Features, forest and decisions of 100,000 drafts."""
    print(_module("tests.benchmarks.scoring_speed"))


def detection() -> None:
    """How well faults are found; the environment variable RETAIL names the real invoices."""
    retail = os.environ.get("RETAIL")
    where = ["--retail", retail] if retail else []
    print(_module("tests.benchmarks.detection", "--seeds", "10", "--first", "11", *where))


def company() -> None:
    """How well faults are found in five demo companies."""
    print(_module("tests.benchmarks.demo_company", "--seeds", "11", "12", "13", "14", "15"))


def intake() -> None:
    """Usage events from files, staged events, bad rows."""
    print(_module("tests.benchmarks.intake"))


def training() -> None:
    """`prebill train --all` on demo companies of growing size."""
    print(_module("tests.benchmarks.training"))


def drift() -> None:
    """False alarms without drift, and how soon planted drifts are found."""
    print(_module("tests.benchmarks.drift_alarms"))


def forecasts() -> None:
    """Usage, cash and cases against simple forecasts; RECEIVABLES names real invoices."""
    folder = os.environ.get("RECEIVABLES")
    print(_module("tests.benchmarks.forecasts", *(["--receivables", folder] if folder else [])))


def serving() -> None:
    """Latency of the hook, the queue page and a decision over HTTP."""
    print(_module("tests.benchmarks.serving"))


def assistance() -> None:
    """Help on a case among 100,000 resolved ones; how long until a passing change is found."""
    print(_module("tests.benchmarks.assistance"))


def recommendations() -> None:
    """How good recommended actions are, with reviewers of stated accuracy."""
    print(_module("tests.benchmarks.recommendations"))


def serving_batch() -> None:
    """Drafts per second with profiles prepared, and the memory of a worker."""
    print(_module("tests.benchmarks.serving_batch"))


def simulate() -> None:
    """A changed policy asked about a million stored decisions."""
    print(_module("tests.benchmarks.policy_simulation"))


def kills() -> None:
    """A billing run killed at 100 random moments, and started again."""
    for database in ("sqlite", "postgresql"):
        print(_module("tests.benchmarks.kills", "--kills", "50", "--database", database))


def demo() -> None:
    """`make demo` in seconds."""
    started = time.perf_counter()
    subprocess.run(["make", "-s", "demo"], check=True, stdout=subprocess.DEVNULL)
    print(f"make demo: {time.perf_counter() - started:.1f} s")


def _module(name: str, *arguments: str) -> str:
    command = [sys.executable, "-m", name, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


BENCHMARKS = {
    work.__name__: work
    for work in (
        *(core, scoring, training, detection, company, drift, forecasts),
        *(runs, intake, serving, assistance, recommendations, serving_batch, simulate, kills, demo),
    )
}


def main() -> None:
    """Run the named benchmarks, or all."""
    names = sys.argv[1:] or list(BENCHMARKS)
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}\n")
    for name in names:
        print(f"## {name}: {BENCHMARKS[name].__doc__}\n", flush=True)
        BENCHMARKS[name]()
        print(flush=True)


if __name__ == "__main__":
    main()
