"""The demo company is the yardstick of detection: a change of it must not go unnoticed."""

import re
from pathlib import Path

import polars as pl
import pytest

from prebill.demo import generator
from prebill.demo.faults import UNSEEN, Family
from tests.demo.conftest import CUSTOMERS
from tests.demo.frozen import fingerprint

QUALITY = Path(__file__).parents[2] / "docs" / "quality.md"


@pytest.mark.slow
def test_generator_is_the_one_that_figures_were_measured_on() -> None:
    recorded = re.findall(r"generator `([0-9a-f]{64})`", QUALITY.read_text(encoding="utf-8"))
    assert [fingerprint()] == recorded, "measure again, then record the new one in docs/quality.md"


def test_unseen_families_come_on_demand_and_change_no_other_fault() -> None:
    company, jumps = generator.make_company(1, CUSTOMERS)
    _, without = generator.make_faulty(1, company, jumps)
    _, both = generator.make_faulty(1, company, jumps, with_unseen=True)
    is_unseen = pl.col("family").is_in(list(UNSEEN))
    assert without.equals(both.filter(~is_unseen))
    assert set(UNSEEN) == set(both.filter(is_unseen)["family"])
    assert set(Family) - UNSEEN == set(without["family"])
    assert both["number"].is_unique().all()
