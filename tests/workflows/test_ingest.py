"""Importing a folder: once, whatever the format; every bad input has its entry or its error."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prebill import audit
from prebill.core.errors import InputError, StorageError
from prebill.lake import Lake
from prebill.store.engine import Store
from prebill.workflows.ingest import import_folder
from tests.workflows.ingest_company import (
    AS_OF_AT,
    RECORDED_AT,
    Rows,
    bring,
    company,
    event,
    facts,
    payment,
    phase,
    run,
    tier,
    waiting,
    world,
    write,
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".ndjson"])
def test_every_format_goes_in_once(store: Store, lake: Lake, tmp_path: Path, suffix: str) -> None:
    folder = write(tmp_path / "in", company(), suffix)
    first = run(store, lake, folder)
    assert first.is_clean, first
    assert all(one.good == one.rows > 0 for one in first.files)
    again = run(store, lake, folder)
    assert all(one.known == one.rows and not one.good for one in again.files)
    quantities = facts(store, lake, "usage_events").sort("id")["quantity"].cast(pl.String)
    assert quantities.to_list() == ["3.000000000000", "0.500000000000"]
    with store.read() as tx:
        customers = tx.table_frame("customers", "ORDER BY customer_id")
        assert customers["name"].to_list() == ["Müller, Söhne & Co", 'The "Quoted" Ltd']


def test_same_rows_in_another_format_are_known(store: Store, lake: Lake, tmp_path: Path) -> None:
    run(store, lake, write(tmp_path / "csv", company(), ".csv"))
    again = run(store, lake, write(tmp_path / "parquet", company(), ".parquet"))
    assert sum(one.good for one in again.files) == 0


def test_import_is_recorded_and_audited(sqlite_store: Store, lake: Lake, tmp_path: Path) -> None:
    bring(sqlite_store, lake, tmp_path / "in")
    with sqlite_store.read() as tx:
        record = tx.first("SELECT * FROM imports WHERE contract = 'tiers'")
        entries = tx.rows("SELECT actor, action FROM audit_entries")
    assert record is not None
    assert (record["file"], record["rows"], record["good"]) == ("tiers.csv", 2, 2)
    assert record["entered_by"] == "ana"
    assert {(one["actor"], one["action"]) for one in entries} == {("ana", "import.rows")}
    assert audit.verify(sqlite_store).is_intact


def contract(**changed: str) -> dict[str, Any]:
    return {**company()["contracts"][0], **changed}


def charge(**changed: str) -> dict[str, Any]:
    return {**company()["charges"][0], **changed}


def customer(**changed: str) -> dict[str, Any]:
    return {"customer_id": "c1", "name": "A", "country": "DE", **changed}


BAD_ROWS: list[tuple[str, Rows, list[tuple[int, str, str | None, str | None]]]] = [
    (
        "usage_events",
        [event("e1", meter="seats")],
        [(2, "meter_known", "meter", "seats")],
    ),
    (
        "usage_events",
        [event("e1"), event("e2", customer_id="c9")],
        [(3, "customer_known", "customer_id", "c9")],
    ),
    ("usage_events", [event("e1", quantity="-3")], [(2, "minimum", "quantity", "-3")]),
    (
        "usage_events",
        [event("e1", quantity="1000.5")],
        [(2, "quantity_plausible", "quantity", "1000.500000000000")],
    ),
    (
        "usage_events",
        [event("e1", occurred_at="2026-11-02T01:00:00Z")],
        [(2, "not_from_future", "occurred_at", "2026-11-02 01:00:00.000000+00:00")],
    ),
    (
        # The contract begins on 1 March in Berlin, which is 23:00 of the day before in UTC.
        "usage_events",
        [
            event("e1", occurred_at="2026-02-28T23:00:00Z"),
            event("e2", occurred_at="2026-02-28T22:59:59Z"),
        ],
        [(3, "not_before_contract", "occurred_at", "2026-02-28 22:59:59.000000+00:00")],
    ),
    (
        "usage_events",
        [event("e1"), event("e1", quantity="4"), event("e1")],
        [(3, "same_id_other_content", "id", "app, e1")],
    ),
    ("contracts", [contract(currency="EURO")], [(2, "currency_iso", "currency", "EURO")]),
    ("contracts", [contract(customer_id="c9")], [(2, "customer_known", "customer_id", "c9")]),
    ("contracts", [contract(time_zone="Mars")], [(2, "time_zone_iana", "time_zone", "Mars")]),
    (
        "subscription_phases",
        [phase("p1", "2026-03-01", "2026-09-01"), phase("p2", "2026-08-31", None)],
        [
            (2, "no_overlap", "effective_from_on", "2026-03-01"),
            (3, "no_overlap", "effective_from_on", "2026-08-31"),
        ],
    ),
    (
        "subscription_phases",
        [phase("p1", "2026-03-01", None, plan_id="gone")],
        [(2, "plan_known", "plan_id", "pb1, gone")],
    ),
    (
        "tiers",
        [tier("0", "100"), tier("200", None)],
        [
            (2, "tiers_contiguous", "from_quantity", "0.000000000000"),
            (3, "tiers_contiguous", "from_quantity", "200.000000000000"),
        ],
    ),
    (
        "tiers",
        [tier("0", "100"), tier("50", None)],
        [
            (2, "tiers_contiguous", "from_quantity", "0.000000000000"),
            (3, "tiers_contiguous", "from_quantity", "50.000000000000"),
        ],
    ),
    (
        "tiers",
        [tier("0", "100")],
        [(2, "tiers_contiguous", "from_quantity", "0.000000000000")],
    ),
    ("charges", [charge(meter="seats")], [(2, "meter_known", "meter", "seats")]),
    (
        "customers",
        [customer(), customer(name="B"), customer(customer_id="c2")],
        [
            (2, "duplicate_key", "customer_id", "c1"),
            (3, "duplicate_key", "customer_id", "c1"),
        ],
    ),
    ("payments", [payment("y1", invoice_id="i9")], [(2, "invoice_known", "invoice_id", "i9")]),
    ("payments", [payment("y1", amount_minor="1.5")], [(2, "is_integer", "amount_minor", "1.5")]),
]


@pytest.mark.parametrize(
    ("name", "table", "expected"), BAD_ROWS, ids=[f"{n}-{e[0][1]}" for n, _, e in BAD_ROWS]
)
def test_bad_row_goes_to_quarantine_with_line_rule_and_value(
    sqlite_store: Store, lake: Lake, tmp_path: Path, name: str, table: Rows, expected: list[Any]
) -> None:
    report = bring(sqlite_store, lake, tmp_path / "in", **{name: table})
    found = [
        row[1:]
        for row in waiting(sqlite_store, "contract", "line", "rule", "column_name", "value")
        if row[0] == name
    ]
    assert found == expected
    (file,) = [one for one in report.files if one.contract == name]
    assert file.rejected == len(expected)
    assert file.rows == file.good + file.known + file.rejected


def test_bad_rows_are_quarantined_on_both_databases(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    table = [event("e1"), *(event(f"bad{n}", quantity="-1") for n in range(120))]
    for _ in range(2):  # the second time adds nothing
        report = bring(store, lake, tmp_path / "in", usage_events=table)
        assert report.rejected == 120
        assert len(waiting(store, "line")) == 120
    assert waiting(store, "file", "rule", "value")[0] == ("usage_events.csv", "minimum", "-1")


def test_event_after_the_close_is_quarantined_but_history_with_it_is_not(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    closed: Rows = [{"entity_id": "DE", "period": "2026-10", "status": "closed"}]
    first = bring(store, lake, tmp_path / "in", accounting_periods=closed)
    assert first.is_clean
    late = [*company()["usage_events"], event("late")]
    second = bring(store, lake, tmp_path / "in", accounting_periods=closed, usage_events=late)
    assert second.rejected == 1
    assert [row[:2] for row in waiting(store, "line", "rule")] == [(4, "period_open")]


def test_same_id_with_other_content_later_is_an_exception(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(store, lake, tmp_path / "in")
    report = bring(store, lake, tmp_path / "in", usage_events=[event("e1", quantity="30")])
    assert report.rejected == 1
    assert waiting(store, "rule") == [("same_id_other_content",)]
    assert facts(store, lake, "usage_events").height == 2


def test_changed_reference_row_updates_and_a_version_never_changes(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(store, lake, tmp_path / "in")
    changed = company()["customers"]
    changed[0]["name"] = "New name"
    report = bring(
        store,
        lake,
        tmp_path / "in",
        customers=changed,
        contracts=[
            contract(payment_terms_days="30"),
            contract(payment_terms_days="60", recorded_at="2026-06-01T00:00:00Z"),
        ],
    )
    with store.read() as tx:
        names = tx.table_frame("customers", "ORDER BY customer_id")["name"].to_list()
        versions = tx.table_frame("contracts", "ORDER BY recorded_at")
    assert names == ["New name", 'The "Quoted" Ltd']
    assert versions["payment_terms_days"].to_list() == [14, 60]
    assert waiting(store, "rule", "line") == [("changed_version", 2)]
    assert report.rejected == 1


def test_new_version_of_a_phase_makes_room_for_another(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    bring(sqlite_store, lake, tmp_path / "in")
    later = "2026-10-01T00:00:00Z"
    more = [
        phase("p2", "2026-09-01", "2026-11-01", recorded_at=later),
        phase("p3", "2026-11-01", None, recorded_at=later),
    ]
    assert bring(sqlite_store, lake, tmp_path / "in", subscription_phases=more).is_clean
    clash = [phase("p4", "2026-12-01", None, recorded_at=later)]
    assert bring(sqlite_store, lake, tmp_path / "in", subscription_phases=clash).rejected == 1


def test_contract_terms_of_one_plan_must_not_overlap(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    def term(term_id: str, start: str, end: str | None, **changed: str) -> dict[str, Any]:
        return {
            "contract_id": "k1",
            "term_id": term_id,
            "plan_id": "pro",
            "price_book_id": "pb1",
            "quantity": "5",
            "discount_percent": "0",
            "discount_ends_on": None,
            "effective_from_on": start,
            "effective_to_on": end,
            "recorded_at": RECORDED_AT,
            **changed,
        }

    terms = [term("t1", "2026-03-01", None), term("t2", "2026-05-01", None)]
    assert bring(sqlite_store, lake, tmp_path / "in", contract_terms=terms).rejected == 2
    terms = [term("t1", "2026-03-01", "2026-05-01"), term("t2", "2026-05-01", None)]
    report = bring(sqlite_store, lake, tmp_path / "in", contract_terms=terms)
    assert report.is_clean
    assert sum(one.resolved for one in report.files) == 2


# ── Whole files ──────────────────────────────────────────────────────────────────────────────

BAD_FILES = [
    ("payments.csv", b"", "is empty"),
    ("payments.csv", b"payment_id,invoice_id,paid_on\ny1,i1,2026-10-20\n", "amount_minor"),
    ("payments.csv", b"\xff\xfe,b\n", "header is not UTF-8"),
    ("payments.parquet", b"not parquet", "is not a parquet file"),
    ("payments.ndjson", b'{"payment_id": "y1"}\n', "lacks the columns"),
    ("paiments.csv", b"a,b\n1,2\n", "unknown file name"),
]


@pytest.mark.parametrize(("name", "content", "says"), BAD_FILES)
def test_bad_file_is_an_error_and_the_others_go_in(
    sqlite_store: Store, lake: Lake, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    rows = company()
    del rows["payments"]
    folder = write(tmp_path / "in", rows)
    (folder / name).write_bytes(content)
    report = run(sqlite_store, lake, folder)
    (failed,) = report.errors
    assert failed.file == name
    assert says in (failed.error or "")
    assert not report.is_clean
    assert facts(sqlite_store, lake, "usage_events").height == 2


def test_two_formats_of_one_contract_are_an_error(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in", company())
    write(folder, {"payments": [payment("y2")]}, ".ndjson")
    (failed,) = run(sqlite_store, lake, folder).errors
    assert "two formats" in (failed.error or "")


def test_bad_utf8_quarantines_the_row_not_the_file(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in", company())
    path = folder / "customers.csv"
    path.write_bytes(b"customer_id,name,country\nc1,M\xfcller,DE\nc2,Ok,GB\n")
    report = run(sqlite_store, lake, folder)
    assert ("customers", 2, "is_utf8") in waiting(sqlite_store, "contract", "line", "rule")
    with sqlite_store.read() as tx:
        assert tx.scalar("SELECT count(*) FROM customers") == 1
    # Whatever refers to the customer waits too; nothing is lost, nothing goes in by halves.
    assert report.rejected > 1
    path.write_text("customer_id,name,country\nc1,Müller,DE\nc2,Ok,GB\n", encoding="utf-8")
    mended = run(sqlite_store, lake, folder)
    assert mended.is_clean
    assert waiting(sqlite_store, "rule") == []


def test_file_that_breaks_off_keeps_what_came_before(
    sqlite_store: Store, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "prebill.connectors.files.reader.read_blocks.__kwdefaults__", {"block_bytes": 64}
    )
    folder = write(tmp_path / "in", company())
    path = folder / "usage_events.csv"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + '"app,e3,c1,calls,2026-10-05T10:00:00Z,1,' + "x" * 64, encoding="utf-8")
    report = run(sqlite_store, lake, folder)
    assert "never closed" in (report.errors[0].error or "")
    assert facts(sqlite_store, lake, "usage_events").height == 2
    path.write_text(whole, encoding="utf-8")
    assert run(sqlite_store, lake, folder).is_clean


def test_empty_month_is_no_error(sqlite_store: Store, lake: Lake, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", company())
    header = ",".join(company()["usage_events"][0])
    (folder / "usage_events.csv").write_text(header + "\n", encoding="utf-8")
    report = run(sqlite_store, lake, folder)
    assert report.is_clean
    assert facts(sqlite_store, lake, "usage_events").is_empty()


def test_folder_that_is_absent_or_has_no_file_says_so(
    sqlite_store: Store, lake: Lake, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        run(sqlite_store, lake, tmp_path / "nowhere")
    (tmp_path / "README.txt").write_text("hi", encoding="utf-8")
    with pytest.raises(InputError, match="no canonical files"):
        run(sqlite_store, lake, tmp_path)


def test_absent_database_is_an_error(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="prebill init"):
        world(Store(f"sqlite:///{tmp_path}/none.db"), lake)


def test_long_file_is_read_in_blocks_and_shows_progress(
    sqlite_store: Store, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "prebill.connectors.files.reader.read_blocks.__kwdefaults__", {"block_bytes": 2_000}
    )
    table = [event(f"e{n}") for n in range(200)]
    folder = write(tmp_path / "in", {**company(), "usage_events": [*table, *table[:3]]})
    seen: list[tuple[str, int, int]] = []
    report = import_folder(
        world(sqlite_store, lake),
        folder,
        actor="ana",
        progress=lambda *figures: seen.append(figures),
    )
    assert [rows for file, rows, _ in seen if file == "usage_events.csv"] == sorted(
        {rows for file, rows, _ in seen if file == "usage_events.csv"}
    )
    (events,) = [one for one in report.files if one.contract == "usage_events"]
    assert (events.rows, events.good, events.known) == (203, 200, 3)
    assert facts(sqlite_store, lake, "usage_events")["id"].n_unique() == 200


def test_equal_bad_rows_keep_an_entry_each(
    sqlite_store: Store, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "prebill.connectors.files.reader.read_blocks.__kwdefaults__", {"block_bytes": 500}
    )
    for _ in range(2):
        report = bring(
            sqlite_store, lake, tmp_path / "in", usage_events=[event("e1", quantity="-1")] * 50
        )
        assert report.rejected == 50
        assert len(waiting(sqlite_store, "line")) == 50


def test_odd_bytes_in_files_are_kept_on_both_databases(
    store: Store, lake: Lake, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in", company())
    odd = b"customer_id,name,country\nc1,Ok,DE\nc2,N\x00UL,GB\nc3,\xff,GB\nc4,a,b,c,d\n"
    (folder / "customers.csv").write_bytes(odd)
    run(store, lake, folder)
    rules = [row for row in waiting(store, "contract", "line", "rule") if row[0] == "customers"]
    assert rules == [
        ("customers", 3, "is_text"),
        ("customers", 4, "is_utf8"),
        ("customers", 5, "is_complete"),
    ]


def test_crash_between_lake_and_database_loses_and_doubles_nothing(
    store: Store, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("prebill.workflows.ingest_entry.record_batch", crash)
        with pytest.raises(KeyboardInterrupt):
            bring(store, lake, tmp_path / "in")
    assert facts(store, lake, "invoices").is_empty()
    report = bring(store, lake, tmp_path / "in")
    assert report.is_clean
    assert facts(store, lake, "invoices").height == 1
    assert facts(store, lake, "usage_events").height == 2


def test_clock_is_an_argument(sqlite_store: Store, lake: Lake, tmp_path: Path) -> None:
    early = world(sqlite_store, lake, AS_OF_AT - timedelta(days=60))
    folder = write(tmp_path / "in", company())
    assert import_folder(early, folder, actor="ana").rejected == 2
    assert run(sqlite_store, lake, folder).is_clean
    assert waiting(sqlite_store, "rule") == []
