"""DBOS as Prebill uses it: one worker a process, its own executor id, heartbeats and a reaper.

Only a worker launches DBOS. Everybody else enqueues through :func:`client`. An effect in SQL and
the record of its step commit together (:func:`in_step_transaction`); other effects have business
ids and may be repeated. System tables: schema ``dbos`` on PostgreSQL; on SQLite a file of their
own beside ours, because one file has one writer at a time (200 steps of 2,000 rows: 5.3 s beside,
7.3 s in the same file).
"""

import os
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Concatenate, Final, ParamSpec, TypeVar

import polars as pl
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, SQLAlchemyDatasource
from dbos._datasource import DatasourceOptions

from prebill.bootstrap import Installation
from prebill.core.errors import StorageError
from prebill.store.engine import Store, Tx
from prebill.store.faults import explained, full_or_locked, is_locked, watched
from prebill.store.runs import Progress, progress_of
from prebill.store.workers import beat, forget_worker, live_workers, silent_workers

P = ParamSpec("P")
R = TypeVar("R")

#: Grows when a workflow's steps change: work begun by another version is not continued by this.
APPLICATION_VERSION: Final = "prebill-workflows-1"
APPLICATION: Final = "prebill"
RUNS: Final = "runs"
SHARDS: Final = "shards"

HEARTBEAT_SECONDS: Final = 5.0
LOCK_PAUSE_SECONDS: Final = 0.5
#: How long a step waits for SQLite's one writer; on PostgreSQL LOCK_TIMEOUT_MS decides.
LOCK_PATIENCE_SECONDS: Final = 60.0
#: How long a stopping worker waits for what it is in the middle of.
ENDING_SECONDS: Final = 10
SILENT_AFTER: Final = timedelta(seconds=30)
POLLING_SECONDS: Final = 0.1
#: Workflow states after which a run may be tried again.
ENDED_BADLY: Final = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Interrupted(BaseException):
    """Ends a step without a result; whoever starts a worker next does it again.

    No ``Exception``: DBOS would record that as what came of the step, and give it back for ever.
    """


#: Whether this thread is in a workflow that may end without a result.
_is_interruptible: ContextVar[bool] = ContextVar("is_interruptible", default=False)


@dataclass
class _Process:
    """The one worker of this process: DBOS itself is a singleton."""

    installation: Installation | None = None
    datasource: SQLAlchemyDatasource | None = None
    #: Why this process's worker can go no further.
    failure: StorageError | None = None
    #: Since when a step has been waiting for a lock (monotonic seconds).
    locked_since: float | None = None
    #: Held by the step that writes, where the database has one writer.
    writing: threading.Lock = field(default_factory=threading.Lock)


_process = _Process()


def installation() -> Installation:
    """The installation that the worker of this process serves."""
    assert _process.installation is not None, "no worker was started in this process"
    return _process.installation


def in_step_transaction(
    work: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run ``work(tx, ...)`` as a step whose effects and record commit together.

    The result is kept as JSON. A step that was recorded before is not run again.
    """
    datasource = _process.datasource
    assert datasource is not None, "no worker was started in this process"

    def body() -> R:
        with interruptible():
            return work(Tx.inside(datasource.sql_session()), *args, **kwargs)

    options: DatasourceOptions = {"name": work.__name__, "isolation_level": "READ COMMITTED"}
    turn: AbstractContextManager[object] = nullcontext()
    if installation().store.is_sqlite:
        options["isolation_level"] = "SERIALIZABLE"  # the only level there; see store/engine.py
        turn = _process.writing
    with interruptible(), turn:
        result = datasource.run_tx_step(options, body)
    _process.locked_since = None
    return result


@contextmanager
def interruptible() -> Iterator[None]:
    """End what is inside, without a result, on a full disk or a lock that lasts.

    Nothing of it is recorded, whoever waits for the run is told, and the next worker goes on.
    """
    before = _is_interruptible.set(True)
    try:
        yield
    except Exception as error:
        found = full_or_locked(error, installation().store.url)
        if found is not None and (ending := _ending(found)) is not None:
            raise ending from error
        raise
    except pl.exceptions.PanicException as error:
        # DBOS records no BaseException: the workflow would stay pending, and the run with it.
        message = f"a library gave up: {str(error).splitlines()[0]}"
        raise RuntimeError(message) from error
    finally:
        _is_interruptible.reset(before)


def _ending(found: StorageError) -> Interrupted | None:
    """What ends the step that met a full disk or a lock; None: it is tried again, or is no step."""
    if is_locked(found):
        if not _is_interruptible.get():
            return None
        since = _process.locked_since = _process.locked_since or time.monotonic()
        lasts = time.monotonic() - since >= LOCK_PATIENCE_SECONDS
        if installation().store.is_sqlite and not lasts:
            return None
    _process.failure = found
    return Interrupted(str(found)) if _is_interruptible.get() else None


def system_database_url(store: Store) -> str:
    """Where DBOS keeps its own tables."""
    if store.is_sqlite:
        return f"sqlite:///{store.url.database}-workflows"
    return store.url.render_as_string(hide_password=False)


def prepare(store: Store) -> None:
    """Create or migrate the tables of DBOS; done by `prebill init` and by every worker."""
    url = system_database_url(store)
    DBOS.migrate(url)
    if (
        store.is_sqlite
    ):  # stays with the file; DBOS would write a journal beside each of its commits
        with closing(sqlite3.connect(f"{store.url.database}-workflows")) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    SQLAlchemyDatasource.migrate(store.url.render_as_string(hide_password=False))


@contextmanager
def client(store: Store) -> Iterator[DBOSClient]:
    """A client that enqueues and asks; it runs nothing itself."""
    opened = DBOSClient(
        system_database_url=system_database_url(store),
        serializer=DBOSPortableJSONSerializer(),
        application_name=APPLICATION,
    )
    try:
        yield opened
    finally:
        opened.destroy()


def _datasource(store: Store) -> SQLAlchemyDatasource:
    """Open DBOS's tables beside ours; tried again while another process writes to SQLite."""
    for is_last in (False, False, False, True):
        try:
            with explained(store.url):
                return SQLAlchemyDatasource.create(
                    store.url.render_as_string(hide_password=False),
                    engine=store.engine,
                    serializer=DBOSPortableJSONSerializer(),
                )
        except StorageError:
            if is_last:
                raise
            time.sleep(LOCK_PAUSE_SECONDS)
    raise AssertionError("unreachable")


class Worker:
    """Runs workflows of an installation until stopped. One per process."""

    def __init__(self, served: Installation, *, shards_at_once: int = 1) -> None:
        self.installation = served
        #: The host and process in the id tell a dead neighbour at once, without waiting.
        self.worker_id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._shards_at_once = shards_at_once
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._watch = ExitStack()

    def start(self) -> None:
        """Launch DBOS, register queues, send heartbeats, and take over what the dead left."""
        from prebill.workflows import bill  # noqa: F401  registers the workflows

        assert _process.installation is None, "this process has a worker already"
        store = self.installation.store
        beat(store, self.worker_id)
        _process.installation = self.installation
        self._watch.enter_context(watched(_ending))
        try:
            with explained(store.url):
                self._launch(store)
        except BaseException:
            self.stop()
            raise

    def _launch(self, store: Store) -> None:
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": system_database_url(store),
                "executor_id": self.worker_id,
                "application_version": APPLICATION_VERSION,
                "serializer": DBOSPortableJSONSerializer(),
                "log_level": "ERROR",
                "console_log_level": "ERROR",
                "notification_listener_polling_interval_sec": POLLING_SECONDS,
            }
        )
        _process.datasource = _datasource(store)
        DBOS.launch()
        # One run at a time: its shards fill the workers, and they share what was read for it.
        DBOS.register_queue(RUNS, polling_interval_sec=POLLING_SECONDS, global_concurrency=1)
        DBOS.register_queue(
            SHARDS,
            polling_interval_sec=POLLING_SECONDS,
            worker_concurrency=self._shards_at_once,
        )
        self._repeat(self._beat_and_reap, HEARTBEAT_SECONDS)

    @property
    def failure(self) -> StorageError | None:
        """Why it can go no further, for example a full disk; then stop it."""
        return _process.failure

    def also(self, work: Callable[[], object], every_seconds: float) -> None:
        """Call ``work`` again and again beside the workflows, for example deliveries."""
        self._repeat(work, every_seconds)

    def stop(self) -> None:
        """Stop; what is unfinished is taken over by the next worker at once."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        broken = _process.failure
        DBOS.destroy(workflow_completion_timeout_sec=0 if broken else ENDING_SECONDS)
        self._watch.close()
        _process.installation = _process.datasource = None
        _process.failure = _process.locked_since = None
        if broken is None:
            # Not forgotten: what it left pending is taken over by whoever reaps next.
            beat(self.installation.store, self.worker_id, at=LONG_AGO)

    def _beat_and_reap(self) -> None:
        beat(self.installation.store, self.worker_id)
        reap(self.installation.store)

    def _repeat(self, work: Callable[[], object], every_seconds: float) -> None:
        def loop() -> None:
            while True:
                try:
                    work()
                except Exception as error:
                    DBOS.logger.error(f"{work.__name__}: {error}")
                if self._stop.wait(every_seconds):
                    return

        thread = threading.Thread(target=loop, name=work.__name__, daemon=True)
        thread.start()
        self._threads.append(thread)


@contextmanager
def some_worker(opened: Installation) -> Iterator[None]:
    """Start a worker in this process if none lives."""
    if is_worker_alive(opened.store):
        yield
        return
    started = Worker(opened)
    started.start()
    try:
        yield
    finally:
        started.stop()


def reap(store: Store) -> list[str]:
    """Give the pending work of dead workers back to the queues; return who was found dead.

    Safe to run in every worker at once: a workflow goes back only while it still belongs to the
    dead one, and a worker that was merely slow can't commit a step it no longer owns.
    """
    dead = silent_workers(store, silent_before_at=datetime.now(UTC) - SILENT_AFTER)
    dead += [one for one in live_workers(store) if _is_gone(one)]
    for worker_id in dead:
        # The one private call: DBOSClient can resume, but not only while it belongs to the dead.
        DBOS._recover_pending_workflows([worker_id])
        forget_worker(store, worker_id)
    return dead


def is_worker_alive(store: Store) -> bool:
    """Whether some worker sent a heartbeat lately and, on this host, still has its process."""
    silent = set(silent_workers(store, silent_before_at=datetime.now(UTC) - SILENT_AFTER))
    return any(not _is_gone(one) for one in live_workers(store) if one not in silent)


def _is_gone(worker_id: str) -> bool:
    """Whether the worker ran on this host and its process has ended."""
    host, pid, _ = worker_id.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def enqueue_run(store: Store, run_id: str) -> str:
    """Put a frozen run on the queue; a run that is on it already, or running, stays as it is.

    A run that failed gets another attempt under the next workflow id.
    """
    with client(store) as asking:
        attempt, workflow_id = 1, run_id
        while (status := asking.list_workflows(workflow_ids=[workflow_id])) and (
            status[0].status in ENDED_BADLY
        ):
            attempt += 1
            workflow_id = f"{run_id}@{attempt}"
        asking.enqueue(
            {
                "workflow_name": "billing_run",
                "queue_name": RUNS,
                "workflow_id": workflow_id,
                "app_version": APPLICATION_VERSION,
            },
            run_id,
        )
    return workflow_id


def run_to_end(
    store: Store,
    run_id: str,
    *,
    report: Callable[[Progress], object] = lambda _: None,
    poll_seconds: float = POLLING_SECONDS,
) -> Progress:
    """Enqueue a run and wait until it has ended, or until no worker lives any more.

    Raises
    ------
    StorageError
        The worker of this process can't write any more; what it had committed stays.
    """
    enqueue_run(store, run_id)
    looked_at = time.monotonic()
    while True:
        if _process.failure is not None:
            raise _process.failure
        progress = progress_of(store, run_id)
        report(progress)
        if progress.status != "running":
            return progress
        if time.monotonic() - looked_at > HEARTBEAT_SECONDS:
            if not is_worker_alive(store):
                return progress
            looked_at = time.monotonic()
        time.sleep(poll_seconds)


def bill_to_end(
    opened: Installation, run_id: str, *, report: Callable[[Progress], object] = lambda _: None
) -> Progress:
    """Run to the end with the workers that live, or with one of this process if none does."""
    while True:
        with some_worker(opened):
            progress = run_to_end(opened.store, run_id, report=report)
        if progress.status != "running":
            return progress
