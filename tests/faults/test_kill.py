"""Kill -9 at each step boundary, start again: it finishes, nothing is lost or done twice."""

from datetime import timedelta
from pathlib import Path

import pytest

from prebill.workflows import runtime
from tests.faults.commands import finish, require_books_in_order, start
from tests.workflows import world

KILLED = -9

#: Place and the how many-th time; a run of two shards makes seven transactions.
PLACES = [
    ("before-compute", 1),
    ("after-lake", 1),
    ("after-compute", 2),
    ("inside-chunk", 1),
    ("after-step", 1),
    ("after-step", 2),
    ("after-step", 3),
    ("after-step", 5),
    ("before-close", 1),
]


@pytest.mark.parametrize(("place", "number"), PLACES)
def test_a_killed_run_finishes_when_it_is_started_again(
    sqlite_url: str, home: Path, place: str, number: int
) -> None:
    opened = world.install(sqlite_url, home, accounts=12, events=120)
    assert finish(start(opened, place, number))[0] == KILLED
    code, told = finish(start(opened, "-", 0))
    assert (code, told.strip().splitlines()[-1:]) == (0, ["finished"]), told
    require_books_in_order(opened, 12)


def test_killed_again_and_again_it_still_finishes(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home, accounts=12, events=120)
    for place, number in [("after-lake", 1), ("inside-chunk", 1), ("after-step", 2)]:
        assert finish(start(opened, place, number))[0] == KILLED
    assert finish(start(opened, "-", 0))[0] == 0
    require_books_in_order(opened, 12)


def test_a_second_process_in_the_middle_repeats_nothing(sqlite_url: str, home: Path) -> None:
    """DBOS's default executor id would make the second one run the first one's live step again."""
    opened = world.install(sqlite_url, home, accounts=12, events=120)
    both = [start(opened, "-", 0), start(opened, "-", 0)]
    for process in both:
        code, told = finish(process)
        assert code == 0, told
    require_books_in_order(opened, 12)


def test_of_two_workers_one_is_killed_and_the_other_finishes(
    postgresql_url: str, home: Path
) -> None:
    opened = world.install(postgresql_url, home, accounts=12, events=120)
    killed = start(opened, "inside-chunk", 1)
    other = start(opened, "-", 0)
    code, told = finish(other)
    assert code == 0, told
    killed.kill()
    finish(killed)
    require_books_in_order(opened, 12)


def test_a_worker_of_another_host_is_taken_over_when_it_falls_silent(
    postgresql_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process can't be looked up: only its heartbeat tells. Thirty seconds, here one."""
    opened = world.install(postgresql_url, home, accounts=12, events=120)
    assert finish(start(opened, "inside-chunk-elsewhere", 1))[0] == KILLED
    monkeypatch.setattr(runtime, "SILENT_AFTER", timedelta(seconds=1))
    monkeypatch.setattr(runtime, "HEARTBEAT_SECONDS", 0.2)
    run_id = str(world.rows(opened, "SELECT run_id FROM runs")[0]["run_id"])
    with runtime.some_worker(opened):
        assert runtime.run_to_end(opened.store, run_id).status == "finished"
    require_books_in_order(opened, 12)
