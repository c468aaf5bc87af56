import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflows import world


@pytest.fixture
def billed_home(home: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a company in it; the lenient policy is the live one."""
    shutil.copyfile(sqlite_template, home / "prebill.db")
    world.install(f"sqlite:///{home / 'prebill.db'}", home, accounts=6, events=60).close()
    monkeypatch.setenv("PREBILL_POLICY_PATH", str(home / "lenient.yaml"))
    return home


def prebill(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a process of its own: a worker is a process's only one."""
    command = [sys.executable, "-c", "from prebill.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_period_is_run_reconciled_and_measured(billed_home: Path) -> None:
    done = prebill("run", "--period", "2026-10", "--as-of", "2026-11-05T12:00Z")
    assert done.returncode == 0
    assert "60 read, 60 metered" in done.stdout
    assert "6 new" in done.stdout
    assert "6 issued" in done.stdout
    assert "delivered   6 documents" in done.stdout
    again = prebill("run", "--period", "2026-10", "--as-of", "2026-11-06")
    assert "6 left as they were" in again.stdout
    assert "delivered" not in again.stdout
    sides = prebill("reconcile", "--period", "2026-10")
    assert sides.returncode == 0
    assert sides.stdout.count("ok ") == 5
    draft_id = "DE1:2026-10:S0000000"
    replayed = prebill("replay", draft_id, "--facts")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert replayed.stdout.startswith(f"{draft_id}, version ")
    assert "same      decision             release with 0 reasons" in replayed.stdout
    assert "same      features from facts" in replayed.stdout
    assert prebill("replay", "nothing").returncode == 3
    measured = prebill("metrics", "--period", "2026-10")
    assert "touchless share         100.0%" in measured.stdout


def test_a_difference_ends_with_exit_code_1_and_advice(billed_home: Path) -> None:
    prebill("run", "--period", "2026-10", "--as-of", "2026-11-05T12:00Z")
    from prebill.store.engine import Store

    store = Store(f"sqlite:///{billed_home / 'prebill.db'}")
    with store.transaction() as tx:
        tx.execute("UPDATE number_series SET next_number = next_number + 1")
    store.close()
    found = prebill("reconcile", "--period", "2026-10")
    assert found.returncode == 1
    assert "numbers_not_gap_free" in found.stdout
    assert "audit verify" in found.stdout


def test_a_wrong_month_or_instant_is_refused_with_the_form(billed_home: Path) -> None:
    month = prebill("run", "--period", "October")
    assert (month.returncode, "YYYY-MM" in month.stderr) == (3, True)
    instant = prebill("run", "--period", "2026-10", "--as-of", "soon")
    assert (instant.returncode, "2026-11-05T08:00Z" in instant.stderr) == (3, True)
