"""The examples in the docstrings of the money code run."""

import doctest
import importlib
import pkgutil

import pytest

import prebill.core.billing
from prebill.core import calendar, money

BILLING = [
    name
    for _, name, _ in pkgutil.walk_packages(prebill.core.billing.__path__, "prebill.core.billing.")
]


@pytest.mark.parametrize("name", [money.__name__, calendar.__name__, *BILLING])
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    found = [
        test
        for name in BILLING
        for test in finder.find(importlib.import_module(name))
        if test.examples
    ]
    assert len(found) >= 8
