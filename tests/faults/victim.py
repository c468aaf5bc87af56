"""Runs a period in a process of its own and dies at a named place. Used by test_kill.py.

The faults live here: product code has no switch for them. ``python victim.py URL HOME PLACE N``
kills the process with SIGKILL at the N-th time that PLACE is reached; ``-`` for none. ``pause``
says so after the N-th step and waits for a line, so that a test can lock the database meanwhile.
"""

import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prebill.bootstrap import Installation
from prebill.cli import EXIT_CANNOT_GO_ON
from prebill.core.errors import PrebillError
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store import engine
from prebill.store.engine import Store
from prebill.workflows import bill, plan, runtime
from tests.workflows import world


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(work: Callable[..., Any], *, on_call: int, before: bool) -> Callable[..., Any]:
    """The function, dying before or after its N-th call."""
    calls = itertools.count(1)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        is_last = next(calls) == on_call
        if is_last and before:
            die()
        result = work(*args, **kwargs)
        if is_last:
            die()
        return result

    wrapped.__name__ = work.__name__
    return wrapped


def pausing(work: Callable[..., Any], *, after_call: int) -> Callable[..., Any]:
    """The function, waiting for a line on stdin after its N-th call."""
    calls = itertools.count(1)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = work(*args, **kwargs)
        if next(calls) == after_call:
            print("paused", flush=True)
            sys.stdin.readline()
        return result

    return wrapped


def plant(place: str, number: int) -> None:
    """Put the fault in its place."""
    match place:
        case "before-compute":
            bill._compute = dying(bill._compute, on_call=number, before=True)
        case "after-lake":
            bill._write_lake = dying(bill._write_lake, on_call=number, before=False)
        case "after-compute":
            bill._compute = dying(bill._compute, on_call=number, before=False)
        case "inside-chunk":
            # Everything of the chunk is written, nothing is committed.
            bill.apply_rows = dying(bill.apply_rows, on_call=number, before=False)
        case "inside-chunk-elsewhere":
            # As on another machine: nobody here can look up its process.
            socket.gethostname = lambda: "elsewhere"
            bill.apply_rows = dying(bill.apply_rows, on_call=number, before=False)
        case "after-step":
            # A step has committed with its record; DBOS was not told yet.
            runtime.in_step_transaction = dying(
                runtime.in_step_transaction, on_call=number, before=False
            )
        case "pause":
            runtime.LOCK_PATIENCE_SECONDS = 3.0
            runtime.in_step_transaction = pausing(runtime.in_step_transaction, after_call=number)
        case "before-close":
            bill._close_run = dying(bill._close_run, on_call=number, before=True)
        case "-":
            pass
        case _:
            raise SystemExit(f"unknown place {place}")


def main() -> None:
    url, home, place, number = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    plant(place, number)
    settings = Settings.load(home, database_url=url, policy_path=str(home / "lenient.yaml"))
    engine.LOCK_TIMEOUT_MS = 2_000
    opened = Installation(settings, Store(url, busy_timeout_ms=500), Lake(settings.lake_dir))
    run_id = plan.open_run(
        opened,
        world.PERIOD,
        as_of_at=None,
        now_at=world.FINAL_AT,
        entity_id=None,
        actor="victim",
        shard_customers=6,
    )
    worker = runtime.Worker(opened)
    worker.start()
    try:
        progress = runtime.run_to_end(opened.store, run_id)
    except PrebillError as error:  # as the command line does
        print(error, flush=True)
        os._exit(EXIT_CANNOT_GO_ON)
    worker.stop()
    print(progress.status)


if __name__ == "__main__":
    main()
