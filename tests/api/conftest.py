"""A served installation with one person a role and two waiting cases."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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


@contextmanager
def serving(store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    """Serve a store with one person a role and two waiting cases."""
    people = add_people(store)
    with store.transaction() as tx:
        case_ids = (add_waiting(tx, 1, priority=9.3), add_waiting(tx, 2, priority=4.0))
    with running(Installation(settings, store, lake)) as url, httpx.Client(base_url=url) as client:
        yield Served(url, store, people, case_ids, client)


@pytest.fixture
def served(store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    """The server on each database engine."""
    with serving(store, settings, lake) as found:
        yield found


@pytest.fixture
def served_sqlite(sqlite_store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    """The server on SQLite, for what does not depend on the engine."""
    with serving(sqlite_store, settings, lake) as found:
        yield found


@pytest.fixture(scope="module")
def served_once(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[Served]:
    """One server for all tests of a module, for what changes nothing."""
    home = tmp_path_factory.mktemp("served")
    shutil.copyfile(sqlite_template, home / "prebill.db")
    settings = Settings.load(home)
    store = Store(f"sqlite:///{home / 'prebill.db'}")
    with serving(store, settings, Lake(home / "lake")) as found:
        yield found
