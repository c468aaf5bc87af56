"""The engine against the rules written a second time with fractions (reference.py)."""

from fractions import Fraction

import pytest

from tests.core.billing import builders
from tests.core.billing.random_contracts import draw_world
from tests.core.billing.reference import Line, lines_of

COLUMNS = [
    "charge_id",
    "service_start_on",
    "service_end_on",
    "quantity",
    "gross_minor",
    "discount_minor",
    "amount_minor",
    "tax_minor",
]


@pytest.mark.parametrize("seed", range(6))
def test_lines_equal_the_reference(seed: int) -> None:
    world, usage, cases = draw_world(seed, contracts=100)
    result = builders.billed(world, builders.events(*usage))
    found: dict[str, list[Line]] = {}
    for subscription_id, *values in result.lines.select("subscription_id", *COLUMNS).iter_rows():
        values[3] = Fraction(values[3])
        found.setdefault(subscription_id, []).append(Line(*values))
    month = builders.OCTOBER
    for subscription_id, case in cases.items():
        expected = lines_of(case, month.start_on, month.end_on)
        assert expected == sorted(found.get(subscription_id, [])), subscription_id


@pytest.mark.parametrize("seed", range(2))
def test_totals_are_sums_of_lines(seed: int) -> None:
    world, usage, _ = draw_world(seed, contracts=60)
    result = builders.billed(world, builders.events(*usage))
    sums: dict[str, list[int]] = {}
    for draft_id, amount, tax in result.lines.select(
        "draft_id", "amount_minor", "tax_minor"
    ).iter_rows():
        total = sums.setdefault(draft_id, [0, 0, 0])
        total[0] += amount
        total[1] += tax
        total[2] += 1
    columns = ["draft_id", "subtotal_minor", "tax_minor", "lines", "total_minor"]
    for draft_id, subtotal, tax, lines, total in result.drafts.select(columns).iter_rows():
        assert sums[draft_id] == [subtotal, tax, lines]
        assert total == subtotal + tax
