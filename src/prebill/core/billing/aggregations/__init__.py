"""Aggregations: how the events of a window become one quantity. One file each, one line below."""

from typing import Final

from prebill.core.billing.aggregations.base import Aggregation, register
from prebill.core.billing.aggregations.count import COUNT
from prebill.core.billing.aggregations.latest import LATEST
from prebill.core.billing.aggregations.maximum import MAX
from prebill.core.billing.aggregations.total import SUM
from prebill.core.billing.aggregations.unique import UNIQUE

AGGREGATIONS: Final[dict[str, Aggregation]] = register(SUM, COUNT, MAX, LATEST, UNIQUE)

__all__ = ["AGGREGATIONS", "Aggregation", "register"]
