"""The whole chain on two small companies: `prebill demo` from generator to report."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prebill.demo.faults import UNSEEN, Family
from prebill.demo.runner import Places, run_demo

CUSTOMERS = 400
SEEDS = (1, 2)


@dataclass(frozen=True)
class Demo:
    """A demo that ran: its folder, what it printed, its result as JSON."""

    places: Places
    lines: list[str]
    result: dict[str, Any]


@pytest.fixture(scope="module", params=SEEDS)
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    directory = tmp_path_factory.mktemp("demo") / "demo"
    said: list[str] = []
    lines = run_demo(
        directory, seed=request.param, customers=CUSTOMERS, is_serving=True, say=said.append
    )
    places = Places(directory)
    yield Demo(places, lines, json.loads(places.result.read_text(encoding="utf-8")))
    os.kill(int(places.console_process.read_text(encoding="ascii")), signal.SIGTERM)


@pytest.mark.slow
def test_everything_agrees(demo: Demo) -> None:
    control = demo.result["control"]
    assert control["holds"], control
    assert control["issued"] > 0
    assert control["held"] > 0
    assert set(control["entries_by_entity"]) == {"DE01 EUR", "GB01 GBP", "US01 USD"}


@pytest.mark.slow
def test_most_faults_are_stopped_and_most_invoices_are_not(demo: Demo) -> None:
    families = {row["family"]: row for row in demo.result["families"]}
    assert set(families) == {*(family.value for family in Family), "all"} - UNSEEN
    assert families["all"]["recall"] >= 0.7
    for money in demo.result["money"]:
        assert money["untouched"] >= 0.85 * money["drafts"]


@pytest.mark.slow
def test_missed_and_wrongly_stopped_are_named(demo: Demo) -> None:
    whole = next(row for row in demo.result["families"] if row["family"] == "all")
    assert len(demo.result["missed"]) == whole["faults"] - whole["caught"]
    assert len(demo.result["wrongly_stopped"]) == whole["false_stops"]
    assert all(row["name"] for row in [*demo.result["missed"], *demo.result["wrongly_stopped"]])


@pytest.mark.slow
def test_report_ends_with_its_six_parts(demo: Demo) -> None:
    text = "\n".join(demo.lines)
    places = [text.index(f"\n{number}  ") for number in range(1, 7)]
    assert places == sorted(places)
    for part in ("faulty money caught", "Command ", "OK: ", "one-time password", "template DIR"):
        assert part in text


@pytest.mark.slow
def test_the_console_answers_at_its_url(demo: Demo) -> None:
    url = next(line.split(" · ")[0] for line in demo.lines if line.startswith("http://"))
    with urllib.request.urlopen(url, timeout=30) as answer:
        page = answer.read().decode()
    assert answer.status == 200
    assert "password" in page.lower()


@pytest.mark.slow
def test_the_printed_command_does_what_it_says(demo: Demo) -> None:
    held = demo.result["held_invoice"]
    assert held["billed_minor"] != held["expected_minor"]
    folder = Path(sys.executable).parent
    done = subprocess.run(
        held["command"],
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert held["draft_id"] in done.stdout
