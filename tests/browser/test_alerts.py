"""Alerts as a reviewer meets them in the browser."""

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.users import Role
from prebill.workflows.alerting import look
from tests.api.builders import NOW
from tests.browser.conftest import Console
from tests.workflows.alarmed import CAUSES


@pytest.fixture
def alerted(console: Console, settings: Settings, lake: Lake) -> Console:
    """A console where one cause of each kind stands, some of them critical."""
    opened = Installation(settings, console.store, lake)
    for cause in CAUSES:
        if cause.name.split("_")[0] in {"run", "feed", "approval", "quarantine", "drift"}:
            cause.make(opened)
    look(opened, NOW + timedelta(days=3))
    return console


def test_a_reviewer_sees_the_count_and_looks_after_one(alerted: Console, page: Page) -> None:
    alerted.sign_in(page)
    entry = page.get_by_role("navigation", name="Main").get_by_role("link", name="Alerts")
    expect(entry).to_contain_text("10 open")
    entry.click()
    first = page.get_by_role("listitem").first
    expect(first).to_contain_text("critical")
    first.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("listitem").first).to_contain_text("Reviewer Person looks after it")
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(9)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_telephone(alerted: Console, browser: Browser, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    alerted.sign_in(page, Role.VIEWER)
    page.goto(f"{alerted.url}/alerts")
    expect(page.get_by_role("heading", name="Alerts")).to_be_visible()
    assert 390 == page.evaluate("document.documentElement.scrollWidth")
    context.close()
