"""A reviewer's morning in the browser: sign in, work the queue by mouse and by keys, decide."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from prebill.store.users import Role
from tests.browser.conftest import Console


def shoot(page: Page, folder: Path, name: str) -> None:
    """Keep a screenshot to be looked at; the page must not be wider than the screen."""
    page.screenshot(path=folder / f"{name}.png", full_page=True)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], f"{name} is wider than the screen"


def reason_box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Reason")


def test_release_from_queue_to_next_case(console: Console, page: Page, tmp_path: Path) -> None:
    console.sign_in(page)
    shoot(page, tmp_path, "queue")
    expect(page.get_by_text("3 cases to decide, 2 of them held.")).to_be_visible()
    page.get_by_role("link", name="Nordwind").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Held: 16,625.00 EUR more than expected, 93 % likely wrong. Cause: duplicate line."
    )
    shoot(page, tmp_path, "case")
    reason_box(page).select_option("unusual_but_right")
    page.get_by_label("Note optional").fill("Confirmed by phone")
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("status")).to_contain_text("Released.")
    expect(page.get_by_text("Released by Reviewer Person")).to_be_visible()
    expect(page.get_by_text("“Confirmed by phone”")).to_be_visible()
    shoot(page, tmp_path, "released")
    page.get_by_role("link", name="Next case").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Held:")


def test_reject_by_keyboard_alone(console: Console, page: Page, tmp_path: Path) -> None:
    console.sign_in(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cases/**")
    page.keyboard.press("x")  # no reason yet: its box has the focus
    expect(reason_box(page)).to_be_focused()
    reason_box(page).select_option("wrong_price")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    expect(page.get_by_role("button", name="Reject")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Rejected.")
    with console.store.read() as tx:
        verdict = tx.first("SELECT verdict, reason_code FROM verdicts")
    assert verdict == {"verdict": "reject", "reason_code": "wrong_price"}


def test_changed_case_says_so_and_shows_it_as_it_is(console: Console, page: Page) -> None:
    console.sign_in(page)
    page.goto(f"{console.url}/cases/{console.rich_case_id}")
    reason_box(page).select_option("wrong_price")
    with console.store.transaction() as tx:
        tx.update("cases", {"lock_version": 2}, where={"case_id": console.rich_case_id})
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("alert")).to_contain_text("changed meanwhile")
    expect(reason_box(page)).to_have_value("wrong_price")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("status")).to_contain_text("Rejected.")


def test_two_people_meet_at_a_case(console: Console, browser: Browser, tmp_path: Path) -> None:
    seats = []
    for role in (Role.REVIEWER, Role.CONTROLLER):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        seat = context.new_page()
        console.sign_in(seat, role)
        seats.append(seat)
    mine, other = seats
    mine.keyboard.press("n")
    expect(mine.get_by_role("button", name="Take the next case")).to_be_focused()
    mine.keyboard.press("Enter")
    expect(mine.get_by_text("You work on this case until")).to_be_visible()
    other.goto(mine.url)
    expect(other.get_by_text("Reviewer Person works on it until")).to_be_visible()
    expect(other.get_by_text("Also here: Reviewer Person.")).to_be_visible()
    expect(other.get_by_role("button", name="Release")).to_have_count(0)
    shoot(other, tmp_path, "claimed")
    other.get_by_role("button", name="Take it over").click()
    expect(other.get_by_text("You work on this case until")).to_be_visible()
    reason_box(mine).select_option("wrong_price")
    mine.get_by_role("button", name="Reject").click()
    expect(mine.get_by_role("alert")).to_contain_text("Controller Person works on case")
    shoot(other, tmp_path, "mine")
    other.goto(f"{console.url}/queue")
    shoot(other, tmp_path, "queue")
    for seat in seats:
        seat.context.close()


def test_viewer_sees_everything_and_no_buttons(console: Console, page: Page) -> None:
    console.sign_in(page, Role.VIEWER)
    page.goto(f"{console.url}/cases/{console.rich_case_id}")
    expect(page.get_by_text("Reasons, by money")).to_be_visible()
    expect(page.get_by_role("button", name="Release")).to_have_count(0)


def test_filters_narrow_the_queue(console: Console, page: Page) -> None:
    console.sign_in(page)
    page.get_by_label("Action").select_option("review")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tr[data-row]")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    expect(page.locator("tr[data-row]")).to_have_count(3)
    page.wait_for_load_state()
    page.keyboard.press("/")
    page.keyboard.type("nordwind")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    expect(page.locator("tr[data-row]")).to_contain_text("Nordwind")


def test_console_works_without_scripts(console: Console, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    console.sign_in(page)
    page.get_by_role("link", name="Customer 1").click()
    reason_box(page).select_option("agreed_with_customer")
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("status")).to_contain_text("Released.")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_fits_and_can_be_looked_at(
    console: Console, browser: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    context = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 900},
    )
    page = context.new_page()
    page.goto(f"{console.url}/sign-in")
    shoot(page, tmp_path, "sign-in")
    console.sign_in(page)
    shoot(page, tmp_path, "queue")
    paths = {
        "case": f"/cases/{console.rich_case_id}",
        "runs": "/runs",
        "invoice": "/invoices/DE:2026-10:SUB-NORDWIND",
        "password": "/password",
        "absent": "/cases/case:none",
    }
    for name, path in paths.items():
        page.goto(console.url + path)
        shoot(page, tmp_path, name)
    page.goto(f"{console.url}/cases/{console.rich_case_id}")
    page.get_by_text("Correct", exact=False).first.click()
    shoot(page, tmp_path, "correct")
    context.close()
