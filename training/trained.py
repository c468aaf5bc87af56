"""What training passes around: a measured model, and how another is measured on the same rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Protocol

import polars as pl

from prebill.bundles import Bundle
from prebill.core.scoring.features.declaration import Feature
from training.dataset import Dataset
from training.specification import Specification
from training.split import TimeSplit, latest

#: What was said against what came, with its 95 % interval by customer.
CALIBRATION: Final = pl.Schema(
    {
        "said": pl.Float64,
        "observed": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "rows": pl.Int64,
    }
)
#: Share of the money that is caught by looking at this share of the invoices, worst first.
MONEY: Final = pl.Schema({"reviewed": pl.Float64, "caught": pl.Float64})
#: By kind of planted fault: how many, and which shares of count and money are within the budget.
FAULTS: Final = pl.Schema(
    {
        "kind": pl.String,
        "faults": pl.Int64,
        "found": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "money": pl.Float64,
    }
)


@dataclass(frozen=True, slots=True)
class Tested:
    """Figures of a model, tables, and its loss by row: ``invoice_id, customer_id, loss``."""

    figures: Mapping[str, float]
    losses: pl.DataFrame
    calibration: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CALIBRATION))
    money: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MONEY))
    faults: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FAULTS))


class Later(Protocol):
    """Rows after the cut-off, with their outcomes."""

    @property
    def height(self) -> int:
        """Tested rows."""

    @property
    def slices(self) -> pl.DataFrame:
        """``invoice_id`` and one text column a slice of the specification."""

    def measure(self, bundle: Bundle) -> Tested:
        """Measure a registered model."""

    def measure_simple(self) -> Tested:
        """Measure what answers where there is no model."""

    def after(self, day: date) -> "Later":
        """Only rows issued on that day or later."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A split made ready: what is learnt from, and what it is tested on."""

    split: TimeSplit
    rows: pl.DataFrame
    later: Later


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model's files, and what its manifest says beside seed, data and split."""

    files: Mapping[str, bytes]
    facts: Mapping[str, object] = field(default_factory=dict)


def by_due_dates(dataset: Dataset, spec: Specification) -> TimeSplit:
    """Test on the latest days whose invoices are nearly all due."""
    return latest(dataset.receivables(), dataset.as_of_on, spec.test_days, spec.gap_days)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of model is trained.

    ``rows`` makes the training rows as of a day: nothing dated that day or later is read.
    ``columns`` are those of them that the model learns from, with what they
    declare. ``split`` chooses
    the tested days.
    """

    name: str
    columns: Mapping[str, Feature]
    rows: Callable[[Dataset, date], pl.DataFrame]
    prepare: Callable[[Dataset, Specification, TimeSplit], Prepared]
    fit: Callable[[pl.DataFrame, Specification], Fitted]
    split: Callable[[Dataset, Specification], TimeSplit] = by_due_dates


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted model as a bundle, its measurement, and how to measure another on the same rows."""

    bundle: Bundle
    split: TimeSplit
    tested: Tested
    #: What a model must beat where there is no champion yet.
    simple: Tested
    later: Later
