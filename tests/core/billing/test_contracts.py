"""Expected drafts: a contract that billing was told right is priced once, the others twice."""

import random
from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.billing.contracts import agreed, contract_inputs
from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.invoicing import Billed, bill, windows
from prebill.core.billing.metering import dedupe, meter_usage
from tests.core.billing import builders
from tests.core.billing.random_contracts import draw_world

OCTOBER = builders.OCTOBER
NOBODY = pl.DataFrame(schema={"subscription_id": pl.String})
#: The version is a hash of ids that differ; ids of phases stand nowhere else.
COMPARED = {"drafts": ["draft_id"], "lines": ["draft_id", "line_id"]}


def signed_terms(world: BillingInputs, draw: random.Random, changed: float) -> pl.DataFrame:
    """Terms like the phases, some with another quantity, dropped or twice."""
    phases = world.phases.join(
        world.subscriptions.select("subscription_id", "contract_id"), on="subscription_id"
    )
    terms = phases.rename({"phase_id": "term_id"}).drop("subscription_id")
    fates = pl.Series(
        [
            draw.choice(["more", "gone"]) if draw.random() < changed else ""
            for _ in range(len(terms))
        ]
    )
    more = pl.when(fates == "more").then(pl.col("quantity") + 1).otherwise("quantity")
    return terms.with_columns(more.alias("quantity")).filter(fates != "gone")


def both_ways(
    world: BillingInputs, usage: pl.DataFrame, terms: pl.DataFrame, apart: pl.DataFrame = NOBODY
) -> tuple[Billed, Billed, int]:
    """Expected by pricing everything, and by pricing what differs; contracts that are the same."""
    events = dedupe(usage).events
    whole = contract_inputs(world, terms)
    signed = agreed(world, terms, apart)
    every = pl.concat([windows(world, OCTOBER), windows(whole, OCTOBER)])
    some = pl.concat([windows(world, OCTOBER), signed.windows(OCTOBER)])
    plainly = bill(whole, meter_usage(events, world.meters, every).quantities, OCTOBER)
    quantities = meter_usage(events, world.meters, some).quantities
    quickly = signed.bill(bill(world, quantities, OCTOBER), quantities, OCTOBER)
    return plainly, quickly, signed.same.height


def assert_same(expected: Billed, actual: Billed) -> None:
    for name, key in COMPARED.items():
        one, other = (
            getattr(billed, name).sort(key).drop("version", strict=False)
            for billed in (expected, actual)
        )
        assert_frame_equal(one, other)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("changed", [0.0, 0.2])
def test_expected_is_what_pricing_every_contract_gives(seed: int, changed: float) -> None:
    world, usage, _ = draw_world(seed, contracts=60)
    days = world.contracts.select("contract_id", started_on="starts_on", ended_on="ends_on")
    world = replace(
        world, subscriptions=world.subscriptions.update(days, on="contract_id", include_nulls=True)
    )
    terms = signed_terms(world, random.Random(seed), changed)
    plainly, quickly, same = both_ways(world, builders.events(*usage), terms)
    assert_same(plainly, quickly)
    assert same == world.contracts.height if not changed else 0 < same < world.contracts.height


class TestDifferent:
    def same(self, terms: pl.DataFrame, apart: pl.DataFrame = NOBODY, **rows: object) -> list[str]:
        world = builders.inputs(charges=[{}], **rows)  # type: ignore[arg-type]
        plainly, quickly, _ = both_ways(world, builders.events(), terms, apart)
        assert_same(plainly, quickly)
        return agreed(world, terms, apart).same["contract_id"].to_list()

    def test_same_terms(self) -> None:
        assert self.same(builders.table("contract_terms", {})) == ["K1"]

    def test_other_discount(self) -> None:
        assert self.same(builders.table("contract_terms", {"discount_percent": "10"})) == []

    def test_term_twice(self) -> None:
        terms = builders.table("contract_terms", {}, {"term_id": "again"})
        assert self.same(terms) == []

    def test_no_terms(self) -> None:
        assert self.same(builders.table("contract_terms")) == []

    def test_two_subscriptions(self) -> None:
        second = {"subscription_id": "S2"}
        found = self.same(
            builders.table("contract_terms", {}),
            subscriptions=[{}, second],
            phases=[{}, second],
        )
        assert found == []

    def test_corrected_subscription(self) -> None:
        apart = pl.DataFrame({"subscription_id": ["S1"]})
        assert self.same(builders.table("contract_terms", {}), apart) == []
