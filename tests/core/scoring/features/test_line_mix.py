"""Which lines repeat those of the previous invoice."""

from datetime import date
from decimal import Decimal

import polars as pl

from prebill.core.schemas.inbound import INVOICE_LINES
from prebill.core.scoring.features import line_mix
from prebill.core.scoring.frames import Books


def lines(invoice: str, *rows: tuple[str, int | None, int]) -> list[dict[str, object]]:
    return [
        {
            "invoice_id": invoice,
            "line_id": str(number),
            "product": product,
            "quantity": None if quantity is None else Decimal(quantity),
            "amount_minor": amount,
        }
        for number, (product, quantity, amount) in enumerate(rows)
    ]


def compared(before: list[dict[str, object]], now: list[dict[str, object]]) -> dict[str, object]:
    heads = pl.DataFrame(
        {
            "invoice_id": ["I1", "I2"],
            "series": ["C1", "C1"],
            "issued_on": [date(2026, 1, 1), date(2026, 2, 1)],
        }
    )
    every = INVOICE_LINES.conform(
        pl.DataFrame(before + now, schema_overrides=dict(INVOICE_LINES.schema))
    )
    books, asked = Books(heads, every), heads.tail(1)
    own = every.filter(pl.col("invoice_id") == "I2")
    return line_mix.features(asked, own, line_mix.profile(books, asked)).row(0, named=True)


def test_equal_quantities_repeat_whatever_the_price() -> None:
    before = lines("I1", ("base", 1, 5000), ("calls", 70, 700), ("work", None, 900))
    now = lines("I2", ("base", 1, 5300), ("calls", 71, 700), ("work", None, 900))
    found = compared(before, now)
    assert (2, 3) == (found["repeat_lines"], found["line_count"])
    assert (5300 + 900) / 6900 == found["repeat_share"]


def test_a_price_that_rose_in_mid_month_is_one_line() -> None:
    now = lines("I2", ("base", 1, 2500), ("base", 1, 2700))
    found = compared(lines("I1", ("base", 1, 5000)), now)
    assert (1, 1) == (found["repeat_lines"], found["line_count"])
    assert found["duplicate_share"] == 0
