"""Close the databases that a test opened through world.install."""

from collections.abc import Iterator

import pytest

from tests.workflows import world


@pytest.fixture(autouse=True)
def closed_worlds() -> Iterator[None]:
    yield
    while world.OPENED:
        world.OPENED.pop().close()
