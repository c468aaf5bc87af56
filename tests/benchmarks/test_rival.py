"""The rival's published rules, one by one, and money for equal numbers of reviews."""

from datetime import date

import polars as pl
import pytest

from prebill.core.money import DECIMAL
from prebill.core.schemas.inbound import INVOICE_LINES, INVOICES
from prebill.core.scoring.frames import Books
from tests.benchmarks.rival import audit, compare, money_table

BASE, CALLS = ("base", 1, 5_000), ("calls", 100, 1_000)
Lines = tuple[tuple[str, int, int], ...]


def books(*invoices: Lines, customer: str = "C1", currency: str = "EUR") -> Books:
    """Invoices of one customer, a month apart; a line is product, quantity, amount."""
    heads, lines = [], []
    for number, content in enumerate(invoices, 1):
        heads.append(
            {
                "invoice_id": f"{customer}-{number}",
                "customer_id": customer,
                "currency": currency,
                "issued_on": date(2026, number, 1),
                "due_on": date(2026, number, 1),
                "total_minor": sum(amount for _, _, amount in content),
            }
        )
        lines += [(f"{customer}-{number}", str(row), *line) for row, line in enumerate(content, 1)]
    names = ["invoice_id", "line_id", "product", "quantity", "amount_minor"]
    frame = pl.DataFrame(lines, schema=names, orient="row").with_columns(
        pl.col("quantity").cast(DECIMAL)
    )
    return Books(INVOICES.conform(pl.DataFrame(heads)), INVOICE_LINES.conform(frame))


def reasons(*invoices: Lines) -> list[str]:
    """Why the last invoice is flagged."""
    audited = audit(books(*invoices), pl.col("product") == "calls")
    return audited.filter(pl.col("invoice_id") == f"C1-{len(invoices)}")["reasons"][0].to_list()


def test_equal_invoice_is_not_flagged() -> None:
    assert [] == reasons((BASE, CALLS), (BASE, CALLS))


@pytest.mark.parametrize(("amount", "expected"), [(5_100, []), (5_101, ["amount"])])
def test_amount_may_change_by_two_percent(amount: int, expected: list[str]) -> None:
    assert expected == reasons((BASE,), (("base", 1, amount),))


def test_usage_may_change_by_half() -> None:
    assert [] == reasons((CALLS,), (("calls", 150, 1_010),))
    assert ["usage"] == reasons((CALLS,), (("calls", 151, 1_010),))


def test_absent_charge_is_flagged_and_a_new_one_as_first_billing() -> None:
    assert ["absent"] == reasons((BASE, CALLS), (BASE,))
    assert ["first_billing"] == reasons((BASE,), (BASE, CALLS))


def test_total_beyond_two_and_a_half_times_is_an_outlier() -> None:
    assert "outlier" in reasons((CALLS,), (("calls", 100, 2_501),))
    assert "outlier" not in reasons((CALLS,), (("calls", 100, 2_500),))


def test_a_charge_is_compared_with_the_last_invoice_that_had_it() -> None:
    assert ["amount"] == reasons((BASE, CALLS), (BASE,), (BASE, ("calls", 100, 1_100)))


def test_first_invoice_has_no_history() -> None:
    assert {"no_history", "first_billing"} == set(reasons((BASE,)))


def test_zero_baseline_is_flagged() -> None:
    assert "zero_baseline" in reasons((("calls", 0, 0),), (CALLS,))


def test_equal_budgets_and_money_by_contract() -> None:
    audited = pl.DataFrame(
        {
            "invoice_id": ["a", "b", "c", "d"],
            "change": [0.1, 0.9, None, 0.0],
            "reasons": [["amount"], ["amount"], [], []],
        },
        schema_overrides={"reasons": pl.List(pl.String)},
    )
    reviewed = compare(
        audited, {"K1": 10.0, "K2": 5.0}, {"ours": ["c", "d"]}, {"a": "K2", "c": "K1"}
    )
    assert (4, 2, 15.0) == (reviewed.drafts, reviewed.flagged, reviewed.wrong)
    assert {"audit, in any order": 5.0, "audit, largest change first": 5.0, "ours": 10.0} == {
        name: caught[-1] for name, caught in reviewed.caught.items()
    }
    assert "| ours | 0.00 (0%) | 0.00 (0%) | 0.00 (0%) | 5.00 (67%) |" in money_table([reviewed])
