"""A measured billing run by the real commands: seconds by stage, peak memory of each process.

``python -m tests.benchmarks.billing_run --accounts 10000 --events 500000`` prints one JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from prebill.bootstrap import Installation
from prebill.settings import Settings
from prebill.store.runs import latest_run, run_summary
from tests.benchmarks import company

AS_OF = "2026-11-05T06:00:00Z"


def measure(accounts: int, events: int, database_url: str | None) -> dict[str, Any]:
    """Bill a fresh company once and return what it took."""
    with tempfile.TemporaryDirectory(prefix="prebill-bench-") as folder:
        home, data = Path(folder) / "home", Path(folder) / "data"
        company.write(data, company.frames(accounts, events))
        environment = {**os.environ, "PREBILL_HOME": str(home)}
        if database_url:
            environment["PREBILL_DATABASE_URL"] = database_url
        command("init", "--no-tracking", environment=environment)
        imported = command("import", str(data), environment=environment)
        run = command("run", "--period", company.PERIOD, "--as-of", AS_OF, environment=environment)
        chosen = {"database_url": database_url} if database_url else {}
        opened = Installation.open(Settings.load(home, **chosen))
        with opened.store.read() as tx:
            run_id = latest_run(tx, company.PERIOD)
            times = tx.first("SELECT * FROM runs WHERE run_id = :run_id", {"run_id": run_id}) or {}
        summary = run_summary(opened.store, run_id)
        opened.close()
    return {
        "accounts": accounts,
        "events": events,
        "database": "PostgreSQL" if database_url else "SQLite",
        "status": summary.status,
        "states": summary.states,
        "import": imported,
        "command": run,
        "run_seconds": _seconds(times["started_at"], times["finished_at"]),
        "stage_seconds": summary.seconds,
    }


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def command(*arguments: str, environment: dict[str, str]) -> dict[str, float]:
    """Run one ``prebill`` command; return its wall and processor seconds and peak MiB."""
    started = time.perf_counter()
    program = Path(sys.executable).with_name("prebill")
    child = subprocess.Popen([program, *arguments], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        message = f"prebill {arguments[0]} ended with exit code {child.returncode}"
        raise RuntimeError(message)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def main() -> None:
    """Read the arguments, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--database", default=None, help="URL; default: SQLite in a temp folder")
    given = parser.parse_args()
    print(json.dumps(measure(given.accounts, given.events, given.database)))


if __name__ == "__main__":
    main()
