"""A served installation with one person a role and two waiting cases."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from tests.api.builders import Person, add_people, add_waiting
from tests.api.server import running


@dataclass(frozen=True, slots=True)
class Served:
    """A running Prebill with what is in it."""

    url: str
    store: Store
    people: dict[Role, Person]
    case_ids: tuple[str, ...]
    client: httpx.Client

    def get(self, path: str, role: Role | None = Role.VIEWER, **given: object) -> httpx.Response:
        return self.send("GET", path, role, **given)

    def post(self, path: str, role: Role | None = Role.REVIEWER, **given: object) -> httpx.Response:
        return self.send("POST", path, role, **given)

    def send(self, method: str, path: str, role: Role | None, **given: object) -> httpx.Response:
        headers = dict(self.people[role].bearer if role else {})
        headers.update(given.pop("headers", {}))  # type: ignore[call-overload]
        return self.client.request(method, path, headers=headers, **given)  # type: ignore[arg-type]


@pytest.fixture
def served(store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    """The server on each database engine."""
    people = add_people(store)
    with store.transaction() as tx:
        case_ids = (add_waiting(tx, 1, priority=9.3), add_waiting(tx, 2, priority=4.0))
    with running(Installation(settings, store, lake)) as url, httpx.Client(base_url=url) as client:
        yield Served(url, store, people, case_ids, client)
