"""The smallest passing change in a browser: tried after the page is there, sent by one key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from prebill.console.links import case_href
from prebill.store.users import Role
from prebill.workflows import resolve
from tests.api.builders import add_people
from tests.api.server import running
from tests.browser.conftest import Console
from tests.browser.test_reviewer import shoot
from tests.workflows import mistaken

#: Corrections are priced and judged for real.
PATIENCE_MS = 120_000


@pytest.fixture(scope="module", autouse=True)
def console(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Console]:
    """A billed company with mistakes; made before the browser, whose event loop stops billing."""
    home: Path = tmp_path_factory.mktemp("mistaken")
    (home / "prebill.db").write_bytes(sqlite_template.read_bytes())
    opened = mistaken.install(f"sqlite:///{home}/prebill.db", home)
    people = add_people(opened.store)
    for mistake in ("quantity", "tax", "quantity and tax"):
        case_id = mistaken.case_of(opened, mistake)["case_id"]
        resolve.reject(opened, case_id, people[Role.CONTROLLER].actor.user_id, 1, "wrong_quantity")
    with running(opened) as url:
        yield Console(url, opened.store, people, mistaken.case_of(opened, "amendment")["case_id"])
    opened.close()


def test_change_appears_by_itself_and_is_sent_by_its_key(
    console: Console, page: Page, tmp_path: Path
) -> None:
    page.set_default_timeout(PATIENCE_MS)
    console.sign_in(page)
    page.goto(f"{console.url}{case_href(console.rich_case_id)}")
    section = page.get_by_label("The smallest passing change")
    expect(section.get_by_text("Corrections are being tried")).to_be_visible()
    shoot(page, tmp_path, "trying")
    expect(section).to_contain_text(
        "Would pass: from 2026-10-16 on a new phase after 1: quantity 14 instead of 9",
        timeout=PATIENCE_MS,
    )
    others = page.get_by_label("What others decided")
    expect(others.get_by_role("listitem").first).to_contain_text("Rejected by Controller Person")
    shoot(page, tmp_path, "found")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    shoot(page, tmp_path, "found-dark-narrow")
    page.keyboard.press("p")
    expect(section.get_by_role("button", name="Correct it so")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Corrected.", timeout=PATIENCE_MS)


def test_without_scripts_a_link_leads_to_the_same(console: Console, browser: Browser) -> None:
    with console.store.read() as tx:
        case_id = tx.scalar(
            "SELECT case_id FROM cases WHERE draft_id LIKE '%S0000005' AND status = 'open'"
        )
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        console.sign_in(page)
        page.goto(f"{console.url}{case_href(case_id)}")
        page.get_by_role("link", name="Try corrections").click()
        section = page.get_by_label("The smallest passing change")
        expect(section).to_contain_text("Would pass: phase 1: price book PB-GBP-1")
        section.get_by_role("button", name="Correct it so").click()
        expect(page.get_by_role("status")).to_contain_text("Corrected.", timeout=PATIENCE_MS)
