"""The served installation of tests/api, seen by browsers without scripts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.api.conftest import Served, served_sqlite
from tests.console.browserless import Visit

__all__ = ["served_sqlite"]


@pytest.fixture
def served(served_sqlite: Served) -> Served:
    """SQLite is enough: what differs between engines is tested through the API."""
    return served_sqlite


@pytest.fixture
def visitors(served: Served) -> Iterator[Callable[[], Visit]]:
    """Opens browser sessions and closes them at the end."""
    with ExitStack() as stack:

        def open_visit() -> Visit:
            visit = Visit(served.url)
            stack.callback(visit.client.close)
            return visit

        yield open_visit


@pytest.fixture
def visit(visitors: Callable[[], Visit]) -> Visit:
    """One browser session."""
    return visitors()
