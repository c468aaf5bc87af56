"""The only door to Evidently: population stability indices, and its HTML report. Calls nobody.

Its import takes seconds, so it happens at the first use. Usage statistics are switched off before.
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import polars as pl


def stability(reference: pl.DataFrame, window: pl.DataFrame) -> Mapping[str, float]:
    """Population stability index of each column that has values in both; nulls are no bin.

    Parameters
    ----------
    reference, window : pl.DataFrame
        Names of bins, from :func:`training.drift.statistics.binned`.
    """
    if not _comparable(reference, window):
        return {}
    found = _snapshot(reference, window, {}).dict()["metrics"]
    return {one["config"]["column"]: float(one["value"]) for one in found}


def report(reference: pl.DataFrame, window: pl.DataFrame, limits: Mapping[str, float]) -> str:
    """Return Evidently's report as one HTML page: the bins of both, column by column.

    Parameters
    ----------
    reference, window : pl.DataFrame
        Names of bins.
    limits : mapping
        Column → index above which the report calls it drifted.
    """
    with _quietly():
        html: str = _snapshot(reference, window, limits).get_html_str(as_iframe=False)
    return html


def _comparable(reference: pl.DataFrame, window: pl.DataFrame) -> list[str]:
    """Columns of which both sides know something; Evidently refuses the others."""
    return [
        name
        for name in reference.columns
        if reference[name].count() > 0 and window[name].count() > 0
    ]


def _snapshot(reference: pl.DataFrame, window: pl.DataFrame, limits: Mapping[str, float]) -> Any:
    with _quietly():
        from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]
        from evidently.metrics import ValueDrift  # type: ignore[import-untyped]

        names = _comparable(reference, window)
        definition = DataDefinition(categorical_columns=names)
        metrics = [ValueDrift(column=n, method="psi", threshold=limits.get(n)) for n in names]
        return Report(metrics).run(
            Dataset.from_pandas(window.to_pandas(), data_definition=definition),
            Dataset.from_pandas(reference.to_pandas(), data_definition=definition),
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without usage statistics, and without the warnings of what Evidently itself imports."""
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
