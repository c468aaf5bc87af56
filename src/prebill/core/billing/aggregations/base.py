"""The contract of an aggregation and the registry that refuses duplicates."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from prebill.core.errors import ContractError


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A named way to sum up events.

    ``aggregate(events)`` takes events that lie in a window (``span`` and ``columns`` of
    USAGE_EVENTS) and returns one row a span: ``span``, ``quantity`` Decimal, ``events`` Int64. A
    span without events has no row; its quantity is 0 under every aggregation.
    """

    name: str
    columns: tuple[str, ...]
    aggregate: Callable[[pl.DataFrame], pl.DataFrame]


def register(*aggregations: Aggregation) -> dict[str, Aggregation]:
    """Index aggregations by name.

    Raises
    ------
    ContractError
        Two aggregations have one name.
    """
    registry = {aggregation.name: aggregation for aggregation in aggregations}
    if len(registry) != len(aggregations):
        message = "two aggregations have one name: rename one of them"
        raise ContractError(message, aggregations=[one.name for one in aggregations])
    return registry


def by_span(events: pl.DataFrame, quantity: pl.Expr) -> pl.DataFrame:
    """Group by span with one expression for the quantity."""
    return events.group_by("span").agg(quantity=quantity, events=pl.len().cast(pl.Int64))
