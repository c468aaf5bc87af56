"""Drafts against what the contract prices to, and what should have been drafted."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from prebill.core.schemas.inbound import CONTRACTS, ENTITLEMENTS, SUBSCRIPTIONS
from prebill.core.schemas.internal import DRAFT_LINES, DRAFTS
from prebill.core.scoring.agreed import agreed_changes, as_agreed, conforming, ended
from prebill.core.scoring.detectors import conformance, never_drafted
from prebill.core.scoring.detectors.base import Scene
from prebill.core.scoring.frames import Agreements, Books, ScoringInputs
from prebill.core.scoring.scene import scene_of
from tests.core.scoring.company import head

START, END = date(2026, 1, 1), date(2026, 2, 1)
RECORDED = datetime(2025, 1, 1, tzinfo=UTC)


def draft(contract: str, subscription: str, **changes: object) -> dict:
    return {
        "draft_id": f"D-{subscription}",
        "version": "v",
        "entity_id": "UK",
        "customer_id": f"C-{contract}",
        "contract_id": contract,
        "subscription_id": subscription,
        "period": "2026-01",
        "currency": "GBP",
        "period_start_on": START,
        "period_end_on": END,
        "tax_point_on": END,
        "payment_terms_days": 30,
        "subtotal_minor": 6000,
        "tax_minor": 1200,
        "total_minor": 7200,
        "lines": 2,
    } | changes


def draft_line(draft_id: str, charge: str, amount: int, **changes: object) -> dict:
    return {
        "draft_id": draft_id,
        "line_id": "1" if charge == "base" else "2",
        "subscription_id": "s",
        "phase_id": "p",
        "plan_id": "team",
        "price_book_id": "book-2",
        "charge_id": charge,
        "name": charge.title(),
        "charge_model": "flat",
        "timing": "in_advance",
        "meter": None,
        "service_start_on": START,
        "service_end_on": END,
        "share_numerator": 1,
        "share_denominator": 1,
        "proration_rule": None,
        "quantity": Decimal(1),
        "unit_price": Decimal(amount) / 100,
        "amount_unrounded": Decimal(amount) / 100,
        "gross_minor": amount,
        "discount_percent": Decimal(0),
        "discount_minor": 0,
        "amount_minor": amount,
        "tax_category": "saas",
        "tax_code": "GB-S-20",
        "tax_percent": Decimal(20),
        "tax_minor": amount // 5,
    } | changes


def agreed(drafts: list[dict], lines: list[dict], **changes: pl.DataFrame) -> Agreements:
    expected = [draft("K1", "K1"), draft("K2", "K2")]
    expected_lines = [
        draft_line(f"D-{contract}", charge, amount)
        for contract in ("K1", "K2")
        for charge, amount in (("base", 5000), ("seats", 1000))
    ]
    subscriptions = [
        {
            "subscription_id": row["subscription_id"],
            "contract_id": row["contract_id"],
            "customer_id": row["customer_id"],
            "started_on": START,
            "ended_on": None,
            "recorded_at": RECORDED.replace(month=1 + number),
        }
        for number, row in enumerate(drafts)
    ]
    contracts = [
        {
            "contract_id": contract,
            "customer_id": f"C-{contract}",
            "entity_id": "UK",
            "currency": "GBP",
            "time_zone": "UTC",
            "starts_on": START,
            "ends_on": None,
            "payment_terms_days": 30,
            "proration_policy": "day_actual",
            "recorded_at": RECORDED,
        }
        for contract in ("K1", "K2")
    ]
    built = Agreements(
        drafts=pl.DataFrame(drafts, schema=DRAFTS.schema),
        draft_lines=pl.DataFrame(lines, schema=DRAFT_LINES.schema),
        expected_drafts=pl.DataFrame(expected, schema=DRAFTS.schema),
        expected_lines=pl.DataFrame(expected_lines, schema=DRAFT_LINES.schema),
        entitlements=ENTITLEMENTS.empty(),
        contracts=pl.DataFrame(contracts, schema=CONTRACTS.schema),
        subscriptions=pl.DataFrame(subscriptions, schema=SUBSCRIPTIONS.schema),
    )
    return replace(built, **changes)


RIGHT = [draft("K1", "S1"), draft("K2", "S2")]
RIGHT_LINES = [
    draft_line(f"D-{subscription}", charge, amount)
    for subscription in ("S1", "S2")
    for charge, amount in (("base", 5000), ("seats", 1000))
]


def scene(agreements: Agreements) -> Scene:
    heads = [
        head(row["draft_id"], row["customer_id"], START, END, 6000)
        for row in agreements.drafts.iter_rows(named=True)
    ]
    return scene_of(ScoringInputs(Books(), Books(pl.DataFrame(heads)), agreements=agreements))


def changed(charge: str, **values: object) -> list[dict]:
    return [
        row | values if row["draft_id"] == "D-S1" and row["charge_id"] == charge else row
        for row in RIGHT_LINES
    ]


def test_drafts_as_agreed_give_no_finding_and_no_gap() -> None:
    here = scene(agreed(RIGHT, RIGHT_LINES))
    judged = conformance.judge(here)
    assert judged.findings.is_empty()
    assert judged.tails["tail"].to_list() == [0.0, 0.0]
    assert never_drafted.judge(here).gaps.is_empty()


@pytest.mark.parametrize(
    ("lines", "code", "amount"),
    [
        (RIGHT_LINES[:1] + RIGHT_LINES[2:], "expected_charge_absent", -1000),
        (
            [*RIGHT_LINES, draft_line("D-S1", "extra", 700, line_id="3")],
            "billed_not_contracted",
            700,
        ),
        (
            changed("base", price_book_id="book-1", unit_price=Decimal(40), amount_minor=4000),
            "price_differs_from_contract",
            -1000,
        ),
        (
            changed("seats", quantity=Decimal(3), amount_minor=3000),
            "quantity_differs_from_contract",
            2000,
        ),
        (
            changed("base", discount_percent=Decimal(20), amount_minor=4000),
            "discount_past_its_end",
            -1000,
        ),
    ],
)
def test_each_difference_is_named_with_its_money(lines: list[dict], code: str, amount: int) -> None:
    found = conformance.judge(scene(agreed(RIGHT, lines))).findings
    assert [("D-S1", code, amount)] == list(
        found.select("invoice_id", "code", "amount_minor").iter_rows()
    )
    assert "K1" in found["evidence"][0]


def test_rounding_is_no_difference() -> None:
    found = conformance.judge(scene(agreed(RIGHT, changed("base", amount_minor=5001)))).findings
    assert found.is_empty()


def test_contract_billed_twice_holds_the_younger_subscription() -> None:
    twice = [*RIGHT, draft("K1", "S3")]
    lines = [*RIGHT_LINES, draft_line("D-S3", "base", 5000)]
    found = conformance.judge(scene(agreed(twice, lines))).findings
    assert list(found.select("invoice_id", "code", "amount_minor").iter_rows()) == [
        ("D-S3", "duplicate_contract", 7200)
    ]
    assert "D-S1" in found["evidence"][0]


def test_currency_is_compared_with_the_contract_and_amounts_are_not() -> None:
    dollars = [draft("K1", "S1", currency="USD"), RIGHT[1]]
    found = conformance.judge(scene(agreed(dollars, changed("base", amount_minor=9000)))).findings
    assert found["code"].to_list() == ["currency_differs_from_contract"]
    assert found["expected"].to_list() == ["GBP"]


def test_contract_without_draft_and_line_without_draft_line_are_gaps() -> None:
    lines = [row for row in RIGHT_LINES[:1] if row["draft_id"] == "D-S1"]
    gaps = never_drafted.judge(scene(agreed(RIGHT[:1], lines))).gaps
    assert list(gaps.select("customer_id", "kind", "product", "expected_minor").iter_rows()) == [
        ("C-K1", "line", "seats", 1000),
        ("C-K2", "invoice", "", 7200),
    ]


def test_lines_as_agreed_explain_their_changes() -> None:
    explained = conforming(agreed(RIGHT, changed("seats", amount_minor=3000)))
    assert {("D-S1", "base"), ("D-S2", "base"), ("D-S2", "seats")} == set(
        explained.select("invoice_id", "product").iter_rows()
    )


def test_what_the_contract_has_no_more_is_an_agreed_change() -> None:
    """Until December platform for 80.00 and seats for 10.00; now base for 50.00 and the seats."""
    agreements = agreed(RIGHT, RIGHT_LINES)
    previous = pl.DataFrame(
        {
            "invoice_id": ["D-S1", "D-S1"],
            "previous_id": ["I1", "I1"],
            "product": ["platform", "seats"],
            "quantity": [Decimal(1), Decimal(1)],
            "money": [8000.0, 1000.0],
        }
    )
    lost = ended(previous, agreements)
    assert [("D-S1", 8000.0)] == list(lost.iter_rows())
    own = {"base": None, "seats": 1000.0}
    lines = pl.DataFrame(
        {
            "invoice_id": "D-S1",
            "product": product,
            "is_draft": True,
            "amount": amount,
            "own_amount": own[product],
            **dict.fromkeys(("off_unseen", "off_own", "off_discount"), 0.0),
        }
        for product, amount in (("base", 5000.0), ("seats", 1000.0))
    )
    changes = agreed_changes(as_agreed(lines, agreements), lost)
    assert [("D-S1", 5000.0 - 8000.0, True)] == list(changes.iter_rows())
    # Products that nothing billed now was billed under before may be another engine's names.
    strange = as_agreed(lines.with_columns(own_amount=pl.lit(None, dtype=pl.Float64)), agreements)
    assert [None] == agreed_changes(strange, lost)["agreed_change_minor"].to_list()
