"""A tiny valid company as canonical rows; a test changes what matters to it and writes files."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from prebill.contracts import load_catalog
from prebill.lake import Lake
from prebill.store.engine import Store
from prebill.store.lake_index import named_batches
from prebill.workflows.ingest import ImportReport, import_folder, open_world
from prebill.workflows.ingest_checks import World

CATALOG = load_catalog(Path(__file__).parent.parent.parent / "data_contracts")
AS_OF_AT = datetime(2026, 11, 2, tzinfo=UTC)
RECORDED_AT = "2026-01-01T00:00:00Z"

Rows = list[dict[str, Any]]


def tier(start: str, end: str | None, **changed: str) -> dict[str, Any]:
    return {
        "price_book_id": "pb1",
        "plan_id": "pro",
        "charge_id": "calls",
        "from_quantity": start,
        "up_to_quantity": end,
        "unit_price": "0.01",
        "flat_fee": "0",
        **changed,
    }


def phase(phase_id: str, start: str, end: str | None, **changed: str) -> dict[str, Any]:
    return {
        "subscription_id": "s1",
        "phase_id": phase_id,
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


def event(event_id: str, **changed: str) -> dict[str, Any]:
    return {
        "source": "app",
        "id": event_id,
        "customer_id": "c1",
        "meter": "calls",
        "occurred_at": "2026-10-05T10:00:00Z",
        "quantity": "3",
        "unique_value": None,
        **changed,
    }


def payment(payment_id: str, **changed: str) -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "invoice_id": "i1",
        "paid_on": "2026-10-20",
        "amount_minor": "11900",
        **changed,
    }


def company() -> dict[str, Rows]:
    return {
        "legal_entities": [
            {
                "entity_id": "DE",
                "name": "Acme GmbH",
                "country": "DE",
                "currency": "EUR",
                "time_zone": "Europe/Berlin",
                "tax_registration_id": None,
                "series": "DE",
                "grace_days": "3",
                "issue_by_days": "10",
            }
        ],
        "customers": [
            {"customer_id": "c1", "name": "Müller, Söhne & Co", "country": "DE"},
            {"customer_id": "c2", "name": 'The "Quoted" Ltd', "country": "GB"},
        ],
        "meters": [
            {
                "meter": "calls",
                "name": "API calls",
                "aggregation": "sum",
                "unit": "calls",
                "max_quantity": "1000",
            }
        ],
        "price_books": [
            {
                "price_book_id": "pb1",
                "family": "standard",
                "version": "1",
                "currency": "EUR",
                "effective_from_on": "2026-01-01",
            }
        ],
        "plans": [{"price_book_id": "pb1", "plan_id": "pro", "name": "Pro"}],
        "charges": [
            {
                "price_book_id": "pb1",
                "plan_id": "pro",
                "charge_id": "calls",
                "name": "API calls",
                "charge_model": "graduated",
                "quantity_source": "metered",
                "meter": "calls",
                "timing": "in_arrears",
                "is_prorated": "false",
                "unit_price": None,
                "package_size": None,
                "included_quantity": "0",
                "tax_category": "saas",
            }
        ],
        "tiers": [tier("0", "100"), tier("100", None)],
        "contracts": [
            {
                "contract_id": "k1",
                "customer_id": "c1",
                "entity_id": "DE",
                "currency": "EUR",
                "time_zone": "Europe/Berlin",
                "starts_on": "2026-03-01",
                "ends_on": None,
                "payment_terms_days": "14",
                "proration_policy": "day_actual",
                "recorded_at": RECORDED_AT,
            }
        ],
        "subscriptions": [
            {
                "subscription_id": "s1",
                "contract_id": "k1",
                "customer_id": "c1",
                "started_on": "2026-03-01",
                "ended_on": None,
                "recorded_at": RECORDED_AT,
            }
        ],
        "subscription_phases": [
            phase("p1", "2026-03-01", "2026-09-01"),
            phase("p2", "2026-09-01", None),
        ],
        "accounting_periods": [{"entity_id": "DE", "period": "2026-10", "status": "open"}],
        "invoices": [
            {
                "invoice_id": "i1",
                "customer_id": "c1",
                "currency": "EUR",
                "issued_on": "2026-10-01",
                "due_on": "2026-10-15",
                "total_minor": "11900",
            }
        ],
        "payments": [payment("y1")],
        "usage_events": [event("e1"), event("e2", quantity="0.5")],
    }


def write(folder: Path, rows: dict[str, Rows], suffix: str = ".csv") -> Path:
    folder.mkdir(exist_ok=True)
    for name, table in rows.items():
        path = folder / f"{name}{suffix}"
        frame = pl.DataFrame(table, infer_schema_length=None)
        if suffix == ".csv":
            frame.write_csv(path)
        elif suffix == ".parquet":
            frame.write_parquet(path)
        else:
            path.write_text("\n".join(json.dumps(row) for row in table), encoding="utf-8")
    return folder


def world(store: Store, lake: Lake, as_of_at: datetime = AS_OF_AT) -> World:
    return open_world(CATALOG, store, lake, as_of_at)


def run(store: Store, lake: Lake, folder: Path) -> ImportReport:
    return import_folder(world(store, lake), folder, actor="ana")


def bring(store: Store, lake: Lake, folder: Path, **changed: Rows) -> ImportReport:
    """Import the company with some of its files replaced."""
    return run(store, lake, write(folder, {**company(), **changed}))


def facts(store: Store, lake: Lake, table: str) -> pl.DataFrame:
    with store.read() as tx:
        batches = named_batches(tx, table)
    return lake.scan(table, batches).collect()


def waiting(store: Store, *columns: str) -> list[tuple[Any, ...]]:
    with store.read() as tx:
        rows = tx.table_frame("quarantine", "WHERE status = 'open' ORDER BY contract, line")
    return rows.select(columns).rows()
