"""Debian's Chromium, driven by Playwright; skipped where it is missing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from tests.api.builders import PASSWORD, Person, add_people, add_waiting
from tests.api.rich import rich
from tests.api.server import running

CHROMIUM = Path(os.environ.get("PREBILL_TEST_CHROMIUM", "/usr/bin/chromium"))
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking "
    "--disable-component-update --no-first-run"
).split()


@dataclass(frozen=True, slots=True)
class Console:
    """A served console with one rich case and two plain ones."""

    url: str
    store: Store
    people: dict[Role, Person]
    rich_case_id: str

    def sign_in(self, page: Page, role: Role = Role.REVIEWER) -> None:
        page.goto(f"{self.url}/")
        page.get_by_label("E-mail").fill(self.people[role].email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/queue")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a module: Playwright's event loop must not run in the modules after it."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is missing: run `make test-deps`")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def console(sqlite_store: Store, settings: Settings, lake: Lake) -> Iterator[Console]:
    """The console on SQLite; what differs between engines is tested without a browser."""
    people = add_people(sqlite_store)
    with sqlite_store.transaction() as tx:
        case_id = rich(tx, lake)
        add_waiting(tx, 1, priority=9.3)
        add_waiting(tx, 2, priority=4.0, action="review")
    with running(Installation(settings, sqlite_store, lake)) as url:
        yield Console(url, sqlite_store, people, case_id)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test on any message of the browser: a script error, a blocked file."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(10_000)
    opened = context.new_page()
    messages: list[str] = []
    opened.on("console", lambda message: messages.append(message.text))
    opened.on("pageerror", lambda error: messages.append(str(error)))
    yield opened
    context.close()
    assert [one for one in messages if "status of 409" not in one] == []
