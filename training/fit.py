"""Fit one model on what was known at the split, and measure it on what came after.

What is registered is what was measured: there is no second fit on the tested rows, so that the
figures of a champion are its own and two models can be compared on rows that neither has seen.
"""

from collections.abc import Mapping
from typing import Final

from prebill.bundles import Bundle
from training.dataset import Dataset
from training.error_risk import ERROR_RISK
from training.forest import FOREST
from training.payment import PAYMENT_RISK
from training.specification import Specification
from training.trained import Prepared, Recipe, Tested, Trained

#: Every kind of model; a new one is a file with its recipe and a line here.
RECIPES: Final[Mapping[str, Recipe]] = {one.name: one for one in (FOREST, PAYMENT_RISK, ERROR_RISK)}


def prepare(dataset: Dataset, spec: Specification) -> Prepared:
    """Make the latest split of a data set ready.

    Raises
    ------
    InputError
        The history is too short to leave a period to test on, or lacks the outcome.
    """
    recipe = RECIPES[spec.name]
    return recipe.prepare(dataset, spec, recipe.split(dataset, spec))


def train(dataset: Dataset, spec: Specification, prepared: Prepared | None = None) -> Trained:
    """Fit and measure a model on the latest split, or on one that was made ready before.

    Parameters
    ----------
    dataset : Dataset
        Everything known.
    spec : Specification
        Of the model; it names it, too.
    prepared : Prepared or None
        Of this data set, for the tuning that fits several on one split.

    Raises
    ------
    InputError
        There is too little to learn from.
    """
    ready = prepared or prepare(dataset, spec)
    fitted = RECIPES[spec.name].fit(ready.rows, spec)
    tested = ready.later.measure(Bundle(spec.name, fitted.files))
    facts = {**_facts(dataset, spec, ready, tested), **fitted.facts}
    return Trained(
        bundle=Bundle(spec.name, fitted.files, facts),
        split=ready.split,
        tested=tested,
        simple=ready.later.measure_simple(),
        later=ready.later,
    )


def _facts(
    dataset: Dataset, spec: Specification, ready: Prepared, tested: Tested
) -> dict[str, object]:
    """What a manifest says: enough to fit the same model again. No time, no place."""
    return {
        "seed": spec.seed,
        "specification": dict(spec.fit),
        "train_before": ready.split.train_before.isoformat(),
        "test_start_on": ready.split.test_start_on.isoformat(),
        "test_end_on": ready.split.test_end_on.isoformat(),
        "source": dataset.source,
        "data": dataset.fingerprint,
        "invoices": dataset.invoices.height,
        "rows": ready.rows.height,
        "figures": {name: round(value, 6) for name, value in tested.figures.items()},
    }
