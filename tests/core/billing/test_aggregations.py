"""Aggregations: shared checks over every registered one, then each rule."""

from datetime import UTC, datetime

import polars as pl
import pytest

from prebill.core.billing.aggregations import AGGREGATIONS, Aggregation, register
from prebill.core.errors import ContractError
from tests.core.billing import builders


def at(hour: int) -> datetime:
    return datetime(2026, 10, 5, hour, tzinfo=UTC)


SAMPLE = builders.events(
    {"quantity": "3", "occurred_at": at(1), "unique_value": "a"},
    {"quantity": "7.5", "occurred_at": at(2), "unique_value": "b"},
    {"quantity": "2", "occurred_at": at(4), "unique_value": "a", "id": "z"},
    {"quantity": "1", "occurred_at": at(4), "unique_value": None, "id": "y"},
).with_columns(span=pl.Series([0, 0, 0, 0], dtype=pl.UInt32))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sum", "13.5"), ("count", "4"), ("max", "7.5"), ("latest", "2"), ("unique", "2")],
)
def test_quantity(name: str, expected: str) -> None:
    done = AGGREGATIONS[name].aggregate(SAMPLE)
    assert builders.decimals(expected)[0] == done["quantity"][0]
    assert done["events"].to_list() == [4]


@pytest.mark.parametrize("aggregation", AGGREGATIONS.values(), ids=lambda one: one.name)
class TestEveryAggregation:
    def test_declared_columns_are_enough(self, aggregation: Aggregation) -> None:
        done = aggregation.aggregate(SAMPLE.select("span", *aggregation.columns))
        assert done.columns == ["span", "quantity", "events"]
        assert done.schema["quantity"].is_decimal()

    def test_order_of_events_is_irrelevant(self, aggregation: Aggregation) -> None:
        turned = aggregation.aggregate(SAMPLE.reverse())
        assert aggregation.aggregate(SAMPLE).equals(turned)

    def test_spans_stay_apart(self, aggregation: Aggregation) -> None:
        second = SAMPLE.with_columns(span=pl.Series([1] * 4, dtype=pl.UInt32))
        both = aggregation.aggregate(pl.concat([SAMPLE, second])).sort("span")
        assert both["span"].to_list() == [0, 1]
        assert both["quantity"][0] == both["quantity"][1]

    def test_no_events_give_no_rows(self, aggregation: Aggregation) -> None:
        assert aggregation.aggregate(SAMPLE.clear()).is_empty()


def test_registry_refuses_two_aggregations_of_one_name() -> None:
    total = AGGREGATIONS["sum"]
    with pytest.raises(ContractError, match="one name"):
        register(total, total)
