"""Sizes of faults: log-uniform from one percent up, as far as a family has them."""

import math

import numpy as np
import polars as pl

from prebill.demo.truth import LARGEST_SIZE, SMALLEST_EFFECT_PERCENT, keep_sized

TRUE_MINOR = 100_000


def tried(family: str, sizes: list[float]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Faults of a family that were tried, and what they measured."""
    ids = [f"{family}-{number}" for number in range(len(sizes))]
    planted = pl.DataFrame({"number": range(len(sizes)), "family": family, "contract_id": ids})
    measured = pl.DataFrame(
        {
            "contract_id": ids,
            "currency": "EUR",
            "billed_currency": "EUR",
            "true_total_minor": TRUE_MINOR,
            "billed_total_minor": [round(TRUE_MINOR * (1 + size)) for size in sizes],
        }
    )
    return planted, measured


def test_kept_sizes_are_spread_evenly_over_orders_of_magnitude() -> None:
    low, high = math.log(SMALLEST_EFFECT_PERCENT / 100), math.log(LARGEST_SIZE)
    # Most of what was tried is large, as it is where nobody looks for small faults.
    sizes = np.exp(high - (high - low) * np.linspace(0, 1, 400) ** 3).tolist()
    planted, measured = tried("unit_error", sizes)
    kept = keep_sized(1, planted, measured, 60).join(measured, on="contract_id")
    size = (kept["billed_total_minor"] - TRUE_MINOR) / TRUE_MINOR
    thirds = [((size >= 10 ** (n - 2)) & (size < 10 ** (n - 1))).sum() for n in range(3)]
    assert 60 == kept.height
    assert min(thirds) >= 12


def test_every_family_gets_as_many_as_the_scarcest_has() -> None:
    many, measured_many = tried("missing_days", [0.01 * n for n in range(1, 30)])
    few, measured_few = tried("stale_price", [0.02, 0.05])
    kept = keep_sized(1, pl.concat([many, few]), pl.concat([measured_many, measured_few]), 5)
    assert [2, 2] == kept["family"].value_counts()["count"].to_list()


def test_a_family_without_any_effect_leaves_no_fault_at_all() -> None:
    many, measured = tried("missing_days", [0.1, 0.2])
    none, _ = tried("stale_price", [0.1])
    assert keep_sized(1, pl.concat([many, none]), measured, 5).is_empty()
