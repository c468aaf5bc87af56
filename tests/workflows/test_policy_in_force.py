"""What the policy in force does: a run keeps its own, the next one meets the new one."""

from decimal import Decimal
from pathlib import Path

import pytest

from prebill.bootstrap import Installation
from prebill.console.simulation import simulation_view
from prebill.core.policy.model import Policy
from prebill.store import configurations
from prebill.store.configurations import POLICY
from prebill.workflows import configuration_life as life
from prebill.workflows import plan, runtime
from prebill.workflows.configuration_life import Draft, Step
from prebill.workflows.memory import memory
from prebill.workflows.replay import Outcome, replay
from tests.workflows import world
from tests.workflows.lives import ANN, BEN, take


def test_submission_attaches_what_it_would_have_done(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home)
    world.amend(opened, 3, quantity=Decimal(99))  # one draft is held
    world.run(opened)
    (held,) = world.rows(opened, "SELECT * FROM decisions WHERE action = 'hold'")
    path = opened.settings.policy_path
    assert path is not None
    milder = path.read_text().replace("action: hold", "action: review")
    made = life.draft(opened, POLICY, Draft(milder), ANN)
    waiting = take(opened, made.number, Step.SUBMIT, ANN)
    with opened.store.read() as tx:
        found = configurations.simulation_of(tx, waiting)
    assert found is not None
    decisions = world.rows(opened, "SELECT * FROM decisions")
    assert (len(decisions), 1) == (found["decisions"], found["moved"])
    view = simulation_view(found)
    (move,) = view.moves
    assert move.startswith("hold → review: 1 draft, ")
    assert str(held["currency"]) in move
    changed = {one.name: (one.before, one.after) for one in view.changes}
    assert (("1", "0"), ("0", "1")) == (changed["Held"], changed["To review"])


def put_in_force(opened: Installation, content: str) -> str:
    """Let a text go the whole way; return its digest."""
    made = life.draft(opened, POLICY, Draft(content), ANN)
    take(opened, made.number, Step.SUBMIT, ANN)
    take(opened, made.number, Step.APPROVE, BEN)
    take(opened, made.number, Step.ACTIVATE, BEN)
    return made.digest


def hashes(opened: Installation, table: str) -> set[object]:
    return {row["policy_hash"] for row in world.rows(opened, f"SELECT policy_hash FROM {table}")}


def finish(opened: Installation, run_id: str) -> None:
    worker = runtime.Worker(opened)
    worker.start()
    try:
        runtime.run_to_end(opened.store, run_id)
    finally:
        worker.stop()
        memory.clear()


@pytest.mark.parametrize("was_installed", [True, False], ids=["installed", "version"])
def test_run_ends_under_the_policy_that_it_started_with(
    database_url: str, home: Path, was_installed: bool
) -> None:
    opened = world.install(database_url, home, accounts=6, events=300)
    path = opened.settings.policy_path
    assert path is not None
    lenient = path.read_text()
    started = Policy.parse(lenient).digest
    if not was_installed:
        started = put_in_force(opened, lenient.replace("name: lenient", "name: first"))
    run_id = plan.open_run(
        opened,
        world.PERIOD,
        as_of_at=world.FINAL_AT,
        now_at=world.FINAL_AT,
        entity_id=None,
        actor="tester",
    )
    later = put_in_force(opened, lenient.replace("name: lenient", "name: later"))
    path.write_text(lenient.replace("name: lenient", "name: overwritten"))
    assert later == opened.load_policy().digest
    finish(opened, run_id)
    assert {started} == hashes(opened, "runs") == hashes(opened, "decisions")
    draft_id = str(world.rows(opened, "SELECT draft_id FROM decisions")[0]["draft_id"])
    checks = {one.part: one.outcome for one in replay(opened, draft_id).checks}
    assert (Outcome.SAME, Outcome.SAME) == (checks["policy"], checks["decision"])
    next_id = world.run(opened, as_of_at=world.FINAL_AT.replace(hour=13))
    (row,) = world.rows(opened, f"SELECT policy_hash FROM runs WHERE run_id = '{next_id}'")
    assert later == row["policy_hash"]
