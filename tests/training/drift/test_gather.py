"""What drift reads of an installation, on both databases, and the command from end to end."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from prebill.bootstrap import Installation
from prebill.core.schemas.inbound import CREDIT_NOTES
from prebill.core.scoring.scene import FEATURES
from prebill.store.cases import save_label
from prebill.store.hook_rows import keep
from prebill.store.judgements import GATE_RUN
from prebill.workflows.hook_rows import move_all
from tests.workflows import world
from training.__main__ import main
from training.drift.gather import found_errors, judged_by_gate, judged_by_runs

DAYS = [world.FINAL_AT + timedelta(days=number) for number in range(4)]
#: Small enough for a company of twelve.
SMALL = {"window_days = 7 ": "window_days = 1 ", "min_rows = 500": "min_rows = 10"}
REFERENCE = ("reference_windows = 4", "reference_windows = 1")


@pytest.fixture
def opened(database_url: str, home: Path) -> Iterator[Installation]:
    installed = world.install(database_url, home)
    yield installed
    while world.OPENED:
        world.OPENED.pop().close()


def test_judgements_are_dated_by_their_run_and_know_their_customer(opened: Installation) -> None:
    for at in DAYS[:2]:
        world.run(opened, as_of_at=at)
    found = judged_by_runs(opened)
    expected = [at.date() for at in DAYS[:2]]
    assert expected == found.decisions["at_on"].unique().sort().to_list()
    assert expected == found.feature_rows["at_on"].unique().sort().to_list()
    drafts = world.rows(opened, "SELECT DISTINCT draft_id, customer_id FROM drafts")
    pairs = set(found.decisions.select("invoice_id", "customer_id").iter_rows())
    assert {(row["draft_id"], row["customer_id"]) for row in drafts} == pairs
    assert {*FEATURES} <= {*found.feature_rows.columns}


def test_the_hooks_decisions_are_read_with_the_features_that_are_moved(
    opened: Installation,
) -> None:
    world.run(opened)
    with opened.store.transaction() as tx:
        row = tx.first("SELECT * FROM decisions ORDER BY draft_id LIMIT 1")
        assert row is not None
        tx.insert("decisions", {**row, "draft_id": "THEIRS-1", "run_id": GATE_RUN})
        tx.insert("engine_drafts", world.engine_draft("THEIRS-1", customer_id="C7"))
    found = judged_by_gate(opened)
    assert [("THEIRS-1", "C7")] == found.decisions.select("invoice_id", "customer_id").rows()
    assert row["anomaly_score"] == found.decisions["anomaly_score"][0]
    assert found.feature_rows.is_empty()
    with opened.store.transaction() as tx:
        seen = {"invoice_id": "THEIRS-1", "draft_version": row["draft_version"], "known": 3.0}
        keep(tx, "feature_rows", [seen, seen | {"draft_version": "an earlier one"}])
    move_all(opened)
    ((name, known, at_on),) = (
        judged_by_gate(opened).feature_rows.select("invoice_id", "known", "at_on").rows()
    )
    assert ("THEIRS-1", 3.0, found.decisions["at_on"][0]) == (name, known, at_on)
    assert "THEIRS-1" not in judged_by_runs(opened).decisions["invoice_id"]


def test_verdicts_and_credit_notes_are_errors_and_goodwill_is_none(opened: Installation) -> None:
    world.run(opened)
    issued = world.rows(opened, "SELECT document_id, draft_id FROM documents ORDER BY document_id")
    with opened.store.transaction() as tx:
        for draft_id, is_error in (("WRONG", True), ("RIGHT", False)):
            case = {"kind": "draft", "draft_id": draft_id, "draft_version": "1"}
            save_label(tx, case, is_error=is_error, reason_code="amount", actor="tester")
    credited = pl.DataFrame(
        {
            "credit_note_id": ["CN-1", "CN-2", "CN-3"],
            "invoice_id": [issued[0]["document_id"], issued[1]["document_id"], "THEIRS-1"],
            "issued_on": [date(2026, 12, 1)] * 3,
            "amount_minor": [100, 100, 100],
            "reason": ["amount", "goodwill", None],
        },
        schema=CREDIT_NOTES.schema,
    )
    world.add_batch(opened, "credit_notes", credited, "credits")
    found = found_errors(opened)
    assert {"WRONG", issued[0]["draft_id"], "THEIRS-1"} == {*found["draft_id"]}
    assert date(2026, 12, 1) == dict(found.iter_rows())[issued[0]["draft_id"]]


def test_the_command_compares_runs_and_ends_with_1_where_an_alarm_stands(
    opened: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for at in DAYS:
        world.run(opened, as_of_at=at)
    specs = opened.settings.model_specs_dir / "drift.toml"
    text = specs.read_text(encoding="utf-8")
    for old, new in [*SMALL.items(), REFERENCE]:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "drift.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PREBILL_MODEL_SPECS_DIR", str(tmp_path))
    monkeypatch.setenv("PREBILL_DATABASE_URL", opened.settings.database_url)
    arguments = ["drift", "--home", str(opened.settings.home), "--as-of", "2026-11-20"]
    assert 0 == main(arguments)
    said = capsys.readouterr().out
    assert "detection: reference: the first 1 windows, 12 rows" in said
    assert "payment_risk: no champion yet" in said
    assert "no alarm" in said
    assert "logged to MLflow as run" in said
    folder = opened.settings.home / "drift"
    assert "anomaly_score" in (folder / "detection.html").read_text(encoding="utf-8")
    assert (folder / "measures.csv").is_file()

    # A limit that everything is beyond: every share, in each window.
    text = text.replace("limit = 0.05", "limit = -1.0")
    (tmp_path / "drift.toml").write_text(text, encoding="utf-8")
    assert 1 == main(arguments)
    assert "ALARM review all: detection missing" in capsys.readouterr().out


def test_a_wrong_window_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 3 == main(["drift", "--home", str(home), "--window", "a week"])
    assert "write it as 7d" in capsys.readouterr().err
