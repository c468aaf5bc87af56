"""Search a small declared grid on earlier months, never on the tested one."""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prebill.bundles import Bundle
from prebill.core.errors import InputError
from training.dataset import Dataset
from training.fit import RECIPES, prepare
from training.specification import Specification
from training.trained import Prepared


@dataclass(frozen=True, slots=True)
class Tuned:
    """The specification to fit with, and the mean loss of every combination tried, best first."""

    spec: Specification
    tried: Sequence[tuple[Mapping[str, Any], float]]


def tune(dataset: Dataset, spec: Specification, ready: Prepared) -> Tuned:
    """Choose parameters of the fit by their mean loss on months that end before the tested one.

    Parameters
    ----------
    dataset : Dataset
        Everything known.
    spec : Specification
        ``tuning``: grid, how many combinations of it, and how many months.
    ready : Prepared
        The final split: nothing dated its cut-off or later is read.

    Returns
    -------
    Tuned
        The present parameters stay unless another combination loses less.

    Raises
    ------
    InputError
        The history is too short for a month before the tested one.
    """
    months = _earlier(dataset, spec, ready)
    tried = [
        (chosen, sum(_loss(month, spec.with_fit(chosen)) for month in months) / len(months))
        for chosen in _combinations(spec)
    ]
    ranked = sorted(tried, key=lambda one: one[1])
    return Tuned(spec.with_fit(ranked[0][0]), ranked)


def _earlier(dataset: Dataset, spec: Specification, ready: Prepared) -> list[Prepared]:
    """Splits of earlier months, each on a data set that ends where the next one starts to learn."""
    months: list[Prepared] = []
    cut_off = ready.split.train_before
    for _ in range(spec.tuning.months):
        try:
            month = prepare(dataset.before(cut_off), spec)
        except InputError:
            if not months:
                raise
            break
        months.append(month)
        cut_off = month.split.train_before
    return months


def _combinations(spec: Specification) -> list[Mapping[str, Any]]:
    """The present parameters, and others of the grid drawn by the seed."""
    grid = spec.tuning.grid
    present = {name: spec.fit[name] for name in grid}
    every = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    others = [one for one in every if one != present]
    count = min(spec.tuning.tries - 1, len(others))
    return [present, *random.Random(spec.seed).sample(others, max(count, 0))]


def _loss(month: Prepared, spec: Specification) -> float:
    fitted = RECIPES[spec.name].fit(month.rows, spec)
    losses = month.later.measure(Bundle(spec.name, fitted.files)).losses["loss"]
    return float(losses.to_numpy().mean())
