"""Kill -9 a billing run at random moments, start it again, and compare with one left in peace.

``python -m tests.benchmarks.kills --kills 100 --seed 1 [--database postgresql]``. The real command,
with small shards and chunks, so that a small company has many steps; a third of the runs
are killed twice. Afterwards nothing may be lost or done twice: reconciliation and audit agree, and
drafts, documents, postings, cases, deliveries and counts equal those of the undisturbed run.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from prebill import audit
from prebill.bootstrap import Installation
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.workflows.deliver import LEASE, deliver_due
from prebill.workflows.reconcile import reconcile_period
from tests.servers import Postgresql, postgresql_binaries, running_postgresql
from tests.workflows import world

ACCOUNTS, EVENTS = 120, 1_200
#: 3 shards of 40 accounts, each stored in 3 transactions; the real ones are 20,000 and 500.
PROGRAM = (
    "from prebill.workflows import plan, rows; rows.CHUNK = 15; "
    "plan.open_run.__kwdefaults__['shard_customers'] = 40; "
    "from prebill.cli import main; main()"
)
#: Of so many kills to each draft or delivery, how many come before the plan.
EARLY = 0.15
#: Longest wait after a draft was stored or delivered: about as long as a shard is computed.
LONGEST_DELAY = 1.0
AGAIN = 1 / 3
#: What must be equal, whatever happened: nothing here has a time or an order in it.
BOOKS = {
    "drafts": "SELECT draft_id, version, state, total_minor FROM drafts",
    "documents": "SELECT draft_id, draft_version, total_minor, currency FROM documents",
    "numbers": "SELECT entity_id, series, next_number FROM number_series",
    "postings": "SELECT account_id, currency, sum(amount_minor) AS minor, count(*) AS postings "
    "FROM postings GROUP BY account_id, currency",
    "decisions": "SELECT draft_id, draft_version, action, reasons FROM decisions",
    "cases": "SELECT draft_id, draft_version, status, action FROM cases",
    "deliveries": "SELECT channel, status, count(*) AS deliveries FROM outbox "
    "GROUP BY channel, status",
    "runs": "SELECT run_id, status FROM runs",
    "shards": "SELECT shard, status FROM run_shards",
    "changes": "SELECT object_type, object_id, to_state, count(*) AS times FROM state_changes "
    "GROUP BY object_type, object_id, to_state",
    "audit": "SELECT action, count(*) AS entries FROM audit_entries GROUP BY action",
    "batches": "SELECT table_name, batch_id, rows FROM lake_batches",
}


@dataclass(slots=True)
class Tally:
    """What the kills hit, and what went wrong afterwards."""

    runs: int = 0
    kills: int = 0
    hit: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """A copy of the company: its home and database."""

    home: Path
    database_url: str

    def start(self) -> "subprocess.Popen[str]":
        """Start the billing run."""
        environment = {
            **os.environ,
            "PREBILL_HOME": str(self.home),
            "PREBILL_DATABASE_URL": self.database_url,
            "PREBILL_POLICY_PATH": str(self.home / "lenient.yaml"),
            "PYTHONWARNINGS": "ignore",
        }
        as_of = world.FINAL_AT.isoformat()
        command = [sys.executable, "-c", PROGRAM, "run", "--period", world.PERIOD, "--as-of", as_of]
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def opened(self) -> Iterator[Installation]:
        """Its installation."""
        settings = Settings.load(self.home, database_url=self.database_url)
        installation = Installation.open(settings)
        try:
            yield installation
        finally:
            installation.close()


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: once so many drafts are stored and delivered, and a while later."""

    progress: int | None
    delay: float

    @classmethod
    def drawn(cls, rng: random.Random, end: int) -> "Moment":
        """Draw one; None is before the plan, ``end`` is the last delivery."""
        if rng.random() < EARLY:
            return cls(None, rng.uniform(0, 2 * LONGEST_DELAY))
        return cls(rng.randint(0, end - 1), rng.choice([0.05, LONGEST_DELAY]) * rng.random())


class Company:
    """One company, copied for every kill."""

    def __init__(self, folder: Path, server: Postgresql | None) -> None:
        self._folder, self._server, self._copies = folder, server, 0
        home = folder / "company"
        home.mkdir()
        if server is not None:
            server.execute("CREATE DATABASE company")
        self._url = server.url("company") if server else f"sqlite:///{home}/prebill.db"
        with Store(self._url) as store:
            store.create_all()
        opened = world.install(self._url, home, accounts=ACCOUNTS, events=EVENTS)
        for account in range(1, ACCOUNTS, 15):  # held: they bill more than their contract says
            world.amend(opened, account, quantity=Decimal(99))
        opened.close()
        world.OPENED.clear()

    @contextlib.contextmanager
    def copy(self) -> Iterator[Place]:
        """A fresh copy; gone afterwards."""
        self._copies += 1
        home = self._folder / f"copy{self._copies}"
        shutil.copytree(self._folder / "company", home)
        name = f"copy{self._copies}"
        if self._server is None:
            yield Place(home, f"sqlite:///{home}/prebill.db")
        else:
            self._server.execute(f"CREATE DATABASE {name} TEMPLATE company")
            yield Place(home, self._server.url(name))
            self._server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        shutil.rmtree(home)


def books(place: Place) -> dict[str, Any]:
    """Everything that a run leaves behind, without times and orders."""
    with place.opened() as opened, opened.store.read() as tx:
        found: dict[str, Any] = {
            name: Counter(json.dumps(row, default=str) for row in tx.rows(sa.text(statement)))
            for name, statement in BOOKS.items()
        }
        documents = {row["document_id"] for row in tx.rows("SELECT document_id FROM documents")}
    found["files"] = (len(delivered_files(place)), len(documents))
    return found


def delivered_files(place: Place) -> list[Path]:
    """What the files connector has put in place so far."""
    return [path for path in (place.home / "delivered").rglob("*") if path.is_file()]


def disorder(place: Place, undisturbed: dict[str, Any]) -> list[str]:
    """What is lost, done twice, unbalanced or altered."""
    with place.opened() as opened:
        # What the killed process was delivering is leased to it: the worker waits for the end.
        deliver_due(opened, clock=lambda: datetime.now(UTC) + 2 * LEASE)
    found = books(place)
    wrong = [f"{name} differ" for name in undisturbed if found[name] != undisturbed[name]]
    with place.opened() as opened:
        wrong += [one.text for one in reconcile_period(opened, world.PERIOD).differences]
        audit.seal(opened.store, opened.settings.audit_heads_path)
        seen = audit.verify(opened.store, opened.settings.audit_heads_path)
        wrong += [one.text for one in seen.findings]
    return wrong


def wait_for(place: Place, process: "subprocess.Popen[str]", wanted: int) -> None:
    """Wait until so many drafts are stored and delivered, or the process has ended."""
    with place.opened() as opened:
        while process.poll() is None:
            with opened.store.read() as tx:
                stored = tx.scalar(
                    "SELECT (SELECT count(*) FROM drafts) + (SELECT count(*) FROM runs) - 1"
                )
            if stored + len(delivered_files(place)) >= wanted:
                return
            time.sleep(0.005)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for the end; return exit code and what it said."""
    _, said = process.communicate(timeout=600)
    return process.returncode, said


def undisturbed_run(company: Company) -> dict[str, Any]:
    """The books of a run that nobody killed."""
    with company.copy() as place:
        code, said = finish(place.start())
        if code:
            raise RuntimeError(said)
        return books(place)


def kill_at(moment: Moment, place: Place) -> bool:
    """Start the run and kill it at a moment; return whether it was still running."""
    process = place.start()
    if moment.progress is not None:
        wait_for(place, process, moment.progress)
    time.sleep(moment.delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def stage_of(place: Place) -> str:
    """How far the killed run had come."""
    with place.opened() as opened, opened.store.read() as tx:
        runs = tx.rows("SELECT status FROM runs")
        stored = tx.scalar("SELECT count(*) FROM drafts")
        waiting = tx.scalar("SELECT count(*) FROM outbox WHERE status = 'pending'")
    if not runs:
        return "before the plan"
    if runs[0]["status"] == "finished":
        return "while delivering" if waiting else "after the last delivery"
    return f"in the run, {stored} of {ACCOUNTS} drafts stored"


def kill(company: Company, count: int, seed: int) -> Tally:
    """Kill ``count`` times, run after run, and check each run after its repeat."""
    rng = random.Random(seed)
    undisturbed = undisturbed_run(company)
    end = ACCOUNTS + undisturbed["files"][0]
    tally, started = Tally(), time.monotonic()
    while tally.kills < count:
        tally.runs += 1
        with company.copy() as place:
            moments = [Moment.drawn(rng, end) for _ in range(1 + (rng.random() < AGAIN))]
            for moment in moments:
                was_running = kill_at(moment, place)
                tally.hit[stage_of(place) if was_running else "had ended"] += 1
                tally.kills += was_running
            code, said = finish(place.start())
            wrong = [f"exit code {code}: {said[-500:]}"] if code else disorder(place, undisturbed)
            tally.failures += [f"run {tally.runs}, killed at {moments}: {one}" for one in wrong]
            print(f"{tally.kills}/{count}", dict(tally.hit), *wrong, file=sys.stderr, flush=True)
    tally.seconds = time.monotonic() - started
    return tally


def run(count: int, seed: int, database: str) -> Tally:
    """Kill runs on one engine."""
    with contextlib.ExitStack() as everything:
        folder = Path(
            everything.enter_context(tempfile.TemporaryDirectory(prefix="prebill-kills-"))
        )
        server = None
        if database == "postgresql":
            binaries = postgresql_binaries()
            if binaries is None:
                message = "PostgreSQL is not installed: run `make test-deps`"
                raise SystemExit(message)
            server = everything.enter_context(running_postgresql(binaries))
        return kill(Company(folder, server), count, seed)


def main() -> None:
    """Kill, print what was hit and what went wrong; exit code 1 where anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how often to kill")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    given = parser.parse_args()
    tally = run(given.kills, given.seed, given.database)
    print(f"{given.database}: {tally.kills} kills of {tally.runs} runs, {tally.seconds:.0f} s")
    for stage, times in sorted(tally.hit.items()):
        print(f"  {times:>4} {stage}")
    print(f"  {len(tally.failures):>4} things lost, done twice, unbalanced or altered")
    for failure in tally.failures:
        print(f"  {failure}")
    raise SystemExit(bool(tally.failures))


if __name__ == "__main__":
    main()
