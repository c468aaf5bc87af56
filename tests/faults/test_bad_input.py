"""Bad input from end to end: what you are told, that nothing is lost, and the way back.

Rules row by row are in tests/workflows/test_ingest.py; docs/bad_input.md names the test of each.
"""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from prebill.core.errors import ModelError
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.runs import run_summary
from prebill.workflows import quarantine
from tests.workflows import world
from tests.workflows.ingest_company import (
    CATALOG,
    Rows,
    bring,
    company,
    event,
    facts,
    run,
    tier,
    waiting,
    write,
)
from tests.workflows.ingest_company import world as import_world


def told(store: Store) -> dict[str, str]:
    """Rule → what `prebill quarantine show` says first about its rows."""
    ids = waiting(store, "quarantine_id", "rule")
    return {rule: quarantine.show(store, CATALOG, one).findings[0].text for one, rule in ids}


HOUR = timedelta(hours=1)


# ── Rows: what is said, and the way back ─────────────────────────────────────────────────────


def test_every_bad_event_says_what_to_do(store: Store, lake: Lake, tmp_path: Path) -> None:
    bad = [
        event("e1", quantity="4"),
        event("b1", meter="seats"),
        event("b2", customer_id="c9"),
        event("b3", quantity="-3"),
        event("b4", quantity="1001"),
        event("b5", occurred_at="2027-01-01T00:00:00Z"),
        event("b6", occurred_at="2020-01-01T00:00:00Z"),
        event("b7", quantity="9" * 30),
    ]
    bring(store, lake, tmp_path / "in")
    bring(store, lake, tmp_path / "in", usage_events=[*company()["usage_events"], *bad])
    says = told(store)
    assert len(waiting(store, "rule")) == len(bad)
    assert "dismiss" in says["same_id_other_content"]
    assert "Import the missing row of meters" in says["meter_known"]
    assert "Import the missing row of customers" in says["customer_known"]
    assert "at least 0" in says["minimum"]
    assert "raise max_quantity" in says["quantity_plausible"]
    assert "sender's clock" in says["not_from_future"]
    assert "If the contract began earlier" in says["not_before_contract"]
    assert "at most 25 digits" in says["is_decimal"]


def test_unknown_meter_goes_in_once_the_meter_is_there(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(store, lake, tmp_path / "in", usage_events=[event("e9", meter="seats")])
    seats = {**company()["meters"][0], "meter": "seats"}
    run(store, lake, write(tmp_path / "more", {"meters": [seats]}))
    retried = quarantine.retry(import_world(store, lake), actor="ana")
    assert (retried.resolved, retried.still_open) == (1, 0)
    assert facts(store, lake, "usage_events")["id"].to_list() == ["e9"]


def test_month_is_closed_in_the_zone_of_the_contract(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    closed: Rows = [{"entity_id": "DE", "period": "2026-09", "status": "closed"}]
    bring(store, lake, tmp_path / "in", accounting_periods=closed)
    # 23:30 of 30 September in UTC is October in Berlin; an hour and a half before is not.
    late = [
        event("open", occurred_at="2026-09-30T23:30:00Z"),
        event("late", occurred_at="2026-09-30T21:30:00Z"),
    ]
    bring(store, lake, tmp_path / "in", accounting_periods=closed, usage_events=late)
    assert waiting(store, "line", "rule") == [(3, "period_open")]
    assert "reopen the period" in told(store)["period_open"]


def test_gap_in_tiers_leaves_the_known_prices(store: Store, lake: Lake, tmp_path: Path) -> None:
    bring(store, lake, tmp_path / "in")
    bring(store, lake, tmp_path / "in", tiers=[tier("0", "50"), tier("100", None)])
    with store.read() as tx:
        ends = tx.table_frame("tiers", "ORDER BY from_quantity", columns=["up_to_quantity"])
    assert str(ends["up_to_quantity"][0]).startswith("100")
    assert "the old prices stay" in told(store)["tiers_contiguous"]


def test_many_bad_rows_are_kept_and_mended_at_once(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    count = 20_000  # the million is measured in docs/bad_input.md: the same path, block by block
    lines = [f"app,m{n},c1,calls,2026-10-05T10:00:00Z,-1," for n in range(count)]
    folder = write(tmp_path / "in", company())
    path = folder / "usage_events.csv"
    header = path.read_text(encoding="utf-8").splitlines()[0]
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    assert run(store, lake, folder).rejected == count
    path.write_text("\n".join([header, *lines]).replace(",-1,", ",1,"), encoding="utf-8")
    mended = run(store, lake, folder)
    assert mended.is_clean
    assert sum(one.resolved for one in mended.files) == count
    assert facts(store, lake, "usage_events").height == count


# ── A model that is missing or altered ───────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [b"{", b'{"version": "../../etc"}'])
def test_broken_pointer_to_the_model_sends_every_draft_to_review(
    sqlite_url: str, home: Path, content: bytes
) -> None:
    opened = world.install(sqlite_url, home)
    pointer = Settings.load(home).models_dir / "forest" / "champion.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_bytes(content)
    assert run_summary(opened.store, world.run(opened)).states == {"in_review": 12}
    (reasons,) = world.rows(opened, "SELECT DISTINCT reasons FROM decisions")
    assert "prebill models fetch" in str(reasons["reasons"])


def test_a_restored_model_judges_again_what_waited_for_it(database_url: str, home: Path) -> None:
    opened = world.install(database_url, home)
    pointer = Settings.load(home).models_dir / "forest" / "champion.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_bytes(b"{")
    assert run_summary(opened.store, world.run(opened)).states == {"in_review": 12}
    pointer.unlink()
    again = run_summary(opened.store, world.run(opened, as_of_at=world.FINAL_AT + HOUR))
    assert again.states == {"issued": 12}
    assert again.counts["fate_rejudge"] == 12
    cases = world.rows(opened, "SELECT DISTINCT status FROM cases")
    assert [row["status"] for row in cases] == ["lapsed"]


def test_run_refuses_when_the_models_of_earlier_runs_are_gone(
    database_url: str, home: Path
) -> None:
    opened = world.install(database_url, home, accounts=2, events=60)
    run_id = world.run(opened)
    with opened.store.transaction() as tx:
        tx.update("runs", {"model_versions": '{"forest":"1"}'}, where={"run_id": run_id})
    with pytest.raises(ModelError, match=r"earlier runs used the models forest.*prebill train"):
        world.run(opened, as_of_at=world.FINAL_AT + HOUR)


def test_every_test_of_the_checklist_exists() -> None:
    root = Path(__file__).parent.parent
    page = (root.parent / "docs" / "bad_input.md").read_text(encoding="utf-8")
    code = "\n".join(path.read_text(encoding="utf-8") for path in root.rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert {name for name in named if f"def {name}(" not in code} == set()
