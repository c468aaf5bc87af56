"""One case with everything on it: four lines, findings of both kinds, a year of past invoices."""

from datetime import date

import polars as pl

from prebill.core.calendar import add_months
from prebill.core.schemas.inbound import INVOICES
from prebill.lake import Lake
from prebill.store.engine import Tx
from prebill.store.lake_index import record_batch
from tests.api.builders import (
    add_case,
    add_contract,
    add_customer,
    add_decision,
    add_draft,
    add_entity,
    finding,
    line,
)

CUSTOMER = "NORDWIND"
DRAFT = "DE:2026-10:SUB-NORDWIND"
TOTALS = (
    1_912_000,
    1_934_500,
    1_925_000,
    2_004_000,
    1_987_300,
    2_050_000,
    2_100_400,
    2_088_000,
    2_140_000,
    2_163_800,
    2_155_000,
    2_201_000,
)


def rich(tx: Tx, lake: Lake) -> str:
    """Add the case; returns its id."""
    add_entity(tx)
    add_customer(tx, CUSTOMER, "Nordwind Logistik GmbH & Co. KG")
    add_contract(tx, CUSTOMER, "CON-NORDWIND")
    lines = [
        _line(1, "platform", "Platform fee, Scale plan", 250_000),
        _line(2, "seats", "Seats", 1_687_500, quantity="135", unit_price="125"),
        _line(3, "seats", "Seats", 1_687_500, quantity="135", unit_price="125"),
        _line(4, "api_calls", "API calls", 41_220, quantity="206100", meter="api_calls"),
    ]
    add_draft(
        tx,
        DRAFT,
        customer_id=CUSTOMER,
        contract_id="CON-NORDWIND",
        subscription_id="SUB-NORDWIND",
        lines=lines,
    )
    findings = [
        finding(
            "duplicate_line",
            1_687_500,
            detector="duplicates",
            expected="once",
            text="Seats, 1 Oct to 31 Oct 2026, stand twice for 16,875.00 EUR",
            line_ids="2,3",
            evidence="phase P1, charge seats",
        ),
        finding(
            "discount_past_its_end",
            -25_000,
            expected="0 % off",
            text="A discount of 10 % is still given; it ended on 30 Sep 2026",
            line_ids="1",
            evidence="CON-NORDWIND:T1",
        ),
        finding(
            "total_unusual",
            1_702_000,
            detector="level",
            basis="statistical",
            score=0.9994,
            expected="21,400 to 23,100 EUR",
            text="The total is 1.98 times what is ordinary for this customer and month",
            line_ids="",
            evidence="",
        ),
        finding(
            "usage_late",
            None,
            detector="usage",
            basis="could_not_judge",
            score=None,
            expected=None,
            text="Usage of the last day may still arrive",
            line_ids="4",
            evidence="",
        ),
    ]
    add_decision(tx, DRAFT, findings, expected_loss_minor=1_568_000, priority=2613.4)
    _add_past(tx, lake)
    return add_case(tx, DRAFT, priority=2613.4, expected_loss_minor=1_568_000)


def _line(number: int, charge_id: str, name: str, amount_minor: int, **given: object) -> dict:
    return line(
        number,
        draft_id=DRAFT,
        charge_id=charge_id,
        name=name,
        amount_minor=amount_minor,
        gross_minor=amount_minor,
        tax_minor=amount_minor * 19 // 100,
        **given,
    )


def _add_past(tx: Tx, lake: Lake) -> None:
    starts = [add_months(date(2025, 10, 1), number) for number in range(len(TOTALS))]
    frame = pl.DataFrame(
        {
            "invoice_id": [f"INV-{day:%Y%m}-NW" for day in starts],
            "customer_id": CUSTOMER,
            "currency": "EUR",
            "issued_on": [add_months(day, 1) for day in starts],
            "due_on": [add_months(day, 2) for day in starts],
            "period_start_on": starts,
            "total_minor": TOTALS,
        }
    )
    record_batch(tx, lake.append("invoices", INVOICES.conform(frame), "history-1"))
