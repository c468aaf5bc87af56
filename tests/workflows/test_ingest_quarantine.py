"""The way back: retry after reference data was mended, re-import, dismiss; staged events."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from prebill import audit
from prebill.bootstrap import Installation
from prebill.cli import app
from prebill.core.errors import ConflictError, InputError, NotFoundError
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store import ingest as sql
from prebill.store.engine import Store
from prebill.workflows import quarantine
from prebill.workflows.ingest_entry import advice
from prebill.workflows.staging import MAX_EVENTS, accept_events, move_due, move_staged_events
from prebill.workflows.template import write_templates
from tests.workflows.ingest_company import (
    AS_OF_AT,
    CATALOG,
    bring,
    company,
    event,
    facts,
    run,
    tier,
    waiting,
    world,
    write,
)


def open_ids(store: Store) -> list[str]:
    return [row[0] for row in waiting(store, "quarantine_id")]


def test_row_goes_in_after_its_reference_came(store: Store, lake: Lake, tmp_path: Path) -> None:
    table = [event("e1"), event("e2", customer_id="c9")]
    bring(store, lake, tmp_path / "in", usage_events=table)
    assert quarantine.retry(world(store, lake), actor="ana") == quarantine.Retried(0, 1)
    later = [*company()["customers"], {"customer_id": "c9", "name": "Late", "country": "DE"}]
    run(store, lake, write(tmp_path / "more", {"customers": later}))
    retried = quarantine.retry(world(store, lake), actor="ana", ids=open_ids(store))
    assert retried == quarantine.Retried(1, 0)
    assert sorted(facts(store, lake, "usage_events")["id"]) == ["e1", "e2"]
    with store.read() as tx:
        actions = {row["action"] for row in tx.rows("SELECT action FROM audit_entries")}
        statuses = tx.rows("SELECT status, resolved_at FROM quarantine")
    assert "quarantine.retry" in actions
    assert [row["status"] for row in statuses] == ["resolved"]
    assert statuses[0]["resolved_at"] is not None
    # The file holds the row still: importing it again finds it known.
    assert run(store, lake, tmp_path / "in").is_clean
    assert facts(store, lake, "usage_events").height == 2


def test_retry_says_what_is_wrong_now(sqlite_store: Store, lake: Lake, tmp_path: Path) -> None:
    table = [event("e1", customer_id="c9", occurred_at="2026-01-01T00:00:00Z", meter="seats")]
    bring(sqlite_store, lake, tmp_path / "in", usage_events=table)
    assert waiting(sqlite_store, "rule") == [("customer_known",)]
    more = [*company()["customers"], {"customer_id": "c9", "name": "Late", "country": "DE"}]
    run(sqlite_store, lake, write(tmp_path / "more", {"customers": more}))
    quarantine.retry(world(sqlite_store, lake), actor="ana")
    assert waiting(sqlite_store, "rule", "value") == [("meter_known", "seats")]


def test_mended_row_resolves_the_bad_one_of_its_key(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(store, lake, tmp_path / "in", usage_events=[event("e1", quantity="-1")])
    report = bring(store, lake, tmp_path / "in", usage_events=[event("e1", quantity="1")])
    assert report.is_clean
    assert waiting(store, "rule") == []


def test_known_first_version_does_not_hide_a_contradiction(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(sqlite_store, lake, tmp_path / "in")
    bring(sqlite_store, lake, tmp_path / "in", usage_events=[event("e1", quantity="9")])
    bring(sqlite_store, lake, tmp_path / "in")
    assert waiting(sqlite_store, "rule") == [("same_id_other_content",)]


def test_tiers_go_in_together_when_the_missing_one_comes(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(sqlite_store, lake, tmp_path / "in", tiers=[tier("0", "100"), tier("200", None)])
    run(sqlite_store, lake, write(tmp_path / "more", {"tiers": [tier("100", "200")]}))
    assert len(open_ids(sqlite_store)) == 3
    assert quarantine.retry(world(sqlite_store, lake), actor="ana").resolved == 3
    with sqlite_store.read() as tx:
        assert tx.scalar("SELECT count(*) FROM tiers") == 3


def test_dismissed_row_stays_away(sqlite_store: Store, lake: Lake, tmp_path: Path) -> None:
    bad = [event("e1", quantity="-1")]
    bring(sqlite_store, lake, tmp_path / "in", usage_events=bad)
    (identifier,) = open_ids(sqlite_store)
    with pytest.raises(InputError, match="needs a reason"):
        quarantine.dismiss(sqlite_store, identifier, reason=" ", actor="ana")
    quarantine.dismiss(sqlite_store, identifier, reason="a test device", actor="ana")
    again = bring(sqlite_store, lake, tmp_path / "in", usage_events=bad)
    assert again.is_clean
    assert sum(one.rejected for one in again.files) == 1
    assert open_ids(sqlite_store) == []
    with pytest.raises(ConflictError, match="is dismissed"):
        quarantine.dismiss(sqlite_store, identifier, reason="again", actor="ana")
    with sqlite_store.read() as tx:
        entry = tx.first("SELECT * FROM audit_entries WHERE action = 'quarantine.dismiss'")
    assert entry is not None
    assert (entry["object_id"], entry["actor"]) == (identifier, "ana")
    assert "a test device" in entry["detail"]


def test_unknown_id_is_an_error(sqlite_store: Store, lake: Lake) -> None:
    here = world(sqlite_store, lake)
    with pytest.raises(NotFoundError, match="nothing1"):
        quarantine.retry(here, actor="ana", ids=["nothing1"])
    with pytest.raises(NotFoundError):
        quarantine.show(sqlite_store, CATALOG, "nothing1")


def test_show_names_every_broken_rule_and_what_to_do(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    bad = [event("e1", quantity="-1", occurred_at="noon")]
    bring(sqlite_store, lake, tmp_path / "in", usage_events=bad)
    shown = quarantine.show(sqlite_store, CATALOG, open_ids(sqlite_store)[0])
    assert {finding.rule for finding in shown.findings} == {"minimum", "is_instant"}
    assert all("import its file again" in finding.text for finding in shown.findings)


def test_every_rule_has_advice() -> None:
    for contract in CATALOG.inbound():
        for rule in (*contract.references, *contract.rules):
            assert len(advice(contract, rule.id, contract.columns[0])) > 40
        for one in contract.properties:
            for rule in one.rules:
                assert one.name in advice(contract, rule.id, one.name)
            assert one.name in advice(contract, "required", one.name)


# ── Events over HTTP ─────────────────────────────────────────────────────────────────────────


def cloud_event(event_id: str, **data: object) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "source": "app",
        "id": event_id,
        "type": "calls",
        "subject": "c1",
        "time": "2026-10-05T10:00:00Z",
        "data": {"quantity": "2.5", **data},
    }


def test_accepted_events_are_durable_and_move_once(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(store, lake, tmp_path / "in")
    sent = [cloud_event(f"h{n}") for n in range(60)]
    for _ in range(2):  # the sender repeats what was not acknowledged
        assert accept_events(store, CATALOG, sent, "token-1").accepted == 60
    with store.read() as tx:
        assert tx.scalar("SELECT count(*) FROM staged_events") == 120
    moved = move_staged_events(world(store, lake), limit=50)
    assert (moved.entered, moved.known, moved.rejected) == (60, 60, 0)
    assert facts(store, lake, "usage_events").height == 62
    assert move_staged_events(world(store, lake)).entered == 0
    with store.read() as tx:
        assert tx.scalar("SELECT count(*) FROM staged_events") == 0


def test_installation_moves_what_waits(settings: Settings, tmp_path: Path) -> None:
    Store(settings.database_url).create_all()
    opened = Installation.open(settings)
    assert move_due(opened).entered == 0
    bring(opened.store, opened.lake, tmp_path / "in")
    accept_events(opened.store, CATALOG, [cloud_event("h1")], "token-1")
    assert move_due(opened).entered == 1
    opened.close()


def test_bad_events_are_refused_by_name_and_kept(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(sqlite_store, lake, tmp_path / "in")
    sent = [cloud_event("h1", quantity=-1), cloud_event("h2"), event("h3", meter="seats")]
    accepted = accept_events(sqlite_store, CATALOG, sent, "token-1")
    assert accepted.accepted == 2
    assert [(one.index, one.column, one.rule) for one in accepted.refused] == [
        (0, "quantity", "minimum")
    ]
    moved = move_staged_events(world(sqlite_store, lake))
    assert (moved.entered, moved.rejected) == (1, 1)
    assert {row[0] for row in waiting(sqlite_store, "rule")} == {"minimum", "meter_known"}
    assert audit.verify(sqlite_store).is_intact


def test_same_id_with_other_content_over_http_is_an_exception(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(sqlite_store, lake, tmp_path / "in")
    accept_events(sqlite_store, CATALOG, [event("e1", quantity="7")], "token-1")
    assert move_staged_events(world(sqlite_store, lake)).rejected == 1
    assert waiting(sqlite_store, "rule", "file") == [("same_id_other_content", "usage-events")]


def test_crash_while_moving_loses_and_doubles_nothing(
    sqlite_store: Store, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(sqlite_store, lake, tmp_path / "in")
    accept_events(sqlite_store, CATALOG, [cloud_event("h1")], "token-1")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sql, "drop_staged", crash)
        with pytest.raises(KeyboardInterrupt):
            move_staged_events(world(sqlite_store, lake))
    assert move_staged_events(world(sqlite_store, lake)).entered == 1
    assert facts(sqlite_store, lake, "usage_events")["id"].to_list().count("h1") == 1


def test_odd_texts_are_refused_and_kept_on_both_databases(store: Store) -> None:
    odd = [event("a\x00"), event("b\ud800"), event("c", quantity={"x": 1}), event("d", meter=[])]  # type: ignore[arg-type]
    accepted = accept_events(store, CATALOG, odd, "token-1")
    assert accepted.accepted == 1  # a list written as text is a meter that nobody knows
    assert {one.rule for one in accepted.refused} == {"is_text", "is_decimal"}
    assert len(waiting(store, "value")) == 3


@pytest.mark.parametrize("count", [0, MAX_EVENTS + 1])
def test_request_of_wrong_size_is_refused(sqlite_store: Store, count: int) -> None:
    with pytest.raises(InputError, match="between 1 and"):
        accept_events(sqlite_store, CATALOG, [event("e1")] * count, "token-1")


# ── Template and commands ────────────────────────────────────────────────────────────────────


def test_filled_template_can_be_imported(sqlite_store: Store, lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "template"
    written = write_templates(CATALOG, folder)
    assert {path.stem for path in written} == {one.name for one in CATALOG.inbound()}
    for name, rows in company().items():
        columns = (folder / f"{name}.csv").read_text(encoding="utf-8").strip().split(",")
        frame = pl.DataFrame(rows)
        absent = [pl.lit(None).alias(one) for one in columns if one not in frame.columns]
        frame.with_columns(absent).select(columns).write_csv(folder / f"{name}.csv")
    assert run(sqlite_store, lake, folder).is_clean
    text = (folder / "payments.columns.txt").read_text(encoding="utf-8")
    assert "amount_minor: in the invoice's currency" in text
    with pytest.raises(InputError, match="choose an empty folder"):
        write_templates(CATALOG, folder)


def test_commands_import_list_show_retry_and_dismiss(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(settings.database_url).create_all()
    table = [event("e1"), event("e2", customer_id="c9"), event("e3", quantity="-1")]
    folder = write(tmp_path / "in", {**company(), "usage_events": table})
    clock = AS_OF_AT.isoformat()

    def command(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == code, done.output
        return done.output

    told = command("import", str(folder), "--as-of", clock, code=1)
    assert "2 rows are in quarantine" in told
    listed = command("quarantine", "list")
    assert "2 open rows" in listed
    assert "usage_events.csv line 3: customer_known customer_id = 'c9'" in listed
    bad = next(line.split()[0] for line in listed.splitlines() if "minimum quantity" in line)
    assert "quantity must be at least 0" in command("quarantine", "show", bad)
    more = [*company()["customers"], {"customer_id": "c9", "name": "Late", "country": "DE"}]
    command("import", str(write(tmp_path / "more", {"customers": more})))
    assert "1 rows are in" in command("quarantine", "retry", "--all", "--as-of", clock, code=1)
    command("quarantine", "dismiss", bad, "--reason", "a test device")
    assert "0 open rows" in command("quarantine", "list")
    assert "empty files" in command("template", str(tmp_path / "t"))
