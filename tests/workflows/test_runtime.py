import os
import socket
from pathlib import Path

import pytest

from prebill.bootstrap import Installation
from prebill.store.runs import progress_of
from prebill.store.workers import beat, live_workers
from prebill.workflows import plan, runtime
from tests.workflows import world


@pytest.fixture
def opened(database_url: str, home: Path) -> Installation:
    return world.install(database_url, home, accounts=2, events=20)


def planned(opened: Installation) -> str:
    at = world.FINAL_AT
    return plan.open_run(
        opened, world.PERIOD, as_of_at=at, now_at=at, entity_id=None, actor="tester"
    )


def test_what_was_enqueued_while_nobody_worked_is_done_later(opened: Installation) -> None:
    runtime.prepare(opened.store)
    run_id = planned(opened)
    first = runtime.enqueue_run(opened.store, run_id)
    assert runtime.enqueue_run(opened.store, run_id) == first
    assert progress_of(opened.store, run_id).status == "running"
    with runtime.some_worker(opened):
        assert runtime.run_to_end(opened.store, run_id).status == "finished"


def test_a_worker_lives_from_start_to_stop(opened: Installation) -> None:
    assert not runtime.is_worker_alive(opened.store)
    with runtime.some_worker(opened):
        assert runtime.is_worker_alive(opened.store)
        with runtime.some_worker(opened):  # one lives: no second is started
            assert len(live_workers(opened.store)) == 1
    assert not runtime.is_worker_alive(opened.store)


def test_the_reaper_leaves_the_living_alone(opened: Installation) -> None:
    with runtime.some_worker(opened):
        beat(opened.store, "another-host:1:ab")
        assert runtime.reap(opened.store) == []


def test_the_reaper_finds_the_silent_and_the_gone(opened: Installation) -> None:
    gone = f"{socket.gethostname()}:{_ended_process()}:ab"
    with runtime.some_worker(opened):
        beat(opened.store, "another-host:1:ab", at=runtime.LONG_AGO)
        beat(opened.store, gone)
        found = set(runtime.reap(opened.store))
        assert found <= {"another-host:1:ab", gone}
        assert len(live_workers(opened.store)) == 1


def _ended_process() -> int:
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(child, 0)
    return child


def test_the_system_tables_of_sqlite_lie_beside_ours(sqlite_url: str, home: Path) -> None:
    installation = world.install(sqlite_url, home, accounts=1, events=1)
    runtime.prepare(installation.store)
    assert Path(f"{installation.store.url.database}-workflows").is_file()
